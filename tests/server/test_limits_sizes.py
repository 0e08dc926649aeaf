"""Limits of each part of a request, on both sides: request line, field, fields, body; and of the
requests on a connection.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.server.apps import (
    Gate,
    Seen,
    answer,
    body,
    echo_body,
    echo_path,
    eventually,
    hello,
    start,
)
from tests.server.inside import counted, wait_for
from tests.server.raw import chunked, request


def refused(client, status):
    response = client.response()
    return (response.status, response.get("connection"), client.gone()) == (status, "close", True)


def delivered(client, data, step):
    """Send `data` in pieces of `step` bytes; the answer need not wait for the last one."""
    with contextlib.suppress(ConnectionError):
        for at in range(0, len(data), step or len(data)):
            client.send(data[at : at + (step or len(data))])


@pytest.mark.parametrize("step", [0, 7])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "DELETE"])
def test_a_request_line_at_its_limit(connect, serve, method, step):
    server = serve(echo_path, max_request_line=200)
    target = "/" + "x" * (200 - len(f"{method} / HTTP/1.1"))
    client = connect(server)
    delivered(client, request(target, method=method), step)
    assert client.response().body == target.encode()
    delivered(client, request(target + "x", method=method), step)
    assert refused(client, 414)
    assert counted(server)["rejected_head_size"] == 1


@pytest.mark.parametrize("step", [0, 7])
@pytest.mark.parametrize(
    "line", ["X-Long: {}", "{}: x", "{}:", "Cookie: {}"], ids=["value", "name", "empty", "known"]
)
def test_a_field_at_its_limit(connect, serve, line, step):
    server = serve(hello, max_field_size=150)
    # An empty value brings no blank along, for which there has to be room all the same.
    fits = 150 - len(line.format("")) - line.endswith(":")
    client = connect(server)
    delivered(client, request("/", line.format("x" * fits), line.format("x" * fits)), step)
    assert client.response().status == 200
    delivered(client, request("/", line.format("x" * (fits + 1))), step)
    assert refused(client, 431)
    assert counted(server)["rejected_head_size"] == 1


@pytest.mark.parametrize("step", [0, 7])
def test_as_many_fields_as_the_limit(connect, serve, step):
    server = serve(hello, max_fields=20)
    client = connect(server)
    for _ in range(2):
        delivered(client, request("/", *[f"X-{number}: x" for number in range(19)]), step)
        assert client.response().status == 200
    delivered(client, request("/", *[f"X-{number}: x" for number in range(20)]), step)
    assert refused(client, 431)


def test_a_hundred_fields_are_the_default(connect, serve):
    server = serve(hello)
    assert connect(server).ask("/", *["X: x"] * 99).status == 200
    client = connect(server)
    client.request("/", *["X: x"] * 100)
    assert refused(client, 431)


def test_without_limits_of_its_parts_the_whole_head_counts(connect, serve):
    server = serve(hello, max_fields=0, max_head_size=8192)
    client = connect(server)
    assert client.ask("/" + "x" * 8000).status == 200
    assert client.ask("/", "X: " + "x" * 8000).status == 200
    assert client.ask("/", *["X: x"] * 1000).status == 200
    client.request("/", *["X: x"] * 2000)
    assert refused(client, 431)


# bodies


def test_a_body_at_its_limit(connect, serve):
    server = serve(echo_body, max_body_size=1000)
    client = connect(server)
    assert client.ask(method="POST", body=b"x" * 1000).body == b"x" * 1000
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    client.send(chunked(b"x" * 400, b"y" * 600))
    assert client.response().body == b"x" * 400 + b"y" * 600
    assert counted(server)["rejected_body_size"] == 0


def test_a_declared_body_above_the_limit_is_refused_at_once(connect, serve):
    server = serve(echo_body, max_body_size=1000)
    client = connect(server)
    # Not a byte of it has been sent.
    client.send(request("/", "Content-Length: 1001", method="POST"))
    assert refused(client, 413)
    numbers = counted(server)
    assert (numbers["requests_handled"], numbers["rejected_body_size"]) == (0, 1)


def test_no_body_is_asked_for_that_is_refused(connect):
    client = connect(echo_body, max_body_size=1000)
    fields = ("Expect: 100-continue", "Content-Length: 1001")
    client.send(request("/", *fields, method="POST"))
    assert refused(client, 413)


def test_the_refusal_reaches_a_client_that_is_sending(connect):
    client = connect(echo_body, max_body_size=1000)
    client.send(request("/", "Content-Length: 10000000", method="POST"))
    client.send(b"x" * 3_000_000)  # more than sockets hold: the server reads it and drops it
    assert client.response().status == 413


@pytest.mark.parametrize("pieces", [1, 3, 100])
def test_a_chunked_body_above_the_limit_never_looks_complete(connect, serve, pieces):
    seen = Seen()

    async def app(scope, receive, send):
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            size += len(message["body"])
            if not message["more_body"]:
                seen.put("complete")
                return
        seen.put(size)

    server = serve(app, max_body_size=1000)
    client = connect(server)
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    for _ in range(pieces):
        delivered(client, chunked(b"x" * (1001 // pieces + 1))[:-5], 0)
    delivered(client, b"0\r\n\r\n", 0)
    assert refused(client, 413)
    wait_for(server, requests_active=0, rejected_body_size=1)
    if not seen.empty:
        assert seen.get() <= 1000


def test_an_application_that_reads_slowly_is_told_too(connect, serve):
    gate, seen = Gate(), Seen()

    async def app(scope, receive, send):
        seen.put(await receive())
        await gate.wait()
        seen.put(await receive())

    client = connect(serve(app, max_body_size=1000))
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    client.send(b"384\r\n" + b"x" * 900 + b"\r\n")
    assert seen.get() == {"type": "http.request", "body": b"x" * 900, "more_body": True}
    client.send(b"384\r\n" + b"y" * 900 + b"\r\n")
    assert refused(client, 413)
    gate.open()
    assert seen.get() == {"type": "http.disconnect"}


def test_a_response_that_has_begun_is_cut(connect, serve):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"begun", more=True))
        while (await receive())["type"] != "http.disconnect":
            pass

    server = serve(app, max_body_size=1000)
    client = connect(server)
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    assert client.until(b"begun\r\n")
    client.send(b"500\r\n" + b"x" * 0x500 + b"\r\n")
    assert client.gone()  # without the chunk that ends a body
    wait_for(server, requests_active=0, rejected_body_size=1)


def test_a_response_that_ends_with_the_connection_is_reset(connect, serve):
    """Of HTTP/1.0, whose end would look complete; here the request is cut by the client."""

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"begun", more=True))
        while (await receive())["type"] != "http.disconnect":
            pass

    client = connect(serve(app))
    client.send(b"POST / HTTP/1.0\r\nContent-Length: 10\r\n\r\nhalf")
    assert client.until(b"begun") is not None
    client.end()
    with pytest.raises(ConnectionResetError):
        client.rest()


def test_a_body_that_nobody_reads_is_limited_too(connect, serve):
    server = serve(hello, max_body_size=1000)
    client = connect(server)
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    assert client.response().status == 200
    delivered(client, b"500\r\n" + b"x" * 0x500 + b"\r\n", 0)
    assert client.gone()
    wait_for(server, rejected_body_size=1)


# connections


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("path", ["/", "/late"])
def test_a_connection_closes_after_its_last_request(connect, path, pipelined):
    async def app(scope, receive, send):
        if scope["path"] == "/late":
            await asyncio.sleep(0)
        await answer(send, b"hello")

    client = connect(app, max_requests_per_connection=3)
    if pipelined:
        client.send(request(path) * 5)
    for number in range(3):
        if not pipelined:
            client.request(path)
        assert client.response().get("connection") == ("close" if number == 2 else None)
    assert client.gone()


def test_an_http_1_0_connection_closes_after_its_last_request(connect):
    client = connect(hello, max_requests_per_connection=2)
    for said in ("keep-alive", "close"):
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert client.response().get("connection") == said
    assert client.ended()


# the log


def test_a_flood_of_refusals_is_a_few_lines(connect, serve, log):
    server = serve(hello)
    for _ in range(50):
        client = connect(server)
        client.send(b"nonsense\r\n\r\n")
        assert client.response().status == 400

    def told():
        whole = [line for line in log.messages if "400" in line]
        more = [line for line in log.messages if line.endswith(" more for a bad request")]
        counts = [int(line.split(": ")[1].split()[0]) for line in more]
        return len(whole) + sum(counts) == 50 and len(whole) < 50

    eventually(told)
