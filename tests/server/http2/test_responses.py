"""What a client gets of what an application sends over HTTP/2."""

from __future__ import annotations

import asyncio

import pytest

from tests.http2.wire import CONTINUATION, DATA, END_HEADERS, HEADERS, INTERNAL_ERROR
from tests.server.apps import (
    Gate,
    Seen,
    answer,
    attempt,
    body,
    body_of,
    hello,
    sending,
    start,
)
from tests.server.http2.marks import every_interface, plain_and_tls

DIGEST = (b"content-digest", b"sha-256=:x:")


def announced(*fields, status=200):
    return {**start(status, *fields), "trailers": True}


def trailers(*fields, more=False):
    return {"type": "http.response.trailers", "headers": list(fields), "more_trailers": more}


def test_the_head(connect):
    app = sending(start(201, (b"X-One", b"1"), (b"x-two", b"\xe4"), (b"x-two", b"b")), body(b"hi"))
    client = connect(app)
    for _ in range(3):
        response = client.ask()
        assert response.status == 201
        assert response.get("server") == "granite"
        assert response.get("date")
        own = [pair for pair in response.fields if pair[0] not in ("server", "date")]
        assert [pair for pair in own if pair[0] != "content-length"] == [
            *(("x-one", "1"), ("x-two", "\xe4"), ("x-two", "b"))
        ]
        assert response.body == b"hi"


def test_no_server_field(connect):
    assert connect(hello, server_header="").ask().get("server") is None


def test_fields_of_the_connection_are_dropped(connect):
    fields = [
        *((b"connection", b"close"), (b"keep-alive", b"5"), (b"proxy-connection", b"a")),
        *((b"te", b"trailers"), (b"upgrade", b"a"), (b"x", b"1")),
    ]
    client = connect(sending(start(200, *fields), body(b"hello")))
    for _ in range(2):
        response = client.ask()
        assert {name for name, _ in response.fields} <= {"server", "date", "content-length", "x"}
        assert response.body == b"hello"


def test_transfer_encoding_is_refused(connect):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await attempt(send, start(200, (b"transfer-encoding", b"chunked"))))
        await answer(send, b"hello")

    assert connect(app).ask().body == b"hello"
    (error,) = seen.get()
    assert type(error) is RuntimeError


MOST = 2**20  # bytes of fields


@plain_and_tls
def test_a_large_head(wire):
    client = wire(sending(start(200, (b"x", b"y" * (MOST - 100))), body(b"hello")))
    client.decoder.max_header_list_size = 2 * MOST
    stream = client.request()
    found = client.until(HEADERS, stream)
    block = found.payload
    while not found.flags & END_HEADERS:
        found = client.until(CONTINUATION, stream)
        block += found.payload
    assert len(dict(client.decoder.decode(block))["x"]) == MOST - 100
    assert client.until(DATA, stream).payload == b"hello"


@every_interface
def test_a_head_that_is_too_large(serve, connect, interface):
    """What nghttp2 would not send is refused, whoever hears of it."""

    async def app(scope, receive, send):
        fields = (b"x", b"y" * MOST) if scope["path"] == "/large" else (b"x", b"y")
        await send(start(200, fields))
        await send(body(b"hello"))

    server = serve(app)
    client = connect(server)
    assert client.ask("/large").status == 500
    assert client.ask().body == b"hello"
    assert [f"at most {MOST} bytes" in str(error) for error in server.exceptions] == [True]


def test_large_hints_and_trailers(connect):
    seen = Seen()

    async def app(scope, receive, send):
        hint = {"type": "http.response.early_hint", "links": [b"x" * MOST]}
        seen.put(await attempt(send, *[hint] * 20))
        await send(announced())
        await send(body(b"hello"))
        seen.put(await attempt(send, trailers((b"x", b"y" * MOST))))
        await send(trailers((b"x", b"y")))

    client = connect(app)
    response = client.ask("/", "te: trailers")
    assert [type(error) for error in seen.get()] == [RuntimeError] * 20
    assert [type(error) for error in seen.get()] == [RuntimeError]
    assert response.trailers == [("x", "y")]


@pytest.mark.parametrize(
    "field",
    [(b"a b", b"1"), (b"", b"1"), (b"a", b"b\nc"), (b"a", b"\r"), (b"a", b"\0"), (b":a", b"1")],
)
def test_fields_that_are_none_are_refused(connect, field):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await attempt(send, start(200, field)))
        await answer(send, b"hello")

    assert connect(app).ask().body == b"hello"
    (error,) = seen.get()
    assert type(error) is RuntimeError


@plain_and_tls
@every_interface
@pytest.mark.parametrize("size", [1, 16384, 16385, 65535, 65536, 3_000_000])
def test_a_large_body(connect, interface, size):
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    client = connect(sending(start(), body(data)))
    for _ in range(2):
        assert client.ask().body == data


@plain_and_tls
@every_interface
def test_a_body_in_pieces(connect, interface):
    pieces = [b"a", b"b" * 100_000, b"", b"c" * 20, b"d" * 70_000]
    messages = [body(piece, more=True) for piece in pieces]
    client = connect(sending(start(), *messages, body()))
    for _ in range(2):
        assert client.ask().body == b"".join(pieces)


def test_a_piece_leaves_at_once(connect):
    gate = Gate()

    async def app(scope, receive, send):
        await send(start())
        for number in range(5):
            await send(body(b"%d" % number, more=True))
            await gate.wait()
        await send(body())

    client = connect(app)
    stream = client.request()
    for number in range(5):
        client.until(lambda: len(client.responses[stream].body) > number)  # noqa: B023
        assert not client.responses[stream].ended
        gate.open()
    assert client.response(stream).body == b"01234"


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)]
)
@pytest.mark.parametrize("eager", [True, False])
def test_responses_without_a_body(connect, method, status, eager):
    async def app(scope, receive, send):
        if not eager:
            await asyncio.sleep(0)
        length = [(b"content-length", b"5")] if method == "HEAD" else []
        await send(start(status, *length))
        await send(body(b"hel" if method == "HEAD" else b"", more=True))
        await send(body(b"lo" if method == "HEAD" else b""))

    client = connect(app)
    for _ in range(2):
        response = client.ask(method=method)
        assert (response.status, response.body) == (status, b"")
        assert response.get("content-length") == ("5" if method == "HEAD" else None)
    # All of it is one frame.
    assert client.frames[-1].flags & 1


@every_interface
def test_a_body_longer_than_its_length_is_refused(connect, interface, log):
    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"5")))
        await send(body(b"hello!"))

    client = connect(app)
    stream = client.request()
    response = client.responses[stream]
    client.until(lambda: response.ended or response.reset is not None)
    assert response.status == 500 or response.reset == INTERNAL_ERROR
    assert client.ask("/").stream > stream or True


def test_a_body_shorter_than_its_length_is_cut(connect, log):
    client = connect(sending(start(200, (b"content-length", b"6")), body(b"hello")))
    for _ in range(2):
        stream = client.request()
        assert client.reset_code(stream) == INTERNAL_ERROR
        assert client.responses[stream].body in (b"", b"hello")
    assert any("shorter than its content-length" in message for message in log.messages)


@every_interface
def test_an_application_that_fails_before_its_response(connect, interface):
    async def app(scope, receive, send):
        raise ValueError("on purpose")

    client = connect(app)
    for _ in range(2):
        response = client.ask()
        assert response.status == 500
        assert response.body


@every_interface
def test_an_application_that_fails_in_its_response(connect, interface):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"x" * 1000, more=True))
        if scope["path"] == "/bad":
            raise ValueError("on purpose")
        await send(body())

    client = connect(app)
    for _ in range(2):
        assert client.reset_code(client.request("/bad")) == INTERNAL_ERROR
        assert len(client.ask("/good").body) == 1000


def test_an_application_that_leaves_its_response_out(connect):
    async def app(scope, receive, send):
        if scope["path"] == "/started":
            await send(start())
            await send(body(b"a", more=True))

    client = connect(app)
    assert client.ask("/").status == 500
    assert client.reset_code(client.request("/started")) == INTERNAL_ERROR


def test_early_hints(connect):
    gate = Gate()

    async def app(scope, receive, send):
        await send({"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]})
        await gate.wait()
        await answer(send, b"hello")

    client = connect(app)
    for _ in range(2):
        stream = client.request()
        response = client.responses[stream]
        client.until(lambda: response.interim)  # noqa: B023
        assert response.interim == [(103, [("link", "</a>; rel=preload")])]
        assert not response.status
        gate.open()
        assert client.response(stream).body == b"hello"


@pytest.mark.parametrize("reads", [True, False])
def test_100_continue(connect, reads):
    async def app(scope, receive, send):
        data = await body_of(receive) if reads else b"no"
        await answer(send, data)

    client = connect(app)
    for _ in range(2):
        stream = client.request("/", "expect: 100-continue", method="POST", end=False)
        response = client.responses[stream]
        if reads:
            client.until(lambda: response.interim)  # noqa: B023
            assert response.interim == [(100, [])]
            client.data(stream, b"hello", end=True)
        assert client.response(stream).body == (b"hello" if reads else b"no")
        assert len(response.interim) == reads


def test_no_100_continue_for_a_body_that_has_come(connect):
    client = connect(echo_later)
    response = client.ask("/", "expect: 100-continue", method="POST", body=b"hello")
    assert (response.body, response.interim) == (b"hello", [])


async def echo_later(scope, receive, send):
    await asyncio.sleep(0.1)
    await answer(send, await body_of(receive))


@plain_and_tls
@pytest.mark.parametrize("pieces", [[b""], [b"hello"], [b"a", b"x" * 100_000], [b"hello", b""]])
def test_trailers(connect, pieces):
    messages = [body(piece, more=n < len(pieces)) for n, piece in enumerate(pieces, 1)]
    app = sending(
        *(announced((b"trailer", b"content-digest")), *messages),
        *(trailers(DIGEST, more=True), trailers((b"X-Cost", b"5"))),
    )
    client = connect(app)
    for _ in range(2):
        response = client.ask("/", "te: trailers")
        assert response.body == b"".join(pieces)
        assert response.trailers == [("content-digest", "sha-256=:x:"), ("x-cost", "5")]


def test_no_trailers_after_all(connect):
    client = connect(sending(announced(), body(b"hello"), trailers()))
    for _ in range(2):
        response = client.ask("/", "te: trailers")
        assert (response.body, response.trailers) == (b"hello", [])


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_what_has_no_body_has_no_trailers(connect, method, status):
    client = connect(sending(announced(status=status), body(b""), trailers(DIGEST)))
    response = client.ask("/", "te: trailers", method=method)
    assert (response.status, response.body, response.trailers) == (status, b"", [])


def test_a_response_without_the_trailers_that_it_announced_is_cut(connect, log):
    client = connect(sending(announced(), body(b"hello")))
    assert client.reset_code(client.request("/", "te: trailers")) == INTERNAL_ERROR
    assert any("without completing its response" in message for message in log.messages)


def message(data: bytes) -> bytes:
    """A message of gRPC: not compressed, its length, itself."""
    return b"\0" + len(data).to_bytes(4, "big") + data


@plain_and_tls
def test_an_exchange_as_grpc_has_them(connect):
    """Messages go to and fro on one stream, and the outcome is in the trailers."""

    async def app(scope, receive, send):
        assert dict(scope["headers"])[b"te"] == b"trailers"
        await send(announced((b"content-type", b"application/grpc")))
        buffer, more = b"", True
        while more:
            event = await receive()
            buffer += event["body"]
            more = event["more_body"]
            while len(buffer) >= 5 and len(buffer) >= (
                end := 5 + int.from_bytes(buffer[1:5], "big")
            ):
                await send(body(message(buffer[5:end].upper()), more=True))
                buffer = buffer[end:]
        assert not buffer
        await send(body())
        await send(trailers((b"grpc-status", b"0"), (b"grpc-message", b"fine")))

    client = connect(app)
    lines = "content-type: application/grpc", "te: trailers", "grpc-timeout: 10S"
    streams = [client.request("/echo.Echo/Talk", *lines, method="POST", end=False) for _ in "ab"]
    for word in (b"one", b"two", b"x" * 30_000):
        for stream in streams:
            response = client.responses[stream]
            expected = response.body + message(word.upper())
            client.data(stream, message(word))
            client.until(lambda: response.body == expected)  # noqa: B023
    for stream in streams:
        client.data(stream, b"", end=True)
        response = client.response(stream)
        assert response.status == 200
        assert response.trailers == [("grpc-status", "0"), ("grpc-message", "fine")]


def test_an_answer_of_trailers_only(connect):
    """What gRPC calls so is a head that ends the stream."""
    fields = [(b"content-type", b"application/grpc"), (b"grpc-status", b"12")]
    response = connect(sending(start(200, *fields), body())).ask("/", "te: trailers")
    assert (response.status, response.get("grpc-status"), response.body) == (200, "12", b"")
