"""A connection's life: keep-alive, pipelining, HTTP/1.0, half-closed clients, split heads."""

from __future__ import annotations

import asyncio
import random
import sys

import pytest

from tests.server.apps import (
    Gate,
    Seen,
    answer,
    body,
    body_of,
    echo_body,
    echo_path,
    eventually,
    hello,
    start,
)
from tests.server.loops import both_loops
from tests.server.raw import request


async def mixed(scope, receive, send):
    """Answer with path and body; /late paths suspend first, /stream paths answer in pieces."""
    data = scope["raw_path"] + b" " + await body_of(receive)
    if scope["path"].startswith("/late"):
        await asyncio.sleep(0)
    if scope["path"].endswith("/stream"):
        await send(start())
        await send(body(data[:3], more=True))
        await asyncio.sleep(0)
        await send(body(data[3:]))
    else:
        await answer(send, data)


@both_loops
def test_a_connection_serves_one_request_after_another(connect, serve):
    server = serve(mixed)
    client = connect(server)
    for number in range(20):
        path = f"{['', '/late'][number % 2]}/{number}"
        response = client.ask(path)
        assert response.body == f"{path} ".encode()
        assert response.get("connection") is None
    assert server.counters()["connections"] == 1


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close", "close, x-other"])
@pytest.mark.parametrize("path", ["/", "/late", "/stream"])
def test_connection_close_of_the_client_closes(connect, value, path):
    client = connect(mixed)
    response = client.ask(path, f"Connection: {value}")
    assert response.get("connection") == "close"
    assert client.ended()


@both_loops
@pytest.mark.parametrize("path", ["/", "/late", "/stream"])
@pytest.mark.parametrize("end", ["", "Connection: keep-alive", "Connection: close"])
def test_without_keep_alive_each_response_closes_its_connection(connect, path, end):
    client = connect(mixed, http1_keep_alive=False)
    client.send(request(path, *[end] * bool(end)) + request("/never") * 3)
    response = client.response()
    assert response.body == f"{path} ".encode()
    assert response.get("connection") == "close"
    assert client.gone()


@pytest.mark.parametrize("path", ["/", "/late"])
def test_requests_behind_a_connection_close_are_not_served(connect, serve, path):
    server = serve(mixed)
    client = connect(server)
    client.send(request(path, "Connection: close") + request("/never") * 10)
    assert client.response().get("connection") == "close"
    assert client.gone()


@both_loops
@pytest.mark.parametrize("path", ["/", "/late"])
def test_connection_close_of_the_application_closes(connect, path):
    async def app(scope, receive, send):
        if scope["path"] == "/late":
            await asyncio.sleep(0)
        await answer(send, b"bye", fields=[(b"Connection", b"Close")])

    client = connect(app)
    response = client.ask(path)
    assert response.body == b"bye"
    assert response.get("connection") == "close"
    assert client.ended()


@pytest.mark.parametrize(
    "fields",
    [
        [(b"connection", b"keep-alive")],
        [(b"keep-alive", b"timeout=5")],
        [(b"connection", b"upgrade"), (b"upgrade", b"h2c")],
    ],
)
def test_other_connection_fields_of_the_application_change_nothing(connect, fields):
    async def app(scope, receive, send):
        await answer(send, b"hello", fields=fields)

    client = connect(app)
    for _ in range(2):
        response = client.ask()
        assert response.body == b"hello"
        assert response.get("connection") in (None, "keep-alive")


PATHS = {
    "eager": ["/{}"],
    "suspended": ["/late/{}"],
    "streams": ["/{}/stream"],
    "mixed": ["/{}", "/late/{}", "/{}/stream", "/late/{}/stream", "/{}"],
}


@both_loops
@pytest.mark.parametrize("kind", PATHS)
def test_100_pipelined_requests_in_one_write_keep_their_order(connect, kind):
    client = connect(mixed)
    paths = [PATHS[kind][n % len(PATHS[kind])].format(n) for n in range(100)]
    client.send(b"".join(map(request, paths)))
    for path in paths:
        response = client.response()
        assert (response.status, response.body) == (200, f"{path} ".encode())
    assert client.silent(0.02)


@both_loops
def test_pipelined_requests_beyond_one_read(connect):
    client = connect(mixed)
    paths = [PATHS["mixed"][n % 5].format(n) for n in range(1500)]
    bodies = [b"x" * (n % 7) for n in range(1500)]
    client.send(
        b"".join(request(path, body=data) for path, data in zip(paths, bodies, strict=True))
    )
    for path, data in zip(paths, bodies, strict=True):
        assert client.response().body == path.encode() + b" " + data


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager Tasks are of Python 3.12")
def test_pipelined_answers_leave_in_one_write(connect):
    client = connect(echo_path)
    client.send(b"".join(request(f"/{number}") for number in range(16)))
    # One write of less than a segment of the loopback arrives as one.
    data = client.sock.recv(65536)
    assert data.count(b"HTTP/1.1 200 OK\r\n") == 16
    assert data.endswith(b"/15")


@both_loops
@pytest.mark.parametrize("path", ["/a", "/late", "/a/stream", "/late/stream"])
def test_a_request_that_comes_byte_by_byte(connect, path):
    client = connect(mixed)
    for _ in range(2):
        client.send_per_byte(request(path, "X-Field: value, more", method="POST", body=b"hello"))
        assert client.response().body == path.encode() + b" hello"


@pytest.mark.parametrize("seed", range(10))
def test_pipelined_requests_that_come_in_random_pieces(connect, seed):
    chance = random.Random(seed)
    client = connect(mixed)
    paths = [PATHS["mixed"][n % 5].format(n) for n in range(50)]
    data = b"".join(request(path, "X-Field: " + "v" * 50, body=b"b" * 20) for path in paths)
    while data:
        size = chance.randrange(1, chance.choice([5, 50, 500]))
        client.send(data[:size])
        data = data[size:]
    for path in paths:
        assert client.response().body == path.encode() + b" " + b"b" * 20


@both_loops
@pytest.mark.parametrize("path", ["/a", "/late", "/a/stream"])
def test_http_1_0_closes_after_the_response(connect, path):
    client = connect(mixed)
    client.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    response = client.response()
    assert response.body == path.encode() + b" "
    assert response.framing == ("close" if path == "/a/stream" else "length")
    assert response.get("transfer-encoding") is None
    assert client.ended()


@both_loops
@pytest.mark.parametrize("path", ["/a", "/late"])
def test_http_1_0_with_keep_alive_stays_open(connect, path):
    client = connect(mixed)
    for _ in range(3):
        client.send(f"GET {path} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n".encode())
        response = client.response()
        assert response.body == path.encode() + b" "
        assert response.get("connection") == "keep-alive"


def test_http_1_0_with_keep_alive_closes_where_only_the_end_ends_the_body(connect):
    client = connect(mixed)
    client.send(b"GET /a/stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    response = client.response()
    assert (response.framing, response.body) == ("close", b"/a/stream ")
    assert response.get("connection") != "keep-alive"


def test_http_1_0_with_a_body(connect):
    client = connect(echo_body)
    client.send(b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello")
    assert client.response().body == b"hello"
    assert client.ended()


@both_loops
@pytest.mark.parametrize("path", ["/a", "/late", "/a/stream", "/late/stream"])
@pytest.mark.parametrize("data", [b"", b"hello"])
def test_a_half_closed_client_gets_its_answer(connect, path, data):
    client = connect(mixed)
    client.request(path, method="POST", body=data)
    client.end()
    assert client.response().body == path.encode() + b" " + data
    assert client.ended()


def test_a_half_closed_client_gets_a_slow_answer(connect):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        await answer(send, b"x" * 3_000_000)

    client = connect(app)
    client.request()
    client.end()
    gate.open()
    assert len(client.response().body) == 3_000_000
    assert client.ended()


@pytest.mark.parametrize("kind", PATHS)
def test_a_half_closed_client_gets_all_its_pipelined_answers(connect, kind):
    client = connect(mixed)
    paths = [PATHS[kind][n % len(PATHS[kind])].format(n) for n in range(10)]
    client.send(b"".join(map(request, paths)))
    client.end()
    for path in paths:
        assert client.response().body == f"{path} ".encode()
    assert client.ended()


def test_a_client_that_leaves_without_a_word_is_noticed(connect, serve):
    server = serve(hello)
    for how in ("close", "reset", "end"):
        client = connect(server)
        if how == "end":
            client.end()
            assert client.ended()
        else:
            getattr(client, how)()
    last = connect(server)
    assert last.ask().body == b"hello"
    eventually(lambda: server.counters()["connections"] == 1)


def test_blank_lines_before_a_request_are_ignored(connect):
    client = connect(echo_path)
    for number in range(3):
        client.send(b"\r\n" * number)
        assert client.ask(f"/{number}").body == b"/%d" % number


@both_loops
def test_a_new_connection_per_request(connect, serve):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(scope["client"])
        await answer(send, b"hello")

    server = serve(app)
    for _ in range(50):
        client = connect(server)
        address = client.sock.getsockname()
        assert client.ask("/", "Connection: close").body == b"hello"
        assert client.ended()
        client.close()
        assert seen.get() == address
    eventually(lambda: not server.counters()["connections"])
