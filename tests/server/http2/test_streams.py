"""Streams beside each other: their order, their ends, their number and their priorities."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from tests.http2.wire import (
    CANCEL,
    DATA,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW,
    MAX_STREAMS,
    NO_ERROR,
    PRIORITY_UPDATE,
    REFUSED_STREAM,
    frame,
    window_update,
)
from tests.patience import PATIENCE
from tests.server.apps import Seen, answer, body, body_of, eventually, hello, start
from tests.server.http2.marks import every_interface, plain_and_tls
from tests.server.inside import counted, wait_for


class Held:
    """An application whose calls wait, each until it is let go by its path."""

    def __init__(self) -> None:
        self.seen = Seen()
        self._events: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope, receive, send):
        self._loop = asyncio.get_running_loop()
        path = scope["path"]
        event = self._events[path] = asyncio.Event()
        self.seen.put(path)
        await event.wait()
        await answer(send, path.encode())

    def let_go(self, path: str) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._events[path].set)


@plain_and_tls
def test_answers_come_in_any_order(connect):
    held = Held()
    client = connect(held)
    paths = [f"/{number}" for number in range(100)]
    streams = {path: client.request(path) for path in paths}
    for path in paths:
        assert held.seen.get() == path
    for path in [*paths[::-2], *paths[::2]]:
        held.let_go(path)
        assert client.response(streams[path]).body == path.encode()


@every_interface
def test_many_at_once(connect, interface):
    """All of them in one write."""
    client = connect(hello)
    for _ in range(3):
        streams = []
        for _ in range(100):
            stream = client.h2.get_next_available_stream_id()
            from tests.http2.client import Response
            from tests.http2.wire import request_fields

            client.responses[stream] = Response(stream)
            client.h2.send_headers(stream, request_fields(), end_stream=True)
            streams.append(stream)
        client.flush()
        for stream in streams:
            assert client.response(stream).body == b"hello"


def test_more_streams_than_allowed_are_refused(serve, connect, wire):
    held = Held()
    server = serve(held, http2_max_concurrent_streams=5)
    told = connect(server)
    told.ping()
    assert told.settings[MAX_STREAMS] == 5
    client = wire(server)
    streams = [client.request(f"/{number}") for number in range(5)]
    for number in range(5):
        assert held.seen.get() == f"/{number}"
    client.ping()
    more = client.request("/more")
    assert client.verdict(more) == (3, REFUSED_STREAM)
    held.let_go("/0")
    assert client.answer(streams[0])[":status"] == "200"
    client.until(DATA, streams[0], END_STREAM)
    more = client.request("/more")
    assert held.seen.get() == "/more"
    held.let_go("/more")
    assert client.answer(more)[":status"] == "200"
    for number in range(1, 5):
        held.let_go(f"/{number}")


@pytest.mark.parametrize("code", [CANCEL, NO_ERROR, REFUSED_STREAM])
def test_a_reset_is_a_disconnect(connect, serve, code):
    seen = Seen()

    async def app(scope, receive, send):
        if scope["path"] == "/good":
            return await answer(send, b"good")
        seen.put("called")
        seen.put((await receive())["type"])
        seen.put((await receive())["type"])
        try:
            await send(start())
            await send(body(b"x"))
        except OSError as exc:
            seen.put(type(exc).__name__)
        return None

    server = serve(app)
    client = connect(server)
    stream = client.request("/bad")
    assert seen.get() == "called"
    assert seen.get() == "http.request"
    assert counted(server)["requests_active"] == 1
    client.reset(stream, code)
    assert seen.get() == "http.disconnect"
    assert seen.get() == "ClientDisconnected"
    wait_for(server, requests_active=0)
    eventually(lambda: server.counters()["exchanges"] == 0)
    assert client.ask("/good").body == b"good"


def test_a_reset_in_the_body_is_a_disconnect(connect):
    seen = Seen()

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            seen.put(message["body"])
        seen.put(message["type"])

    client = connect(app)
    stream = client.request(method="POST", end=False)
    client.data(stream, b"hello")
    assert seen.get() == b"hello"
    client.reset(stream)
    assert seen.get() == "http.disconnect"
    client.ping()


def test_the_end_of_a_connection_is_a_disconnect_to_all_streams(connect, serve):
    seen = Seen()

    async def app(scope, receive, send):
        await receive()
        seen.put("called")
        seen.put((await receive())["type"])

    server = serve(app)
    client = connect(server)
    for _ in range(10):
        client.request()
        assert seen.get() == "called"
    client.close()
    for _ in range(10):
        assert seen.get() == "http.disconnect"
    wait_for(server, requests_active=0, connections_active=0)


def test_who_waits_for_a_thread_is_freed_at_once(connect, serve):
    """Without the garbage collector's help."""
    gate = threading.Event()

    def app(environ, start_response):
        assert gate.wait(PATIENCE)
        start_response("200 OK", [])
        return [b"hello"]

    server = serve(app, interface="wsgi", blocking_threads=2)
    client = connect(server)
    held = [client.request() for _ in range(2)]
    gc.disable()
    try:
        waiting = [client.request() for _ in range(20)]
        wait_for(server, blocking_queue=20)
        for stream in waiting:
            client.reset(stream)
        client.ping()
        gate.set()
        assert {client.response(stream).body for stream in held} == {b"hello"}
        eventually(lambda: server.counters()["exchanges"] == 0)
    finally:
        gc.enable()


def test_a_cancelled_stream_frees_its_exchange_while_others_run(connect, serve):
    held = Held()
    server = serve(held)
    client = connect(server)
    kept = client.request("/kept")
    held.seen.get()
    for number in range(50):
        stream = client.request(f"/{number}")
        held.seen.get()
        client.reset(stream)
    client.ping()
    for number in range(50):
        held.let_go(f"/{number}")
    eventually(lambda: server.counters()["exchanges"] == 1)
    held.let_go("/kept")
    assert client.response(kept).body == b"/kept"


def test_a_response_before_the_end_of_the_body(connect):
    """The client need not send the rest: it is told by a reset that is no error."""
    client = connect(hello)
    stream = client.request(method="POST", end=False)
    response = client.responses[stream]
    client.until(lambda: response.body == b"hello" and response.ended)
    client.until(lambda: response.reset is not None)
    assert response.reset == NO_ERROR
    assert client.ask().body == b"hello"


# order


async def large(scope, receive, send):
    await send(start())
    for _ in range(8):
        await send(body(b"x" * 65536, more=True))
    await send(body())


SIZE = 8 * 65536
WINDOW = 65535  # of a connection, unless more is given


def opened(wire, *lines, app=large, path="/"):
    """A client with a window for the connection that is shut, and a stream for each priority."""
    client = wire(app, values={INITIAL_WINDOW: 2**30})
    streams = [client.request(path, *([f"priority: {line}"] if line else [])) for line in lines]
    for stream in streams:
        client.answer(stream)
    return client, streams


def received(client, size):
    """Read until `size` octets of DATA have come in all; return which streams' the new ones are."""
    order = []
    while client.received < size:
        found = client.until(DATA)
        order.append((found.stream, len(found.payload)))
    return order


def shares(order, streams):
    return [sum(size for stream, size in order if stream == mine) for mine in streams]


@plain_and_tls
def test_streams_of_one_priority_share_the_connection(wire):
    """None waits for another's end."""
    client, streams = opened(wire, "i", "i", "i", "i")
    received(client, WINDOW)  # what came before all of them had begun
    client.send(window_update(0, 4 * 65536))
    order = received(client, WINDOW + 4 * 65536)
    assert min(shares(order, streams)) >= 32768


def test_the_urgent_come_first(wire):
    client, streams = opened(wire, "u=7", "u=5", "u=0")
    received(client, WINDOW)
    client.ping()
    client.send(window_update(0, SIZE - 65535))
    order = received(client, SIZE)
    late, middle, urgent = shares(order, streams)
    assert urgent > 2 * middle
    assert late == 0


def test_a_stream_becomes_urgent(wire):
    client, streams = opened(wire, "u=3", "u=3")
    received(client, WINDOW)
    update = frame(PRIORITY_UPDATE, 0, 0, streams[1].to_bytes(4, "big") + b"u=0")
    client.send(update)
    client.ping()
    client.send(window_update(0, 200_000))
    order = received(client, WINDOW + 200_000)
    assert shares(order, streams) == [0, 200_000]


def test_a_priority_that_cannot_be_read_is_none(wire):
    client, _ = opened(wire, "u=99", "u=;;", "i=?2")
    client.send(window_update(0, 2**30))
    received(client, 3 * SIZE)


def test_a_slow_stream_does_not_hold_up_small_ones(wire):
    """What is asked while a large answer is on its way need not wait for its end."""

    async def app(scope, receive, send):
        await (large if scope["path"] == "/large" else hello)(scope, receive, send)

    client = wire(app, values={INITIAL_WINDOW: 2**30})
    big = client.request("/large")
    client.answer(big)
    received(client, WINDOW)
    small = client.request("/small", "priority: u=1")
    client.answer(small)
    client.ping()
    client.send(window_update(0, 30_000))
    order = received(client, WINDOW + 30_000)
    assert order[0] == (small, 5)


def test_bodies_of_many_streams_at_once(connect):
    """Each its own, whatever the order of the frames."""

    async def app(scope, receive, send):
        data = await body_of(receive)
        await answer(send, scope["path"].encode() + data)

    client = connect(app)
    streams = [client.request(f"/{number}", method="POST", end=False) for number in range(20)]
    for turn in range(10):
        for number, stream in enumerate(streams):
            client.data(stream, b"%d:%d," % (number, turn), end=turn == 9)
    for number, stream in enumerate(streams):
        expected = b"/%d" % number + b"".join(b"%d:%d," % (number, turn) for turn in range(10))
        assert client.response(stream).body == expected


def test_no_frame_follows_a_reset(wire):
    """What is queued for a stream that the client resets is dropped."""
    client = wire(large, values={INITIAL_WINDOW: 2**30})
    streams = [client.request() for _ in range(3)]
    for stream in streams:
        client.answer(stream)
    received(client, WINDOW)
    from tests.http2.wire import reset

    client.send(reset(streams[0]), reset(streams[1]))
    client.ping()
    client.send(window_update(0, 2**30))
    while True:
        found = client.until(DATA)
        assert found.stream == streams[2]
        if found.flags & END_STREAM:
            break


def test_headers_of_a_new_stream_with_old_priorities(wire):
    """The priorities of RFC 7540 are read over."""
    client = wire(hello)
    from tests.http2.wire import END_HEADERS, PRIORITY, WITH_PRIORITY, request_fields

    client.send(frame(PRIORITY, 0, 1, b"\x80\0\0\x05\xff"), frame(PRIORITY, 0, 7, b"\0\0\0\0\x01"))
    stream = client.new_stream()
    block = client.encoder.encode(request_fields())
    flags = END_HEADERS | END_STREAM | WITH_PRIORITY
    client.send(frame(HEADERS, flags, stream, b"\0\0\0\0\x10" + block))
    assert client.answer(stream)[":status"] == "200"
