"""Files that can't be sent, or not as the message asks: who is told, and what is answered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.server.apps import Seen, answer, attempt, body, sending, start
from tests.server.descriptors import no_more_files
from tests.server.files.pieces import length, opened, part, whole


def refused(connect, messages, wrong, last=None):
    """What is raised for the message `wrong`; the response ends with `last`."""
    seen = Seen()

    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        seen.put(await attempt(send, wrong))
        await send(last or body(b"ok"))

    response = connect(app).ask()
    (error,) = seen.get()
    assert type(error) is RuntimeError, repr(error)
    return response, str(error)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (whole("/no/such/file"), "No such file or directory: '/no/such/file'"),
        (whole("/"), "only regular files"),
        (whole("/dev/null"), "only regular files"),
        (whole("/a\0b"), "NUL"),
        (whole(""), "No such file"),
        (whole(b"/etc/hosts"), "'path' to be a str, got b'/etc/hosts'"),
        (whole(None), "'path' to be a str, got None"),
        ({"type": "http.response.pathsend"}, "'path' to be a str, got nothing"),
        (part(None), "None can't be sent"),
        (part(-1), "Bad file descriptor"),
        (part(10**6), "Bad file descriptor"),
        (part(10**30), "can't be sent"),
        (part("/etc/hosts"), "fileno"),
        ({"type": "http.response.zerocopysend"}, "can't be sent"),
        (part(0, offset=-1), "'offset' to be a number of bytes, got -1"),
        (part(0, offset="0"), "'offset' to be a number of bytes, got '0'"),
        (part(0, count=-1), "'count' to be a number of bytes, got -1"),
        (part(0, count=1.5), "'count' to be a number of bytes, got 1.5"),
    ],
)
@pytest.mark.parametrize("length_of", [None, 2])
def test_what_is_no_file_is_refused(connect, wrong, expected, length_of):
    """And the application can still answer."""
    head = start(200, *([length(length_of)] if length_of else []))
    response, error = refused(connect, [head], wrong)
    assert (response.status, response.body) == (200, b"ok")
    assert expected in error


def test_pipes_are_refused(connect, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    _, error = refused(connect, [start()], whole(str(tmp_path / "fifo")))
    assert "only regular files" in error
    read, write = os.pipe()
    _, error = refused(connect, [start()], part(read, count=5))
    assert "can't be sent" in error
    _, error = refused(connect, [start()], part(read, count=5, offset=0))
    assert "only regular files" in error
    os.close(read)
    os.close(write)


def test_a_closed_file_is_refused(connect, make):
    with opened(make(300_000)) as file:
        pass
    _, error = refused(connect, [start()], part(file))
    assert "closed file" in error


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_refused(connect, make):
    path = make(5)
    Path(path).chmod(0)
    _, error = refused(connect, [start()], whole(path))
    assert "Permission denied" in error


@pytest.mark.parametrize("size", [100, 300_000])
def test_a_file_longer_than_its_content_length_is_refused(connect, make, size):
    _, error = refused(connect, [start(200, length(2))], whole(make(size)))
    assert f"longer than its content-length: 2 declared, {size} sent" in error


@pytest.mark.parametrize("size", [100, 300_000])
def test_a_file_shorter_than_its_content_length_is_cut(connect, make, data, size, log):
    client = connect(sending(start(200, length(size + 1)), whole(make(size))))
    client.request()
    client.until(b"\r\n\r\n")
    assert client.rest() == data[:size]
    assert any("shorter than its content-length" in message for message in log.messages)


def test_a_path_is_not_mixed_with_a_body(connect, make):
    _, error = refused(connect, [start(), body(b"a", more=True)], whole(make(5)))
    assert "can't be mixed" in error


@pytest.mark.parametrize("message", [whole("/etc/hosts"), part(0)])
def test_a_file_before_the_start_is_refused(connect, message):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await attempt(send, message))
        await answer(send, b"ok")

    assert connect(app).ask().body == b"ok"
    assert "expected the message 'http.response.start'" in str(seen.get()[0])


def test_nothing_follows_a_path(connect, make):
    seen = Seen()

    async def app(scope, receive, send):
        await send(start())
        await send(whole(make(5)))
        seen.put(await attempt(send, body(b"more"), whole(make(5)), part(0)))

    client = connect(app)
    assert len(client.ask().body) == 5
    assert len(client.ask().body) == 5
    assert ["complete" in str(error) for error in seen.get()] == [True] * 3


def test_a_missing_file_is_a_500(connect, serve):
    server = serve(sending(start(200, length(5)), whole("/no/such/file")))
    client = connect(server)
    for _ in range(2):
        assert client.ask().status == 500
    assert all("No such file" in str(exc) for exc in server.exceptions)
    assert len(server.exceptions) == 2


def test_without_descriptors(connect, serve, make, data):
    path = make(300_000)

    async def app(scope, receive, send):
        await send(start())
        with no_more_files():
            errors.put(await attempt(send, whole(path)))
        with opened(path) as file:
            with no_more_files():
                errors.put(await attempt(send, part(file)))
            await send(part(file))

    errors = Seen()
    assert connect(app).ask().body == data[:300_000]
    assert "Too many open files" in str(errors.get()[0])
    assert "Too many open files" in str(errors.get()[0])
