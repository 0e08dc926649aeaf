"""Files: http.response.pathsend and http.response.zerocopysend, what is sent of them and how, and
that no descriptor stays.

Runs over plain TCP, where the system sends files, and over TLS, where they pass through memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from pathlib import Path

import pytest

from tests.server.apps import (
    Gate,
    Seen,
    answer,
    attempt,
    body,
    eventually,
    sending,
    start,
    until_it_waits,
)
from tests.server.descriptors import no_more_files
from tests.server.loops import both_loops
from tests.server.raw import request

MIB = 1024 * 1024
SIZES = [0, 1, 16_384, 16_385, 300_000, 5 * MIB + 1]


def contents(size: int) -> bytes:
    """Bytes that tell where they are from."""
    return b"".join(b"%07d\n" % number for number in range(size // 8 + 1))[:size]


@pytest.fixture(scope="module")
def data() -> bytes:
    return contents(max(SIZES))


@pytest.fixture
def make(tmp_path, data):
    """A function that makes a file of so many bytes and returns its path."""

    def make(size: int) -> str:
        path = tmp_path / f"of-{size}"
        path.write_bytes(data[:size])
        return str(path)

    return make


def whole(path, **more):
    return {"type": "http.response.pathsend", "path": path, **more}


def part(file, **more):
    return {"type": "http.response.zerocopysend", "file": file, **more}


def length(size: int):
    return (b"content-length", b"%d" % size)


def opened(path: str, buffering: int = -1):
    return Path(path).open("rb", buffering)


def descriptors(path: str) -> int:
    """How many descriptors of this process are of the file."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(link.readlink()) == path
    return found


@both_loops
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("eager", [True, False])
def test_a_path_is_the_whole_body(connect, make, data, size, eager):
    path = make(size)

    async def app(scope, receive, send):
        assert scope["extensions"]["http.response.pathsend"] == {}
        if not eager:
            await asyncio.sleep(0)
        await send(start(200, (b"x", b"y")))
        await send(whole(path))

    client = connect(app)
    for _ in range(3):
        response = client.ask()
        assert (response.framing, response.get("content-length")) == ("length", str(size))
        assert response.body == data[:size]


@both_loops
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_file_between_pieces_of_the_body(connect, make, data, size, framing):
    async def app(scope, receive, send):
        assert scope["extensions"]["http.response.zerocopysend"] == {}
        await send(start(200, *([length(size + 11)] if framing == "length" else [])))
        await send(body(b"before", more=True))
        with opened(make(size)) as file:  # closed before all of it has left
            await send(part(file, more_body=True))
        await send(body(b"after"))

    client = connect(app)
    for _ in range(1 if framing == "close" else 3):
        client.send(request("/", version="1.0" if framing == "close" else "1.1"))
        response = client.response()
        assert response.framing == framing
        assert response.body == b"before" + data[:size] + b"after"


@pytest.mark.parametrize("size", SIZES)
def test_a_file_as_the_end_of_the_body(connect, make, data, size):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"before", more=True))
        with opened(make(size)) as file:
            await send(part(file))

    client = connect(app)
    for _ in range(3):
        assert client.ask().body == b"before" + data[:size]


@pytest.mark.parametrize(
    ("offset", "count", "wanted"),
    [
        (0, None, slice(None)),
        (None, 100_000, slice(100_000)),
        (100_000, None, slice(100_000, None)),
        (100_000, 100_000, slice(100_000, 200_000)),
        (299_999, 1, slice(299_999, 300_000)),
        (299_999, 1000, slice(299_999, 300_000)),  # as os.sendfile() has it: at most so many
        (300_000, None, slice(0)),
        (500_000, 5, slice(0)),
        (7, 0, slice(0)),
        (2**62, 2**62, slice(0)),
    ],
)
@pytest.mark.parametrize("as_number", [True, False])
def test_ranges(connect, make, data, offset, count, wanted, as_number):
    message = {}
    if offset is not None:
        message["offset"] = offset
    if count is not None:
        message["count"] = count

    async def app(scope, receive, send):
        with opened(make(300_000)) as file:
            await send(start())
            await send(part(file.fileno() if as_number else file, **message))

    client = connect(app)
    for _ in range(2):
        assert client.ask().body == data[:300_000][wanted]


@pytest.mark.parametrize("kind", ["number", "raw", "buffered"])
def test_without_an_offset_it_goes_on_where_the_file_is(connect, make, data, kind):
    seen = Seen()

    async def app(scope, receive, send):
        with opened(make(300_000), 0 if kind != "buffered" else -1) as file:
            given = file.fileno() if kind == "number" else file
            assert file.read(10) == data[:10]
            await send(start())
            await send(part(given, count=5, more_body=True))
            await send(part(given, count=100_000, more_body=True))
            await send(part(given, count=20, offset=0, more_body=True))
            seen.put(file.tell())
            await send(part(given))
            seen.put(file.tell())

    assert connect(app).ask().body == data[10:100_015] + data[:20] + data[100_015:300_000]
    assert (seen.get(), seen.get()) == (100_015, 300_000)


def test_one_file_many_times(connect, make, data):
    async def app(scope, receive, send):
        await send(start())
        with opened(make(20_000)) as file:
            for _ in range(100):
                await send(part(file, offset=0, more_body=True))
        await send(body())

    response = connect(app).ask()
    assert response.body == data[:20_000] * 100
    assert len(response.chunks) == 100


@pytest.mark.parametrize("fields", [[], [length(300_000)]])
@pytest.mark.parametrize("message", ["path", "file"])
def test_head(connect, make, fields, message):
    async def app(scope, receive, send):
        await send(start(200, *fields))
        with opened(make(300_000)) as file:
            await send(whole(file.name) if message == "path" else part(file))

    client = connect(app)
    for _ in range(2):
        response = client.ask(method="HEAD")
        assert (response.get("content-length"), response.framing) == ("300000", "none")
    assert client.silent(0.02)


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(connect, make, status):
    client = connect(sending(start(status), whole(make(300_000))))
    for _ in range(2):
        assert client.ask().status == status
    assert client.silent(0.02)


def test_trailers_behind_a_file(connect, make, data):
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"5")]}
    client = connect(sending({**start(), "trailers": True}, whole(make(300_000)), trailers))
    for _ in range(2):
        response = client.ask("/", "TE: trailers")
        assert (response.body, response.trailers) == (data[:300_000], [("x-sum", "5")])


@pytest.mark.parametrize("size", [100, 300_000])
def test_pipelined(connect, make, data, size):
    async def app(scope, receive, send):
        if scope["path"] == "/file":
            await sending(start(), whole(make(size)))(scope, receive, send)
        else:
            await answer(send, scope["raw_path"])

    client = connect(app)
    client.send((request("/a") + request("/file") + request("/b")) * 10)
    for _ in range(10):
        assert client.response().body == b"/a"
        assert client.response().body == data[:size]
        assert client.response().body == b"/b"


@pytest.mark.slow
def test_pipelined_requests_do_not_take_descriptors(connect, serve, make, data):
    server = serve(sending(start(), whole(make(5 * MIB))))
    client = connect(server, receive_buffer=4096)
    client.send(request() * 20)
    client.until(b"\r\n\r\n")
    assert server.counters()["files"] <= 2
    assert client.read(5 * MIB) == data[: 5 * MIB]
    for _ in range(19):
        assert server.counters()["files"] <= 2
        assert client.response().body == data[: 5 * MIB]


# what is wrong with it


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


# how it is sent


def test_send_waits_for_a_client_that_does_not_read(connect, make):
    seen = Seen()
    path = make(5 * MIB)

    async def app(scope, receive, send):
        async def stream():
            with opened(path) as file:
                await send(start())
                for number in range(8):
                    await send(part(file, offset=0, more_body=True))
                    sent.append(number)
                await send(body())

        sent: list[int] = []
        task = asyncio.create_task(stream())
        seen.put(await until_it_waits(task, sent))
        await task

    client = connect(app, receive_buffer=4096)
    client.request()
    assert seen.get() < 4
    assert len(client.response().body) == 40 * MIB


def test_a_slow_client_does_not_hold_up_another(connect, serve, make, data):
    async def app(scope, receive, send):
        if scope["path"] == "/":
            await answer(send, b"hello")
        else:
            await sending(start(), whole(make(5 * MIB)))(scope, receive, send)

    server = serve(app)
    slow, quick = connect(server, receive_buffer=4096), connect(server)
    slow.request("/file")
    for _ in range(10):
        assert quick.ask().body == b"hello"
    assert slow.response().body == data[: 5 * MIB]


def test_a_file_that_grows_while_it_is_sent_is_sent_as_it_was(connect, make, data):
    path = make(5 * MIB)
    gate = Gate()

    async def app(scope, receive, send):
        await send(start())
        with opened(path) as file:
            await send(part(file, more_body=True))
        await send(body(b"end"))

    client = connect(app, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    with Path(path).open("ab") as file:
        file.write(b"more")
    assert client.until(b"\r\n") == b"500000"
    assert client.read(5 * MIB) == data[: 5 * MIB]
    assert client.read(15) == b"\r\n3\r\nend\r\n0\r\n\r\n"
    assert not gate.reached.is_set()


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_file_that_is_cut_while_it_is_sent_ends_the_connection(connect, make, log, framing):
    path = make(5 * MIB)

    async def app(scope, receive, send):
        await send(start())
        if framing == "length":
            await send(whole(path))
        else:
            with opened(path) as file:
                await send(part(file, more_body=True))
            await send(body(b"end"))

    client = connect(app, receive_buffer=4096)
    client.send(request("/", version="1.0" if framing == "close" else "1.1"))
    client.until(b"\r\n\r\n")
    os.truncate(path, 0)
    with pytest.raises((ConnectionResetError, AssertionError)):
        client.read(5 * MIB + (3 if framing == "close" else 0))
    eventually(lambda: any("it has become shorter" in message for message in log.messages))


@both_loops
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("more", [True, False])
def test_no_descriptor_stays_when_the_client_leaves(connect, serve, make, how, more):
    path = make(5 * MIB)

    async def app(scope, receive, send):
        await send(start())
        with opened(path) as file:
            await send(part(file, more_body=more))
        if more:
            await send(part(file.name, more_body=True))

    server = serve(app)
    clients = [connect(server, receive_buffer=4096) for _ in range(10)]
    for client in clients:
        client.request()
        client.until(b"\r\n\r\n")
    eventually(lambda: server.counters()["files"] == 10)
    assert descriptors(path) == (20 if more else 10)  # an application that waits has its own
    for client in clients:
        getattr(client, how)()
    eventually(lambda: server.counters()["files"] == server.counters()["connections"] == 0)
    assert descriptors(path) == 0
    assert not [exc for exc in server.exceptions if not isinstance(exc, OSError)]


def test_no_descriptor_stays_when_the_task_is_cancelled(connect, serve, make):
    path = make(5 * MIB)

    async def app(scope, receive, send):
        await send(start())
        with opened(path) as file:
            task = asyncio.ensure_future(send(part(file, more_body=True)))
            await asyncio.wait([task], timeout=0.05)
            task.cancel()
        raise asyncio.CancelledError

    server = serve(app)
    client = connect(server, receive_buffer=4096)
    client.request()
    with pytest.raises((AssertionError, ConnectionResetError)):
        client.response()
    eventually(lambda: server.counters()["files"] == 0)


def test_no_descriptor_stays_when_the_server_stops(connect, serve, make):
    path = make(5 * MIB)
    server = serve(sending(start(), whole(path)), graceful_timeout=0.1)
    client = connect(server, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    assert (server.counters()["files"], descriptors(path)) == (1, 1)
    server.stop()
    assert (server.counters()["files"], descriptors(path)) == (0, 0)


def test_a_file_is_sent_to_its_end_by_a_server_that_drains(connect, serve, make, data):
    server = serve(sending(start(), whole(make(5 * MIB))), graceful_timeout=600)
    client = connect(server, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert client.read(5 * MIB) == data[: 5 * MIB]
    client.close()
    stopping.join(30)
    assert not stopping.is_alive()


def test_a_client_that_takes_nothing_of_a_file_is_cut(connect, serve, make):
    server = serve(sending(start(), whole(make(5 * MIB))), write_timeout=0.5)
    client = connect(server, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    eventually(lambda: server.counters()["connections"] == server.counters()["files"] == 0)


@pytest.mark.slow
def test_a_client_that_is_slow_to_take_a_file_is_not(connect, serve, make, data):
    server = serve(
        sending(start(), whole(make(5 * MIB))),
        write_timeout=2.0,
        keep_alive_timeout=0.5,
        request_timeout=0.5,
    )
    client = connect(server, receive_buffer=65536)
    client.request()
    client.until(b"\r\n\r\n")
    for at in range(0, 5 * MIB, MIB // 2):
        assert client.read(MIB // 2) == data[at : at + MIB // 2]
        time.sleep(0.3)


def test_a_half_closed_client_gets_its_file(connect, make, data):
    client = connect(sending(start(), whole(make(5 * MIB))))
    client.request()
    client.end()
    assert client.response().body == data[: 5 * MIB]


@pytest.mark.parametrize("size", [100, 300_000])
def test_http_1_0(connect, make, data, size):
    client = connect(sending(start(), whole(make(size))))
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert client.response().body == data[:size]
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.response().body == data[:size]
    assert client.ended()


def test_over_a_unix_socket(serve, make, data, tmp_path, transport):
    import http.client
    import socket

    if transport == "tls":
        pytest.skip("the same as over TCP")
    server = serve(sending(start(), whole(make(5 * MIB))), uds=str(tmp_path / "socket"))
    assert server
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(tmp_path / "socket"))
        sock.sendall(request())
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert response.read() == data[: 5 * MIB]


@pytest.mark.parametrize("size", [0, 100, 300_000])
def test_starlette_sends_its_files_so(connect, make, data, size):
    from starlette.responses import FileResponse

    kinds = Seen()

    async def app(scope, receive, send):
        async def noting(message):
            kinds.put(message["type"])
            await send(message)

        await FileResponse(make(size))(scope, receive, noting)

    client = connect(app)
    response = client.ask()
    assert (response.body, response.framing) == (data[:size], "length")
    assert [kinds.get(), kinds.get()] == ["http.response.start", "http.response.pathsend"]
    assert client.ask(method="HEAD").get("content-length") == str(size)
    if size > 100:
        response = client.ask("/", "Range: bytes=100-199")
        assert (response.status, response.body) == (206, data[100:200])


def test_a_relative_path_is_taken_as_open_takes_it(connect, make, data, monkeypatch):
    path = make(300_000)
    monkeypatch.chdir(Path(path).parent)
    assert connect(sending(start(), whole("of-300000"))).ask().body == data[:300_000]
