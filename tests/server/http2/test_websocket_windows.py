"""WebSockets on streams: within their windows and their time, and what is abuse of either."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time

import pytest

from tests.http2.websocket import ASKED, VERSION, connecting, opened
from tests.http2.wire import (
    CANCEL,
    DATA,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    INITIAL_WINDOW,
    PRIORITY_UPDATE,
    window_update,
)
from tests.http2.wire import frame as http2_frame
from tests.server.apps import Gate, Seen, answer
from tests.server.http2.test_websocket_streams import both, says
from tests.server.inside import counted, wait_for
from tests.server.websocket.apps import Recording, accept, echo
from tests.wire.frames import BINARY, TEXT, close, frame


def test_an_application_that_does_not_read_stops_its_stream_only(connect, serve):
    gate, seen, window = Gate(), Seen(), 65535

    async def app(scope, receive, send):
        if scope["path"] != "/held":
            await both(scope, receive, send)
            return
        await accept(receive, send)
        await gate.wait()
        total = 0
        while (message := await receive())["type"] == "websocket.receive":
            total += len(message["bytes"])
        seen.put((total, message["code"]))

    sizes = {"http2_initial_stream_window_size": window, "ws_max_queue": 4}
    server = serve(app, ws_ping_interval=0, **sizes)
    client = connect(server)
    held, other = opened(client, "/held"), opened(client)
    data = frame(BINARY, b"x" * 1000) * 500
    sent = held.client.send_until_blocked(data)
    assert window <= sent < 2 * window + 10_000
    for number in range(5):
        assert says(other, f"{number}" * 100_000)
        assert client.ask().body == b"hello"
    gate.open()
    held.send(data[sent:] + close(1000))
    assert seen.get() == (500_000, 1000)
    assert held.closed() == (1000, "")


@pytest.mark.parametrize("piece", [1000, 300_000])
def test_a_client_that_does_not_read_makes_its_send_wait_only(connect, piece):
    seen = Seen()
    total = 8 * 1024 * 1024 // piece

    async def app(scope, receive, send):
        if scope["path"] != "/slow":
            await both(scope, receive, send)
            return
        await accept(receive, send)
        sent = 0
        waits = asyncio.get_running_loop().call_later(0.3, lambda: seen.put(sent))
        for _ in range(total):
            await send({"type": "websocket.send", "bytes": b"x" * piece})
            sent += 1
        waits.cancel()
        seen.put("done")

    values = {INITIAL_WINDOW: 30_000}
    client = connect(app, ws_ping_interval=0, values=values, stalls=True)
    slow, other = opened(client, "/slow"), opened(client)
    sent = seen.get()
    assert sent * piece < 2 * 65536 + 30_000 + piece
    for number in range(5):
        assert says(other, f"{number}")
        client.acknowledge(other.client.stream, 3)
    client.stalls = False
    client.acknowledge(slow.client.stream, len(slow.client.came.body))
    for _ in range(total):
        assert len(slow.message()) == piece
    assert seen.get() == "done"
    assert slow.answer_close() == (1000, "")


def test_the_window_of_the_connection_comes_back(connect):
    """More goes through than any window holds, and WebSockets that end leave nothing of it."""
    sizes = {"http2_initial_connection_window_size": 65535}
    client = connect(echo, http2_initial_stream_window_size=65535, **sizes)
    for _ in range(4):
        websocket = opened(client)
        assert says(websocket, "x" * 200_000)
        websocket.send(frame(TEXT, b"cut" * 5000))
        websocket.client.reset()
    assert says(opened(client), "x" * 500_000)


def test_a_window_that_stays_shut(connect, serve):
    app = Recording({"type": "websocket.send", "bytes": bytes(100_000)})
    server = serve(app, write_timeout=1)
    client = connect(server, values={INITIAL_WINDOW: 1000}, stalls=True)
    websocket = opened(client)
    app.get()
    assert client.reset_code(websocket.client.stream) == CANCEL
    assert app.end() == (1006, "")
    wait_for(server, rejected_write_timeout=1, websockets_active=0)


def test_a_window_that_was_shut_before(connect):
    """Its time begins when there is something to be sent."""
    gate = Gate()

    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.send", "bytes": bytes(996)})
        await gate.wait()
        await send({"type": "websocket.send", "text": "hello"})
        await receive()

    client = connect(app, write_timeout=5, values={INITIAL_WINDOW: 1000}, stalls=True)
    websocket = opened(client)
    assert websocket.message() == bytes(996)
    time.sleep(6)
    gate.open()
    client.ping()
    client.ping()
    client.acknowledge(websocket.client.stream, 1000)
    assert websocket.message() == "hello"


# time


def test_one_that_is_idle_stays(connect, serve):
    timeouts = ("request_timeout", "request_body_timeout", "request_head_timeout")
    more = ("write_timeout", "keep_alive_timeout", "ws_handshake_timeout", "min_body_rate_grace")
    settings = dict.fromkeys(timeouts + more, 4)
    server = serve(both, min_body_rate=1000, ws_ping_interval=0, **settings)
    client = connect(server)
    websocket = opened(client)
    time.sleep(6)
    assert says(websocket, "still here")
    assert client.ask().body == b"hello"
    assert sum(count for name, count in counted(server).items() if "rejected" in name) == 0


def test_one_outlives_the_age_of_its_connection(connect):
    client = connect(both, connection_timeout=3)
    websocket = opened(client)
    client.until(client.goaways)
    assert says(websocket, "still here")
    assert websocket.close(1000) == (1000, "")
    client.to_the_end()


def test_one_outlives_the_requests_of_its_connection(connect, serve):
    server = serve(both, max_requests_per_connection=2)
    client = connect(server)
    websocket = opened(client)
    assert client.ask().body == b"hello"
    client.until(lambda: len(client.goaways()) == 2)
    assert says(websocket, "still here")
    assert websocket.close(1000) == (1000, "")
    client.to_the_end()
    assert counted(server)["requests_handled"] == 2


def test_pings_of_both_protocols(connect, serve):
    server = serve(echo, ws_ping_interval=0.3, ws_ping_timeout=0.5, http2_keep_alive_interval=0.3)
    client = connect(server)
    websocket = opened(client)
    assert websocket.frame().opcode == 9
    assert websocket.closed()[0] == 1011  # PING of HTTP/2, which h2 answers, is no pong
    wait_for(server, rejected_websocket=1, websockets_active=0)
    client.ping()


# what is no abuse, and what is


def test_many_small_frames(connect):
    seen = Seen()

    async def app(scope, receive, send):
        await accept(receive, send)
        count = 0
        while (await receive())["type"] == "websocket.receive":
            count += 1
        seen.put(count)

    client = connect(app)
    websocket = opened(client)
    for octet in frame(TEXT, b"") * 3000:
        client.h2.send_data(websocket.client.stream, bytes([octet]))
    client.flush()
    websocket.close(1000)
    assert seen.get() == 3000


@pytest.mark.parametrize("piece", [1000, 20_000, 300_000])
def test_bulk_does_not_hold_up_the_others(wire, piece):
    """However urgent messages are: a download ends beside a WebSocket that never stops to send."""
    size = 2 * 1024 * 1024

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answer(send, bytes(size))
            return
        await accept(receive, send)
        with contextlib.suppress(OSError):
            while True:
                await send({"type": "websocket.send", "bytes": bytes(piece)})

    client = wire(app)
    websocket = client.request("/", VERSION, **ASKED)
    client.answer(websocket)
    download = client.request("/")
    came = {websocket: 0, download: 0}
    while came[download] < size:
        stream, length = (found := client.until(DATA)).stream, len(found.payload)
        came[stream] += length
        if length:
            client.send(window_update(0, length) + window_update(stream, length))
        assert came[websocket] < 4 * size, came
    client.close()


@pytest.mark.parametrize("early", [False, True])
def test_the_client_says_how_urgent_it_is(wire, early):
    """Before the stream or behind it: the server does not know better then."""
    seen, size = Seen(), 30_000

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await answer(send, bytes(size))
        else:
            await accept(receive, send)
            await send({"type": "websocket.send", "bytes": bytes(size)})
        seen.put(None)
        await receive()

    client = wire(app, values={INITIAL_WINDOW: 0})
    urged = http2_frame(PRIORITY_UPDATE, payload=struct.pack("!I", 1) + b"u=7")
    if early:
        client.send(urged)
    websocket = client.request("/", VERSION, **ASKED)
    client.answer(websocket)
    if not early:
        client.send(urged)
    download = client.request("/")
    client.answer(download)
    for _ in range(2):
        seen.get()
    client.send(window_update(websocket, size * 2) + window_update(download, size * 2))
    order = [client.until(DATA).stream for _ in range(4)]
    assert order == [download, download, websocket, websocket]


def test_a_window_that_opens_with_each_message(wire):
    """Small updates are no flood of a client that gets small messages."""
    client = wire(echo)
    stream = client.request("/", VERSION, **ASKED)
    client.answer(stream)
    for _ in range(3000):
        client.data(stream, frame(TEXT, b"hi"))
        assert client.until(DATA, stream).payload == b"\x81\x02hi"
        client.send(window_update(0, 4), window_update(stream, 4))
    client.ping()


def test_empty_frames(wire, serve):
    server = serve(echo)
    client = wire(server)
    stream = client.request("/", VERSION, **ASKED)
    client.answer(stream)
    client.send(http2_frame(DATA, 0, stream) * 500)
    assert client.verdict() == (GOAWAY, ENHANCE_YOUR_CALM)
    wait_for(server, rejected_http2_empty_frames=1, websockets_active=0)


async def refusing(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})
    else:
        await answer(send)


def test_refusals_without_end(connect):
    client = connect(refusing)
    for _ in range(300):
        assert client.response(connecting(client)).status == 403
