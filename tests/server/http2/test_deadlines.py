"""The timeouts, as they are over HTTP/2: of a head, a body, a response, an idle connection."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.http2.wire import (
    CANCEL,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW,
    PREFACE,
    PROTOCOL_ERROR,
    RST_STREAM,
    frame,
    request_fields,
)
from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, answer, body, body_of, eventually, hello, start
from tests.server.http2.marks import plain_and_tls
from tests.server.http2.test_goaway import fill, large_or_small
from tests.server.inside import counted, wait_for

MIB = 1024 * 1024


@plain_and_tls
def test_an_idle_connection_is_closed(wire, serve):
    server = serve(hello, keep_alive_timeout=0.3)
    client = wire(server)
    client.answer(client.request())
    goaways = [found for found in client.frames() if found.kind == GOAWAY]
    assert [found.code for found in goaways][-1:] == [0]
    eventually(lambda: server.counters()["connections"] == 0)


def test_a_connection_that_asks_nothing_is_closed(wire, serve):
    server = serve(hello, request_head_timeout=0.3, keep_alive_timeout=0.3)
    client = wire(server)
    list(client.frames())
    eventually(lambda: server.counters()["connections"] == 0)


def test_a_connection_with_a_stream_is_not_idle(connect, serve):
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/held":
            await gate.wait()
        await answer(send, b"hello")

    server = serve(app, keep_alive_timeout=3, request_head_timeout=3)
    client, other = connect(server), connect(server)
    stream = client.request("/held")
    assert gate.reached.wait(PATIENCE)
    other.ask("/")
    other.to_the_end()  # which was idle as long as this one
    client.ping()
    gate.open()
    assert client.response(stream).body == b"hello"


@pytest.mark.parametrize("sent", [PREFACE[:5], PREFACE, PREFACE[:23]])
def test_a_preface_that_stops(wire, serve, sent):
    server = serve(hello, request_head_timeout=3)
    client = wire(server, values=None)
    client.send(sent)
    while client.sock.recv(65536):
        pass
    eventually(lambda: server.counters()["connections"] == 0)


@plain_and_tls
def test_a_head_that_stops(wire, serve):
    """Between HEADERS and the CONTINUATION that never comes."""
    server = serve(hello, request_head_timeout=3)
    client = wire(server)
    client.answer(client.request())
    block = client.encoder.encode(request_fields())
    client.send(frame(HEADERS, END_STREAM, client.new_stream(), block[:3]))
    list(client.frames())
    wait_for(server, connections_active=0)
    assert counted(server)["rejected_head_timeout"] == 1


def test_a_frame_that_stops(wire, serve):
    server = serve(hello, request_head_timeout=3, keep_alive_timeout=3)
    client = wire(server)
    client.answer(client.request())
    block = client.encoder.encode(request_fields())
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, client.new_stream(), block)[:12])
    list(client.frames())
    wait_for(server, connections_active=0)


@plain_and_tls
def test_a_body_that_stops(connect, serve):
    """Its stream ends; the others and the connection do not."""
    seen = Seen()

    async def app(scope, receive, send):
        if scope["path"] == "/slow":
            while (message := await receive())["type"] == "http.request":
                pass
            seen.put(message["type"])
            return
        await answer(send, await body_of(receive))

    server = serve(app, request_body_timeout=3)
    client = connect(server)
    stream = client.request("/slow", method="POST", end=False)
    client.data(stream, b"hello")
    response = client.responses[stream]
    client.until(lambda: response.ended or response.reset is not None)
    assert response.status == 408 or response.reset is not None
    assert seen.get() == "http.disconnect"
    assert counted(server)["rejected_body_timeout"] == 1
    assert client.ask(method="POST", body=b"fine").body == b"fine"


def test_a_body_that_is_too_slow(connect, serve):
    async def app(scope, receive, send):
        while (await receive())["type"] == "http.request":
            pass

    server = serve(app, min_body_rate=1000_000, min_body_rate_grace=0.2)
    client = connect(server)
    stream = client.request(method="POST", end=False)
    response = client.responses[stream]
    client.h2.send_data(stream, b"x")
    client.flush()
    client.until(lambda: response.status or response.reset is not None)
    assert response.status in (0, 408)
    wait_for(server, rejected_body_timeout=1)


@plain_and_tls
@pytest.mark.parametrize("begun", [True, False])
def test_a_response_that_takes_too_long(connect, serve, begun, log):
    async def app(scope, receive, send):
        if scope["path"] == "/slow":
            if begun:
                await send(start())
                await send(body(b"begun", more=True))
            try:
                await asyncio.sleep(60)
            finally:
                seen.put("over")
        await answer(send, b"hello")

    seen = Seen()
    server = serve(app, request_timeout=0.3, request_timeout_grace=0.1)
    client = connect(server)
    stream = client.request("/slow")
    response = client.responses[stream]
    client.until(lambda: response.ended or response.reset is not None)
    assert (response.reset is not None) if begun else response.status == 504
    assert seen.get() == "over"
    assert client.ask("/").body == b"hello"
    assert counted(server)["rejected_request_timeout"] == 1


@pytest.mark.parametrize("last", ["piece", "trailers", "head"])
def test_an_end_that_waits_for_a_window_counts_as_well(wire, serve, last):
    """All else of the response has left."""
    gate = Gate()

    async def app(scope, receive, send):
        await send({**start(), "trailers": last == "trailers"})
        await send(body(b"hello", more=True))
        await gate.wait()
        await send(body())
        if last == "trailers":
            await send({"type": "http.response.trailers", "headers": [(b"a", b"b")]})

    server = serve(app, write_timeout=0.3)
    client = wire(server, values={INITIAL_WINDOW: 0 if last == "head" else 5})
    stream = client.request("/", "te: trailers", method="HEAD" if last == "head" else "GET")
    if last == "head":
        client.until(HEADERS, stream)
    else:
        assert client.until(DATA, stream).payload == b"hello"
    time.sleep(0.5)  # there is nothing that the client could take
    opened = time.monotonic()
    gate.open()
    assert client.verdict(stream) == (RST_STREAM, CANCEL)
    assert time.monotonic() - opened > 0.25
    wait_for(server, rejected_write_timeout=1)


def endless(seen: Seen):
    """An application that sends until it must not any more, and says why."""

    async def app(scope, receive, send):
        await send(start())
        try:
            while True:
                await send(body(b"x" * MIB, more=True))
        except OSError as exc:
            seen.put(type(exc).__name__)

    return app


@plain_and_tls
def test_a_client_that_takes_nothing_of_its_window(connect, serve):
    """Window stalling: the stream has something to say and may not."""
    seen = Seen()
    server = serve(endless(seen), write_timeout=0.5)
    client = connect(server, stalls=True)
    stream = client.request()
    response = client.responses[stream]
    while response.reset is None and not client.ended:
        client.take()
    assert seen.get() == "ClientDisconnected"
    assert counted(server)["rejected_write_timeout"] == 1


@plain_and_tls
def test_a_client_that_does_not_read_its_socket(connect, serve):
    seen = Seen()
    server = serve(endless(seen), write_timeout=0.5)
    client = connect(server, receive_buffer=4096, values={INITIAL_WINDOW: 2**30})
    client.h2.increment_flow_control_window(2**30)
    client.request()
    assert seen.get() == "ClientDisconnected"
    wait_for(server, connections_active=0, rejected_write_timeout=1)


def test_a_slow_client_is_not_cut(connect, serve):
    """One that takes a little in each while."""

    async def app(scope, receive, send):
        await answer(send, b"x" * 400_000)

    server = serve(app, write_timeout=3)
    client = connect(server, stalls=True)
    stream = client.request()
    response = client.responses[stream]
    for size in range(65535, 400_000, 65536):
        client.until(lambda: len(response.body) >= size)  # noqa: B023
        client.h2.increment_flow_control_window(65536)
        client.h2.increment_flow_control_window(65536, stream)
        client.flush()
    assert len(client.response(stream).body) == 400_000


def test_an_old_connection_takes_no_more_requests(wire, serve):
    server = serve(hello, connection_timeout=3, keep_alive_timeout=60)
    client = wire(server)
    client.answer(client.request())
    goaways = [found for found in client.frames() if found.kind == GOAWAY]
    assert goaways
    assert goaways[-1].code == 0


def test_pings_alone_keep_no_connection(wire, serve):
    """Frames that are no request do not count as life."""
    server = serve(hello, keep_alive_timeout=1)
    client = wire(server)
    client.answer(client.request())
    client.send(frame(6, 0, 0, b"question"))
    kinds = []
    try:
        for found in client.frames():
            kinds.append(found.kind)
            if found.kind == 6:
                client.send(frame(6, 0, 0, b"question"))
    except OSError:
        pass
    assert GOAWAY in kinds
    assert RST_STREAM not in kinds


@pytest.mark.parametrize(
    "lines", [("connection: a",), ("bad name: a",)], ids=["nghttp2", "granite"]
)
def test_a_head_that_is_malformed_has_ended(wire, serve, lines):
    """Its stream is reset; the connection does not wait for the rest of it."""

    async def app(scope, receive, send):
        await asyncio.sleep(4.5)  # longer than the timeout
        await answer(send, b"hello")

    server = serve(app, request_head_timeout=3)
    client = wire(server)
    stream = client.request()
    malformed = client.request("/", *lines)
    client.until(RST_STREAM, malformed)
    assert client.answer(stream)[":status"] == "200"
    assert client.until(DATA, stream).payload == b"hello"
    assert counted(server)["rejected_head_timeout"] == 0


def test_a_malformed_head_whose_reset_has_to_wait(wire, serve):
    """It has ended for the client all the same."""
    server = serve(large_or_small, request_head_timeout=1, write_timeout=60)
    client = wire(server, values={INITIAL_WINDOW: 2**31 - 1}, receive_buffer=65536)
    large = fill(server, client)
    malformed = client.request("/", "connection: a")
    time.sleep(2.5)  # longer than the timeout
    client.until(RST_STREAM, malformed)
    client.until(DATA, large, END_STREAM)
    assert counted(server)["rejected_head_timeout"] == 0


@pytest.mark.parametrize("keep_alive", [60, 0])
def test_a_malformed_head_without_end(wire, serve, keep_alive):
    """What is wrong with it does not make it complete."""
    server = serve(hello, request_head_timeout=1, keep_alive_timeout=keep_alive)
    client = wire(server)
    block = client.encoder.encode(request_fields("/", "connection: a"))
    client.send(frame(HEADERS, END_STREAM, client.new_stream(), block))
    *_, last = client.frames()
    assert (last.kind, last.code) == (GOAWAY, PROTOCOL_ERROR)
    assert counted(server)["rejected_head_timeout"] == 1
