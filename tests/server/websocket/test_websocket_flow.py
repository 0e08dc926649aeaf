"""Back-pressure both ways, and pings that keep a WebSocket alive."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, until_it_waits
from tests.server.inside import durations, inside, wait_for
from tests.server.loops import both_loops
from tests.server.websocket.apps import Recording, accept, echo
from tests.wire.frames import BINARY, PING, PONG, TEXT, close, frame

KERNEL = 16 * 1024 * 1024  # more than what the sockets of both sides hold


@both_loops
@pytest.mark.parametrize("piece", [200, 5000, 300_000])
def test_an_application_that_does_not_read_stops_the_client(open_websocket, piece):
    gate, seen = Gate(), Seen()
    count = KERNEL // piece

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        total = 0
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                break
            assert message["bytes"] == b"x" * piece
            total += 1
        seen.put((total, message["code"]))

    websocket = open_websocket(app, ws_ping_interval=0)
    data = frame(BINARY, b"x" * piece) * count + close(1000)
    sent = websocket.client.send_until_blocked(data)
    assert sent < len(data)
    gate.open()
    websocket.send(data[sent:])
    assert seen.get() == (count, 1000)
    assert websocket.closed() == (1000, "")


def test_a_queue_of_one_message(open_websocket):
    websocket = open_websocket(echo, ws_max_queue=1)
    websocket.send(b"".join(frame(TEXT, b"%d" % number) for number in range(1000)))
    assert [websocket.message() for _ in range(1000)] == [str(number) for number in range(1000)]
    websocket.close()


@both_loops
@pytest.mark.parametrize("piece", [1000, 300_000])
def test_a_client_that_does_not_read_makes_send_wait(open_websocket, piece):
    seen = Seen()
    total = 24 * 1024 * 1024 // piece

    async def app(scope, receive, send):
        async def stream():
            for _ in range(total):
                await send({"type": "websocket.send", "bytes": b"x" * piece})
                sent.append(piece)

        await accept(receive, send)
        sent: list[int] = []
        task = asyncio.create_task(stream())
        seen.put(await until_it_waits(task, sent))
        await task

    websocket = open_websocket(app, receive_buffer=4096, ws_ping_interval=0)
    assert seen.get() * piece < KERNEL
    for _ in range(total):
        assert len(websocket.message()) == piece
    assert websocket.closed() == (1000, "")


def test_a_waiting_send_ends_when_the_client_leaves(open_websocket):
    seen = Seen()

    async def app(scope, receive, send):
        await accept(receive, send)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(1_000_000)})
        except OSError:
            seen.put((await receive())["code"])

    websocket = open_websocket(app, receive_buffer=4096)
    websocket.frame()
    websocket.client.reset()
    assert seen.get() == 1006


def test_pings_of_a_client_that_reads_nothing_do_not_pile_up(open_websocket, serve):
    gate = Gate()

    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.send", "bytes": bytes(KERNEL)})
        await gate.wait()

    server = serve(app, ws_ping_interval=0)
    websocket = open_websocket(server, receive_buffer=4096)
    for number in range(2000):
        websocket.send(frame(PING, b"%100d" % number))
    # all of them were read, and one answer is kept
    assert len(websocket.message()) == KERNEL
    answers = [websocket.frame()]
    assert answers[0].opcode == PONG
    gate.open()
    while (found := websocket.frame()).opcode == PONG:
        answers.append(found)
    assert len(answers) < 1000
    assert int(answers[-1].payload) == 1999


def test_pings_of_a_client_that_reads_are_answered(open_websocket):
    """Of many that come at once; the last one is, and none behind a later one."""
    websocket = open_websocket(echo, write_high_water=1024, write_low_water=512)
    websocket.send(b"".join(frame(PING, b"%100d" % number) for number in range(100)))
    answered = [-1]
    while answered[-1] != 99:
        found = websocket.frame()
        assert found.opcode == PONG
        answered.append(int(found.payload))
    assert answered == sorted(answered)


# pings of the server


@both_loops
def test_pings(open_websocket, serve):
    app = Recording()
    server = serve(app, ws_ping_interval=0.3, ws_ping_timeout=30.0)
    websocket = open_websocket(server)
    for _ in range(2):
        found = websocket.frame()
        assert (found.opcode, len(found.payload)) == (PING, 8)
        websocket.send(frame(PONG, b"unasked") + frame(PONG, found.payload))
    app.get()
    deadline = time.monotonic() + PATIENCE
    while sum(durations(server, "websocket_round_trip")[0]) < 2:
        assert time.monotonic() < deadline
    websocket.client.close()


def test_a_ping_that_is_not_answered(open_websocket, serve):
    app = Recording()
    server = serve(app, ws_ping_interval=0.3, ws_ping_timeout=3)
    websocket = open_websocket(server)
    app.get()
    assert websocket.frame().opcode == PING
    websocket.say("I live, and answer nothing")
    assert websocket.closed()[0] == 1011
    assert app.get()["type"] == "websocket.receive"
    assert app.end()[0] == 1011
    wait_for(server, rejected_websocket=1, websockets_active=0)


def test_no_answer_is_waited_for_where_nothing_is_read(open_websocket):
    """It may lie behind what the application does not take."""
    gate, seen = Gate(), Seen()

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        while (message := await receive())["type"] == "websocket.receive":
            pass
        seen.put(message["code"])

    settings = {"ws_ping_interval": 0.3, "ws_ping_timeout": 0.5, "ws_max_queue": 1}
    websocket = open_websocket(app, behind=frame(TEXT, b"a") * 3, **settings)
    ping = websocket.frame()
    assert ping.opcode == PING
    time.sleep(1.5)  # the timeout passes three times
    websocket.send(frame(PONG, ping.payload) + close(1000))
    gate.open()
    assert seen.get() == 1000


# many clients


@both_loops
@pytest.mark.parametrize("size", [20, 2000])
def test_a_message_to_all_does_not_lie_in_memory_for_each_of_them(open_websocket, serve, size):
    pools: list[Any] = []
    members, seen = [], Seen()

    async def app(scope, receive, send):
        await accept(receive, send)
        members.append(send)
        seen.put(None)
        while (message := await receive())["type"] == "websocket.receive":
            for _ in range(2):
                for member in members:
                    await member({"type": "websocket.send", "bytes": message["bytes"]})
                seen.put(pools[0].live)
        members.remove(send)

    server = serve(app, ws_ping_interval=0)
    pools.append(inside(server, lambda core: core.reactor.pool))
    websockets = [open_websocket(server) for _ in range(100)]
    for _ in websockets:
        seen.get()
    websockets[0].say(bytes(size))
    assert max(seen.get(), seen.get()) < 75
    for websocket in websockets:
        assert [websocket.message(), websocket.message()] == [bytes(size)] * 2
