"""How responses are framed: Content-Length, chunked, no body at all, and lengths that are wrong."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.apps import Seen, answer, body, sending, start
from tests.server.loops import both_loops


def pieces(*data, fields=()):
    """The messages of a response in these pieces, the last one ends it."""
    return (start(200, *fields), *(body(piece, more=True) for piece in data[:-1]), body(data[-1]))


def suspending(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)
            await asyncio.sleep(0)

    return app


LENGTH_5 = [(b"content-length", b"5")]


@pytest.mark.parametrize("data", [b"", b"hello", b"x" * 100_000], ids=len)
def test_a_response_in_one_piece_gets_a_content_length(connect, data):
    response = connect(sending(*pieces(data))).ask()
    assert (response.framing, response.body) == ("length", data)


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length", b"CONTENT-LENGTH"])
def test_the_content_length_of_the_application_is_kept(connect, name):
    response = connect(sending(*pieces(b"he", b"", b"llo", fields=[(name, b"5")]))).ask()
    assert (response.framing, response.body) == ("length", b"hello")
    assert response.all("content-length") == ["5"]


@both_loops
@pytest.mark.parametrize("make", [sending, suspending])
def test_a_response_in_several_pieces_is_chunked(connect, make):
    client = connect(make(*pieces(b"hello", b"x" * 16, b"", b"y" * 1000, b"end")))
    for _ in range(2):
        client.request()
        head = client.until(b"\r\n\r\n")
        assert b"\r\ntransfer-encoding: chunked" in head
        assert b"content-length" not in head
        expected = (
            b"5\r\nhello\r\n10\r\nxxxxxxxxxxxxxxxx\r\n3e8\r\n" + b"y" * 1000 + b"\r\n"
            b"3\r\nend\r\n0\r\n\r\n"
        )
        assert client.read(len(expected)) == expected


@pytest.mark.parametrize("make", [sending, suspending])
def test_a_chunked_response_may_end_in_an_empty_piece(connect, make):
    client = connect(make(*pieces(b"hello", b"")))
    client.request()
    client.until(b"\r\n\r\n")
    assert client.read(15) == b"5\r\nhello\r\n0\r\n\r\n"


def test_large_chunks(connect):
    sizes = [1, 255, 256, 4095, 4096, 8191, 8192, 8193, 65535, 65536, 1_000_000, 7]
    data = [b"%c" % (97 + number) * size for number, size in enumerate(sizes)]
    response = connect(sending(*pieces(*data, b""))).ask()
    assert response.chunks == data


@both_loops
def test_the_first_piece_brings_the_head_along_at_once(connect):
    """Also when it is empty: that is how an application sends the head early."""

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"", more=True))
        await receive()
        await receive()

    client = connect(app)
    client.request()
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


@both_loops
@pytest.mark.parametrize("make", [sending, suspending])
@pytest.mark.parametrize(
    ("messages", "length"),
    [
        (pieces(b"hello", fields=LENGTH_5), "5"),
        (pieces(b"", fields=LENGTH_5), "5"),
        (pieces(b"hello"), "5"),
        (pieces(b"he", b"llo", fields=LENGTH_5), "5"),
        (pieces(b"he", b"llo"), None),
        (pieces(b""), None),
        (pieces(b"x" * 100_000), "100000"),
    ],
    ids=["length", "length, no body", "one piece", "length, pieces", "pieces", "empty", "large"],
)
def test_head_has_no_body(connect, make, messages, length):
    client = connect(make(*messages))
    for _ in range(3):
        response = client.ask(method="HEAD")
        assert response.status == 200
        assert response.get("content-length") == length
    assert client.ask(method="HEAD", body=b"body").status == 200
    assert client.silent(0.02)


@both_loops
@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("data", [(b"",), (b"ignored",), (b"igno", b"red")], ids=len)
@pytest.mark.parametrize("declared", [False, True])
def test_204_and_304_have_no_body(connect, status, data, declared):
    fields = [(b"content-length", b"7")] if declared else []
    client = connect(sending(*(start(status, *fields), *pieces(*data)[1:])))
    for _ in range(3):
        response = client.ask()
        assert response.status == status
        assert response.get("transfer-encoding") is None
        # A 304 may say how long the body would be, a 204 must not (RFC 9110, 8.6).
        assert response.get("content-length") == ("7" if declared and status == 304 else None)
    assert client.silent(0.02)


@pytest.mark.parametrize("data", [(b"",), (b"ignored",), (b"igno", b"red")], ids=len)
@pytest.mark.parametrize("fields", [[], [(b"content-length", b"7")]], ids=["none", "declared"])
def test_205_has_an_empty_body(connect, data, fields):
    client = connect(sending(*(start(205, *fields), *pieces(*data)[1:])))
    for method in ("GET", "HEAD", "GET"):
        response = client.ask(method=method)
        assert (response.status, response.all("content-length")) == (205, ["0"])
        assert response.get("transfer-encoding") is None
    assert client.silent(0.02)


@both_loops
@pytest.mark.parametrize("make", [sending, suspending])
@pytest.mark.parametrize(
    "data", [(b"",), (b"abc",), (b"a", b"bc"), (b"abc", b"")], ids=["none", "one", "two", "end"]
)
def test_a_body_shorter_than_its_content_length_closes(connect, serve, log, make, data):
    server = serve(make(*pieces(*data, fields=LENGTH_5)))
    client = connect(server)
    client.request()
    assert b"content-length: 5" in client.until(b"\r\n\r\n")
    assert client.rest() == b"".join(data)
    assert ["shorter" in message for message in log.messages] == [True]


def test_a_body_shorter_than_its_content_length_stops_the_pipeline(connect):
    client = connect(sending(*pieces(b"abc", fields=LENGTH_5)))
    client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n" * 5)
    client.until(b"\r\n\r\n")
    assert client.read(3) == b"abc"
    assert client.gone()


@both_loops
@pytest.mark.parametrize("make", [sending, suspending])
def test_a_first_piece_longer_than_the_content_length_is_a_500(connect, serve, make):
    server = serve(make(*pieces(b"hello!", fields=LENGTH_5)))
    assert connect(server).ask().status == 500
    (error,) = server.exceptions
    assert isinstance(error, RuntimeError)
    assert "content-length" in str(error)
    assert "5" in str(error)
    assert "6" in str(error)


@both_loops
@pytest.mark.parametrize("make", [sending, suspending])
def test_a_later_piece_longer_than_the_content_length_closes(connect, serve, make):
    server = serve(make(*pieces(b"hell", b"o!", fields=LENGTH_5)))
    client = connect(server)
    client.request()
    client.until(b"\r\n\r\n")
    assert client.rest() == b"hell"
    assert [type(exc) for exc in server.exceptions] == [RuntimeError]


def test_an_application_may_catch_the_error_of_a_body_that_is_too_long(connect):
    seen = Seen()

    async def app(scope, receive, send):
        await send(start(200, *LENGTH_5))
        try:
            await send(body(b"hello!"))
        except RuntimeError as exc:
            seen.put(str(exc))
        await send(body(b"hello"))

    client = connect(app)
    for _ in range(2):
        assert client.ask().body == b"hello"
        assert "content-length" in seen.get()


def test_a_start_that_was_refused_leaves_nothing_of_itself(connect):
    async def app(scope, receive, send):
        bad = start(
            201, (b"x-lost", b"1"), (b"content-length", b"99"), (b"date", b"never"), (b"", b"")
        )
        with pytest.raises(RuntimeError):
            await send(bad)
        await answer(send, b"hello")

    client = connect(app)
    for _ in range(2):
        response = client.ask()
        assert (response.status, response.body) == (200, b"hello")
        assert response.get("x-lost") is None
        assert response.get("date") != "never"
