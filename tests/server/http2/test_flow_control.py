"""Flow control: neither side can make the other keep more than it has said, and a stream that
stands still holds up no other one.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.http2.wire import DATA, INITIAL_WINDOW, PADDED, WINDOW_UPDATE, frame, window_update
from tests.server.apps import Gate, Seen, answer, body, body_of, hello, start
from tests.server.http2.marks import plain_and_tls

WINDOW = 65535
MIB = 1024 * 1024


def fill(client, stream) -> int:
    """Send body until there is no more room, and return how much that was."""
    sent = 0
    while True:
        while room := client.room(stream):
            client.data(stream, b"x" * room)
            sent += room
        client.ping()  # whatever the server gives for what it has read lies before the answer
        if not client.room(stream):
            return sent


def gated(gate: Gate, seen: Seen | None = None):
    """An application that reads bodies, of /slow only behind the gate."""

    async def app(scope, receive, send):
        if scope["path"] == "/slow":
            await gate.wait()
        data = await body_of(receive)
        await answer(send, b"%d" % len(data))

    return app


async def medium(scope, receive, send):
    await answer(send, b"x" * 100_000)


async def large(scope, receive, send):
    await answer(send, b"x" * 300_000)


@plain_and_tls
def test_a_body_that_is_not_read_gets_no_window(connect):
    gate = Gate()
    client = connect(gated(gate), http2_initial_stream_window_size=WINDOW, body_high_water=16384)
    client.ping()
    slow = client.request("/slow", method="POST", end=False)
    sent = fill(client, slow)
    assert sent <= 2 * WINDOW
    for _ in range(3):  # the others go on, with bodies
        assert client.ask("/", method="POST", body=b"y" * 200_000).body == b"200000"
    assert client.room(slow) == 0
    gate.open()
    client.data(slow, b"x" * 300_000, end=True)
    assert client.response(slow).body == b"%d" % (sent + 300_000)


def test_many_bodies_that_are_not_read_do_not_stop_one_that_is(connect):
    async def app(scope, receive, send):
        if scope["path"] == "/slow":
            seen.put(scope)
            await event.wait()
        await answer(send, b"%d" % len(await body_of(receive)))

    seen, event = Seen(), asyncio.Event()
    window = WINDOW
    client = connect(
        app,
        http2_initial_stream_window_size=window,
        http2_initial_connection_window_size=window,
        graceful_timeout=0.1,  # nobody lets go of the slow ones
    )
    client.ping()
    streams = [client.request("/slow", method="POST", end=False) for _ in range(8)]
    for _ in streams:
        seen.get()
    for stream in streams:
        fill(client, stream)
    assert client.ask("/", method="POST", body=b"y" * 300_000).body == b"300000"
    for stream in streams:
        client.reset(stream)
    client.ping()


def test_the_body_of_a_cancelled_stream_gives_its_window_back(connect):
    """That of the connection, or a client could use it up."""
    gate = Gate()
    client = connect(gated(gate), http2_initial_connection_window_size=WINDOW, graceful_timeout=0.1)
    client.ping()
    for _ in range(5):
        stream = client.request("/slow", method="POST", end=False)
        fill(client, stream)
        client.reset(stream)
        client.ping()
    assert client.ask("/", method="POST", body=b"y" * 300_000).body == b"300000"


def test_a_body_that_nobody_reads_gives_its_window_back(wire):
    """Nor does anybody once the stream has ended."""
    client = wire(hello, http2_initial_connection_window_size=WINDOW)
    sent = given = 0
    while sent < 10 * WINDOW:
        stream = client.request(method="POST", end=False)
        client.data(stream, b"x" * 16_000)
        sent += 16_000
        answered = False
        while not answered or sent - given > WINDOW - 16_000:
            found = client.read()
            assert found is not None
            if found.kind == WINDOW_UPDATE and found.stream == 0:
                given += int.from_bytes(found.payload, "big")
            answered |= found.stream == stream


def test_padding_gives_its_window_back(wire):
    """All of a frame's octets count, and all of them are given back."""
    client = wire(gated(Gate()))
    stream = client.request(method="POST", end=False)
    given = 0
    client.send(*[frame(DATA, PADDED, stream, b"\xff" + b"x" + bytes(255))] * 200)
    client.ping()
    client.send(*[frame(DATA, PADDED, stream, b"\xff" + b"x" + bytes(255))] * 2000)
    client.data(stream, end=True)
    for found in client.frames():
        if found.kind == 8 and found.stream == 0:
            given += int.from_bytes(found.payload, "big")
        if found.kind == DATA and found.payload:
            assert found.payload == b"2200"
            break


@plain_and_tls
def test_a_stream_without_a_window_makes_only_its_own_send_wait(connect):
    seen = Seen()

    async def app(scope, receive, send):
        if scope["path"] != "/slow":
            return await answer(send, b"y" * 100_000)
        await send(start())
        for _ in range(64):
            await send(body(b"x" * 65536, more=True))
        await send(body())
        seen.put("sent")
        return None

    client = connect(app, stalls=True)
    client.h2.increment_flow_control_window(2**30)
    client.flush()
    slow = client.request("/slow")
    client.until(lambda: len(client.responses[slow].body) == WINDOW)
    for _ in range(5):
        other = client.request("/")
        response = client.responses[other]
        client.until(lambda: len(response.body) == WINDOW)  # noqa: B023
        client.acknowledge(other, 100_000)
        assert len(client.response(other).body) == 100_000
    assert seen.empty
    assert len(client.responses[slow].body) == WINDOW
    client.h2.increment_flow_control_window(2**30, slow)
    client.flush()
    assert len(client.response(slow).body) == 64 * 65536
    assert seen.get() == "sent"


def test_a_connection_without_a_window(connect):
    client = connect(
        large,
        stalls=True,
        values={INITIAL_WINDOW: 2**30},
    )
    streams = [client.request() for _ in range(3)]
    responses = [client.responses[stream] for stream in streams]

    def come():
        return sum(len(response.body) for response in responses)

    client.until(lambda: come() == WINDOW)
    client.ping()
    assert come() == WINDOW
    client.h2.increment_flow_control_window(1000)
    client.flush()
    client.until(lambda: come() == WINDOW + 1000)
    client.h2.increment_flow_control_window(2**30)
    client.flush()
    for stream in streams:
        assert len(client.response(stream).body) == 300_000


def test_a_window_of_a_few_octets(connect):
    client = connect(hello, stalls=True, values={INITIAL_WINDOW: 1})
    stream = client.request()
    for size in range(1, 5):
        client.until(lambda: len(client.responses[stream].body) == size)  # noqa: B023
        client.ping()
        assert client.responses[stream].body == b"hello"[:size]
        client.acknowledge(stream, 1) if size < 4 else None
        if size == 4:
            client.acknowledge(stream, 1)
    assert client.response(stream).body == b"hello"


def test_a_window_that_becomes_larger_and_smaller(wire):
    client = wire(medium, values={INITIAL_WINDOW: 0})
    from tests.http2.wire import settings

    stream = client.request()
    client.answer(stream)
    client.ping()
    client.send(settings({INITIAL_WINDOW: 1000}))
    assert len(client.until(DATA, stream).payload) == 1000
    client.send(settings({INITIAL_WINDOW: 500}), window_update(stream, 1500))
    assert len(client.until(DATA, stream).payload) == 1000
    client.ping()
    client.send(settings({INITIAL_WINDOW: 600}))
    assert len(client.until(DATA, stream).payload) == 100


def test_bytes_ahead_of_a_stream_are_bounded(connect):
    """`http2_max_send_buffer_size` is what `send()` may run ahead."""
    seen, piece = Seen(), 10_000

    async def app(scope, receive, send):
        async def stream():
            await send(start())
            for _ in range(500):
                await send(body(b"x" * piece, more=True))
                sent.append(piece)
            await send(body())

        sent: list[int] = []
        task = asyncio.create_task(stream())
        await asyncio.wait([task], timeout=0.5)
        seen.put(sum(sent))
        await task

    ahead = []
    for size in (65536, 1_000_000):
        client = connect(app, stalls=True, http2_max_send_buffer_size=size, write_high_water=size)
        stream = client.request()
        ahead.append(seen.get())
        client.h2.increment_flow_control_window(2**30)
        client.h2.increment_flow_control_window(2**30, stream)
        client.flush()
        assert len(client.response(stream).body) == 500 * piece
    assert ahead[0] < 500_000 < ahead[1] < 4_000_000


@pytest.mark.parametrize("cause", ["of the stream", "of the connection"])
def test_a_waiting_send_ends_with_a_reset(connect, cause):
    seen = Seen()

    async def app(scope, receive, send):
        await send(start())
        try:
            await send(body(b"x" * MIB, more=True))
            await send(body(b"x" * MIB, more=True))
        except OSError as exc:
            seen.put(type(exc).__name__)

    client = connect(app, stalls=True)
    stream = client.request()
    client.until(lambda: len(client.responses[stream].body) == WINDOW)
    client.reset(stream) if cause == "of the stream" else client.abort()
    assert seen.get() == "ClientDisconnected"
