"""Expect: 100-continue, and responses that come before the request's body has."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import pytest

from tests.patience import PATIENCE
from tests.server.apps import (
    Gate,
    Seen,
    answer,
    body,
    body_of,
    echo_body,
    echo_path,
    hello,
    start,
)
from tests.server.loops import both_loops
from tests.server.raw import chunked, request

EXPECT = "Expect: 100-continue"


def expecting(length: int = 5, target: str = "/", expect: str = EXPECT) -> bytes:
    return request(target, f"Content-Length: {length}", expect, method="POST")


@both_loops
@pytest.mark.parametrize("expect", [EXPECT, "expect: 100-Continue"])
def test_100_continue_comes_when_the_application_asks_for_the_body(connect, expect):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        await echo_body(scope, receive, send)

    client = connect(app)
    for _ in range(2):
        client.send(expecting(expect=expect))
        assert gate.reached.wait(PATIENCE)
        assert client.silent(0.03)
        gate.open()
        interim = client.response()
        assert (interim.status, interim.reason, interim.fields) == (100, "Continue", [])
        client.send(b"hello")
        response = client.response()
        assert (response.status, response.body) == (200, b"hello")
        assert client.silent(0.02)


def test_100_continue_comes_once(connect):
    seen = Seen()

    async def app(scope, receive, send):
        more = True
        pieces = []
        while more:
            message = await receive()
            more = message["more_body"]
            pieces.append(message["body"])
            seen.put(len(pieces))
        await answer(send, b"".join(pieces))

    client = connect(app)
    client.send(expecting())
    assert client.response().status == 100
    for number in range(5):
        client.send(b"%d" % number)
        assert seen.get() == number + 1
    assert client.response().body == b"01234"


def test_100_continue_for_a_chunked_body(connect):
    client = connect(echo_body)
    client.send(request("/", EXPECT, "Transfer-Encoding: chunked", method="POST"))
    assert client.response().status == 100
    client.send(chunked(b"hello"))
    assert client.response().body == b"hello"


def test_100_continue_comes_although_the_start_was_sent_before(connect):
    async def app(scope, receive, send):
        await send(start(201))
        await send(body(await body_of(receive)))

    client = connect(app)
    client.send(expecting())
    assert client.response().status == 100
    client.send(b"hello")
    response = client.response()
    assert (response.status, response.body) == (201, b"hello")


def test_no_100_continue_after_the_response_has_begun(connect):
    async def app(scope, receive, send):
        await send(start(200))
        await send(body(b"first ", more=True))
        await send(body(await body_of(receive)))

    client = connect(app)
    client.send(expecting())
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.read(11) == b"6\r\nfirst \r\n"
    client.send(b"hello")
    assert client.read(15) == b"5\r\nhello\r\n0\r\n\r\n"


def test_a_client_that_does_not_wait_for_the_100_is_served(connect):
    client = connect(echo_body)
    for _ in range(2):
        client.send(expecting() + b"hello")
        response = client.response()
        if response.status == 100:
            response = client.response()
        assert (response.status, response.body) == (200, b"hello")


def test_a_request_without_a_body_gets_no_100(connect):
    client = connect(echo_body)
    for length in (["Content-Length: 0"], []):
        client.request("/", EXPECT, *length)
        assert client.response().status == 200


def test_http_1_0_gets_no_100(connect):
    client = connect(echo_body)
    client.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert client.silent(0.03)
    client.send(b"hello")
    assert client.response().body == b"hello"


def test_another_expectation_fails(connect):
    client = connect(hello)
    client.request("/", "Expect: the-unexpected")
    assert client.response().status == 417
    assert client.gone()


@both_loops
@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("status", [200, 413])
def test_an_application_that_never_reads_gets_no_100_sent(connect, suspended, status):
    async def app(scope, receive, send):
        if suspended:
            await asyncio.sleep(0)
        await answer(send, b"no, thanks", status)

    client = connect(app)
    client.send(expecting(1000))
    response = client.response()
    assert (response.status, response.body) == (status, b"no, thanks")
    # Nobody can tell whether the client still sends its body, so the server closes, and says so.
    assert response.get("connection") == "close"
    assert client.ended()


@both_loops
@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("sent", [0, 1, 50_000, 100_000])
@pytest.mark.parametrize("kind", ["/eager", "/late", "/stream"])
def test_the_rest_of_a_body_that_nobody_read_is_dropped(connect, coding, sent, kind):
    async def app(scope, receive, send):
        if kind == "/late":
            await asyncio.sleep(0)
        if kind == "/stream":
            await send(start())
            await send(body(b"", more=True))
            await send(body(scope["raw_path"]))
        else:
            await answer(send, scope["raw_path"])

    client = connect(app)
    if coding == "length":
        head = request("/", "Content-Length: 100000", method="POST")
        data = b"x" * 100_000
    else:
        head = request("/", "Transfer-Encoding: chunked", method="POST")
        data = chunked(*[b"x" * 1000] * 98)
    client.send(head + data[:sent])
    assert client.response().body == b"/"
    client.send(data[sent:])
    for path in ("/a", "/b"):
        assert client.ask(path).body == path.encode()


def test_a_body_that_was_read_in_part_is_dropped_as_well(connect):
    async def app(scope, receive, send):
        if scope["method"] == "POST":
            await receive()
        await answer(send, scope["raw_path"])

    client = connect(app)
    client.send(request("/post", "Content-Length: 200000", method="POST") + b"x")
    assert client.response().body == b"/post"
    client.send(b"x" * 199_999 + request("/get"))
    assert client.response().body == b"/get"


@both_loops
@pytest.mark.parametrize("coding", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
def test_a_body_that_nobody_reads_is_not_taken_for_ever(connect, coding):
    client = connect(echo_path)
    client.send(request("/", coding, method="POST"))
    assert client.response().body == b"/"

    def upload():
        piece = b"x" * 65536 if "Length" in coding else b"10000\r\n" + b"x" * 65536 + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(100_000_000 // 65536):
                client.send(piece)

    thread = threading.Thread(target=upload)
    thread.start()
    assert client.gone()  # without another response
    with contextlib.suppress(OSError):  # of which there is none any more, if it was reset
        client.sock.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_body_that_turns_out_invalid_after_the_answer_is_no_second_answer(connect):
    client = connect(echo_path)
    client.send(request("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n")
    assert client.response().body == b"/"
    client.send(b"no chunk\r\n\r\n")
    assert client.gone()


def test_a_client_that_leaves_after_an_early_answer_is_forgotten(connect, serve):
    server = serve(echo_path)
    for how in ("close", "reset", "end"):
        client = connect(server)
        client.send(request("/", "Content-Length: 100", method="POST") + b"x")
        assert client.response().body == b"/"
        getattr(client, how)()
        if how == "end":
            assert client.ended()
