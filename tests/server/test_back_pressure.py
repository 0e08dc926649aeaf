"""Back-pressure: neither side can make the server buffer more than its settings say."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, answer, body, body_of, hello, start, until_it_waits
from tests.server.loops import both_loops
from tests.server.raw import request

MIB = 1024 * 1024
KERNEL = 16 * MIB  # more than what the sockets of both sides hold


@both_loops
@pytest.mark.parametrize("piece", [1000, 65536, 2 * MIB])
def test_send_waits_for_a_client_that_does_not_read(connect, piece):
    seen = Seen()
    total = 24 * MIB // piece

    async def app(scope, receive, send):
        async def stream():
            await send(start())
            for number in range(total):
                await send(body(number.to_bytes(4, "big") * (piece // 4), more=True))
                sent.append(number)
            await send(body())

        sent: list[int] = []
        task = asyncio.create_task(stream())
        seen.put(await until_it_waits(task, sent))
        await task
        seen.put(len(sent))

    client = connect(app, receive_buffer=4096)
    client.request()
    assert seen.get() * piece < KERNEL
    response = client.response()
    assert seen.get() == total
    assert [chunk[:4] for chunk in response.chunks] == [
        number.to_bytes(4, "big") for number in range(total)
    ]
    assert len(response.body) == total * (piece // 4 * 4)


@both_loops
def test_a_waiting_send_ends_in_oserror_when_the_client_leaves(connect, serve):
    seen = Seen()

    async def app(scope, receive, send):
        await send(start())
        task = asyncio.ensure_future(send(body(b"x" * KERNEL, more=True)))
        await asyncio.wait([task], timeout=0.05)
        seen.put(task.done())
        try:
            await task
        except OSError as exc:
            seen.put(type(exc))

    server = serve(app)
    client = connect(server, receive_buffer=4096)
    client.request()
    assert seen.get() is False
    client.reset()
    assert issubclass(seen.get(), OSError)


@both_loops
def test_a_waiting_send_can_be_cancelled(connect):
    seen = Seen()

    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"%d" % (KERNEL + 3))))
        task = asyncio.ensure_future(send(body(b"x" * KERNEL, more=True)))
        await asyncio.wait([task], timeout=0.05)
        seen.put(task.cancel())
        await asyncio.wait([task])
        await send(body(b"end"))

    client = connect(app, receive_buffer=65536)
    client.request()
    assert seen.get() is True
    response = client.response()
    assert len(response.body) == KERNEL + 3
    assert response.body.endswith(b"xend")


def test_several_tasks_may_wait_in_send(connect):
    async def app(scope, receive, send):
        await send(start())
        await asyncio.gather(*(send(body(b"x" * MIB, more=True)) for _ in range(12)))
        await send(body())

    client = connect(app, receive_buffer=65536)
    assert len(client.ask().body) == 12 * MIB


def test_a_slow_client_does_not_hold_up_another(connect, serve):
    async def app(scope, receive, send):
        if scope["path"] == "/":
            return await hello(scope, receive, send)
        return await answer(send, b"x" * KERNEL)

    server = serve(app)
    slow, quick = connect(server, receive_buffer=4096), connect(server)
    slow.request("/big")
    for _ in range(10):
        assert quick.ask("/").body == b"hello"
    assert len(slow.response().body) == KERNEL


@both_loops
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_an_upload_stops_while_the_application_does_not_read(connect, coding):
    gate = Gate()
    digest = hashlib.sha256()

    async def app(scope, receive, send):
        await gate.wait()
        more = True
        while more:
            message = await receive()
            digest.update(message["body"])
            more = message["more_body"]
        await answer(send, digest.hexdigest().encode())

    client = connect(app)
    piece = bytes(range(256)) * 256
    pieces = 24 * MIB // len(piece)
    if coding == "length":
        client.send(request("/", f"Content-Length: {pieces * len(piece)}", method="POST"))
        whole = piece * pieces
    else:
        client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
        whole = b"%x\r\n%b\r\n" % (len(piece), piece) * pieces + b"0\r\n\r\n"
    sent = client.send_until_blocked(whole)
    assert sent < KERNEL
    gate.open()
    client.send(whole[sent:])
    assert client.response().body == hashlib.sha256(piece * pieces).hexdigest().encode()


@pytest.mark.parametrize("size", [1023, 1024, 1025, 5000, 100_000])
@pytest.mark.parametrize("eager", [True, False])
def test_after_a_body_above_the_high_water_the_connection_goes_on(connect, size, eager):
    async def app(scope, receive, send):
        if not eager:
            await asyncio.sleep(0)
        await answer(send, b"%d" % len(await body_of(receive)))

    client = connect(app, body_high_water=1024)
    for _ in range(3):
        assert client.ask(method="POST", body=b"x" * size).body == b"%d" % size
    assert client.ask().body == b"0"


def test_pipelined_requests_wait_in_the_kernel_while_one_is_answered(connect):
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/first":
            await gate.wait()
        await answer(send, scope["raw_path"])

    client = connect(app)
    client.request("/first")
    flood = request("/other", "X-Fill: " + "x" * 8000) * 2000
    sent = client.send_until_blocked(flood)
    assert sent < len(flood)
    gate.open()
    rest = threading.Thread(target=client.send, args=(flood[sent:],))
    rest.start()
    assert client.response().body == b"/first"
    for _ in range(2000):
        assert client.response().body == b"/other"
    rest.join(PATIENCE)
    assert client.silent(0.05)


@both_loops
@pytest.mark.parametrize("eager", [True, False])
def test_answers_that_nobody_takes_put_off_the_next_request(connect, eager):
    """Else a client could have a response made, and kept, for each small request that it sends."""
    seen: list[None] = []

    async def app(scope, receive, send):
        seen.append(None)
        if not eager:
            await asyncio.sleep(0)
        await answer(send, b"x" * MIB)

    client = connect(app, receive_buffer=4096)
    client.send(request() * 40)
    before = -1
    while len(seen) != before:
        before = len(seen)
        time.sleep(0.1)
    assert before * MIB < KERNEL
    for _ in range(40):
        assert len(client.response().body) == MIB
    assert client.silent(0.02)
    client.request()
    assert len(client.response().body) == MIB
