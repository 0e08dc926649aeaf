"""Clients that leave at any moment, and settings at their smallest: seeded, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import threading
import time

import pytest

from tests.patience import PATIENCE
from tests.server.apps import answer, body, body_of, eventually, start
from tests.server.loops import both_loops
from tests.server.raw import Client, chunked, request


async def anything(scope, receive, send):
    """Behave as the path says."""
    path = scope["path"]
    if "late" in path:
        await asyncio.sleep(0)
    if "timer" in path:
        await asyncio.sleep(0.001)
    data = b"" if "deaf" in path else await body_of(receive)
    if "fail" in path:
        raise KeyError(path)
    if "stream" in path:
        await send(start())
        for _ in range(20):
            await send(body(b"s" * 20_000, more=True))
            if "late" in path:
                await asyncio.sleep(0)
        await send(body(data))
    elif "large" in path:
        await answer(send, b"l" * 2_000_000)
    elif "wait" in path:
        await asyncio.wait([asyncio.ensure_future(receive())], timeout=0.02)
        await answer(send, data)
    else:
        await answer(send, data)


KINDS = ["", "late", "timer", "stream", "late-stream", "large", "wait", "deaf", "late-deaf", "fail"]


def some_requests(chance: random.Random) -> bytes:
    data = b""
    for _ in range(chance.randrange(1, 8)):
        target = "/" + chance.choice(KINDS)
        size = chance.choice([0, 0, 1, 1000, 100_000])
        if chance.random() < 0.2:
            head = request(target, "Transfer-Encoding: chunked", method="POST")
            data += head + chunked(b"c" * (size + 1))
        else:
            fields = ["Expect: 100-continue"] if chance.random() < 0.1 else []
            data += request(target, *fields, body=b"b" * size)
    return data


def behave_badly(client, chance: random.Random) -> None:
    data = some_requests(chance)
    data = data[: chance.choice([len(data), chance.randrange(len(data) + 1)])]
    client.sock.settimeout(0.02)
    with contextlib.suppress(OSError):
        while data:
            size = chance.choice([1, 50, 5000, len(data)])
            data = data[client.sock.send(data[:size]) :]
            if chance.random() < 0.3:
                client.sock.recv(chance.choice([1, 1000, 65536]))
            if chance.random() < 0.02:
                break
    with contextlib.suppress(OSError):
        {"close": client.close, "reset": client.reset, "end": client.end}[
            chance.choice(["close", "reset", "reset", "end"])
        ]()


def many_behave_badly(server, count: int, seconds: float) -> None:
    """So many clients at once, six times each, with pauses of up to so many seconds."""

    def visit(number: int) -> None:
        chance = random.Random(number)
        for _ in range(6):
            client = Client(server.host, server.port, receive_buffer=chance.choice([0, 4096]))
            behave_badly(client, chance)
            time.sleep(seconds * chance.random())
            client.close()

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@both_loops
@pytest.mark.parametrize("small", [False, True], ids=["defaults", "smallest"])
@pytest.mark.parametrize("seed", range(3))
def test_clients_that_leave_at_any_moment_leave_nothing_behind(connect, serve, loop, seed, small):
    marks = {"write_high_water": 1024, "write_low_water": 0, "body_high_water": 1024}
    server = serve(anything, graceful_timeout=0.3, **(marks if small else {}))
    chance = random.Random(f"{seed} {small}")
    for _ in range(25):
        behave_badly(connect(server, receive_buffer=chance.choice([0, 4096])), chance)
    client = connect(server)
    assert client.ask("/", method="POST", body=b"still there").body == b"still there"


HURRIED = {
    "request_head_timeout": 0.3,
    "keep_alive_timeout": 0.3,
    "request_body_timeout": 0.3,
    "min_body_rate": 100_000,
    "min_body_rate_grace": 0.2,
    "write_timeout": 0.3,
    "connection_timeout": 1,
    "request_timeout": 0.2,
    "request_timeout_grace": 0.1,
    "backpressure": 2,
    "max_queue_time": 0.2,
    "max_connections_per_ip": 10,
    "max_requests_per_ip": 200,
}


@both_loops
def test_clients_that_leave_while_every_deadline_passes_leave_nothing_behind(serve):
    """Many at once, so that they meet in the queue and at the limits as well."""
    server = serve(anything, graceful_timeout=0.3, **HURRIED)
    many_behave_badly(server, 12, 0.6)
    eventually(lambda: not server.counters()["connections"])


@both_loops
@pytest.mark.parametrize("low", [0, 1024])
def test_the_smallest_marks_lose_nothing(connect, low):
    settings = {"write_high_water": 1024, "write_low_water": low, "body_high_water": 1024}
    data = random.Random(low).randbytes(1_000_000)

    async def app(scope, receive, send):
        await send(start())
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send(body(message["body"], more=more))

    client = connect(app, receive_buffer=8192, **settings)
    for _ in range(2):
        sender = threading.Thread(target=client.request, kwargs={"method": "POST", "body": data})
        sender.start()
        response = client.response()
        sender.join(PATIENCE)
        assert hashlib.sha256(response.body).digest() == hashlib.sha256(data).digest()


@both_loops
def test_a_client_that_leaves_while_it_is_answered_within_the_read(connect, serve):
    """The write fails inside of what the read has begun."""
    server = serve(anything)
    for _ in range(20):
        client = connect(server, receive_buffer=4096)
        client.send(request("/large") * 10 + request("/stream") * 10)
        client.reset()
    assert connect(server).ask("/").status == 200
