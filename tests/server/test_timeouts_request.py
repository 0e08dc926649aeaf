"""The deadline of a whole request: what the client gets, and what becomes of the application's
call.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from granite._core.exchange import ClientDisconnected
from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, answer, body, body_of, eventually, hello, start
from tests.server.inside import counted
from tests.server.loops import both_loops
from tests.server.raw import request


def gets_504(client) -> bool:
    response = client.response()
    return (response.status, response.get("connection"), client.gone()) == (504, "close", True)


def cut(client) -> bool:
    """Whether the connection ends with a reset, without another byte that was not sent."""
    try:
        client.rest()
    except OSError:
        return True
    return False


def cancellations(log) -> list[str]:
    return [message for message in log.messages if "cancelled" in message]


@both_loops
def test_a_request_without_an_answer_is_a_504(connect, serve, log):
    seen = Seen()

    async def app(scope, receive, send):
        await receive()
        seen.put((await receive())["type"])
        try:
            await send(start())
            await send(body(b"late", more=True))
        except ClientDisconnected:
            seen.put("raised")

    server = serve(app, request_timeout=0.3)
    client = connect(server)
    began = time.monotonic()
    client.request("/slow")
    assert gets_504(client)
    assert 0.25 < time.monotonic() - began < PATIENCE
    assert [seen.get(), seen.get()] == ["http.disconnect", "raised"]
    eventually(lambda: not server.counters()["exchanges"])
    (line,) = [message for message in log.messages if "504" in message]
    assert "GET /slow" in line
    assert "0.3 s" in line
    assert not cancellations(log)
    assert counted(server)["rejected_request_timeout"] == 1


@both_loops
def test_a_call_that_goes_on_is_cancelled_after_the_grace(connect, serve, log):
    seen = Seen()

    async def app(scope, receive, send):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.put(time.monotonic())
            raise

    server = serve(app, request_timeout=0.3, request_timeout_grace=0.5)
    client = connect(server)
    began = time.monotonic()
    client.request("/hangs")
    assert gets_504(client)
    assert seen.get() - began > 0.75  # of 0.8 from the head on
    eventually(lambda: not server.counters()["exchanges"])
    eventually(lambda: not server.counters()["timers"])
    (line,) = cancellations(log)
    assert "GET /hangs" in line
    assert server.exceptions == []


def test_calls_that_go_on_are_cancelled_one_after_the_other(connect, serve, log):
    seen = Seen()

    async def app(scope, receive, send):
        try:
            await asyncio.sleep(30)
        finally:
            seen.put(scope["path"])

    server = serve(app, request_timeout=1, request_timeout_grace=0.5)
    clients = [connect(server) for _ in range(4)]
    for number, client in enumerate(clients):
        client.request(f"/{number}")
        time.sleep(0.1)
    for client in clients:
        assert gets_504(client)
    assert {seen.get() for _ in clients} == {"/0", "/1", "/2", "/3"}
    eventually(lambda: not server.counters()["running"])
    assert len(cancellations(log)) == 4


def test_a_call_that_ends_within_the_grace_is_not_cancelled(connect, serve, log):
    seen, gate = Seen(), Gate()

    async def app(scope, receive, send):
        await gate.wait()
        seen.put("ended")

    server = serve(app, request_timeout=0.2, request_timeout_grace=10)
    client = connect(server)
    client.request()
    assert gets_504(client)
    gate.open()
    assert seen.get() == "ended"
    eventually(lambda: not server.counters()["timers"])
    assert not cancellations(log)


def test_a_call_that_ignores_its_cancellation_is_told_once(connect, serve, log):
    async def app(scope, receive, send):
        for seconds in (30, 0.5, 0.5):  # which no other cancellation cuts short
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(seconds)

    server = serve(app, request_timeout=0.1, request_timeout_grace=0)
    client = connect(server)
    client.request()
    assert gets_504(client)
    eventually(lambda: not server.counters()["exchanges"])
    assert len(cancellations(log)) == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("fields", [[], [(b"content-length", b"10")]], ids=["no length", "length"])
def test_a_response_that_has_begun_is_cut(connect, serve, version, fields):
    seen = Seen()

    async def app(scope, receive, send):
        await send(start(200, *fields))
        await send(body(b"begun", more=True))
        await receive()
        seen.put((await receive())["type"])
        try:
            await send(body(b"ended"))
        except ClientDisconnected:
            seen.put("raised")

    client = connect(app, request_timeout=0.3)
    client.send(request("/", version=version))
    client.until(b"begun")
    assert cut(client)
    assert [seen.get(), seen.get()] == ["http.disconnect", "raised"]


def test_a_head_that_was_held_back_gives_way_to_the_504(connect):
    async def app(scope, receive, send):
        await send(start())
        await asyncio.sleep(30)

    client = connect(app, request_timeout=0.3, request_timeout_grace=0.1)
    client.request()
    assert gets_504(client)


def test_a_client_that_takes_its_response_slowly_is_cut(connect, serve):
    seen = Seen()

    async def app(scope, receive, send):
        await send(start())
        try:
            while True:
                await send(body(b"x" * 100_000, more=True))
        except OSError:
            seen.put("cut")
        except asyncio.CancelledError:
            seen.put("cut")
            raise

    server = serve(app, request_timeout=0.5)
    client = connect(server, receive_buffer=4096)
    client.request()
    assert seen.get() == "cut"
    eventually(lambda: not server.counters()["connections"])
    eventually(lambda: not server.counters()["buffers"])  # a moment later


def test_the_time_counts_from_the_end_of_the_head(connect):
    async def app(scope, receive, send):
        await answer(send, await body_of(receive))

    client = connect(app, request_timeout=3)
    data = request("/", "Content-Length: 5", method="POST")
    client.send(data[:20])
    assert client.silent(3.5)
    client.send(data[20:] + b"he")
    assert client.silent(0.2)
    client.send(b"llo")
    assert client.response().body == b"hello"
    client.send(data + b"he")
    assert gets_504(client)


def test_requests_in_time_are_served(connect, serve, log):
    async def app(scope, receive, send):
        await asyncio.sleep(0.2)
        await hello(scope, receive, send)

    server = serve(app, request_timeout=3, request_timeout_grace=0)
    client = connect(server)
    client.send(request() * 3)
    for _ in range(3):
        assert client.response().body == b"hello"
    assert client.silent(3.5)
    assert client.ask().body == b"hello"
    assert not [message for message in log.messages if "took longer" in message]


def test_work_after_the_response_is_no_matter_of_the_deadline(connect, serve, log):
    seen = Seen()

    async def app(scope, receive, send):
        await answer(send)
        await asyncio.sleep(0.7)
        seen.put("worked")

    client = connect(app, request_timeout=0.2, request_timeout_grace=0)
    assert client.ask().status == 200
    assert seen.get() == "worked"
    assert not cancellations(log)


def test_the_end_of_the_server_finds_calls_in_their_grace(connect, serve):
    async def app(scope, receive, send):
        await asyncio.sleep(30)

    server = serve(app, request_timeout=0.1, request_timeout_grace=30, graceful_timeout=0.1)
    client = connect(server)
    client.request()
    assert gets_504(client)
    server.stop()
