"""The end of a server with connections in every state: nothing is left, nothing is lost.

Every test of this folder checks that the counters are zero at the end; these bring the server to
its end while something is going on.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest

from granite._core.server import Server
from tests.patience import PATIENCE
from tests.server.apps import (
    Gate,
    Seen,
    answer,
    body,
    echo_path,
    eventually,
    held_up,
    hello,
    start,
    with_lifespan,
)
from tests.server.inside import inside, stopping, wait_for
from tests.server.loops import both_loops
from tests.server.raw import request


@both_loops
def test_idle_connections_are_closed(connect, serve):
    server = serve(hello)
    fresh, used = connect(server), connect(server)
    used.ask()
    eventually(lambda: server.counters()["connections"] == 2)
    server.stop()
    assert fresh.ended()
    assert used.ended()


@both_loops
def test_a_request_in_flight_is_answered_with_connection_close(connect, serve):
    gate = Gate()
    app = held_up(gate, b"done")
    server = serve(app, graceful_timeout=60)
    client, idle = connect(server), connect(server)
    client.request()
    assert gate.reached.wait(PATIENCE)
    with stopping(server):
        assert idle.ended()
        gate.open()
        response = client.response()
        assert response.body == b"done"
        assert response.get("connection") == "close"
        assert client.ended()


def test_a_client_that_has_its_answer_and_stays_does_not_hold_up_the_end(connect, serve):
    gate = Gate()
    app = held_up(gate, b"done")
    server = serve(app, graceful_timeout=600)
    client = connect(server)
    client.request()
    assert gate.reached.wait(PATIENCE)
    with stopping(server):
        gate.open()
        assert client.response().body == b"done"
        assert client.ended()


@both_loops
def test_a_response_in_flight_is_completed(connect, serve):
    gate = Gate()

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"first", more=True))
        await gate.wait()
        await send(body(b"x" * 3_000_000))

    server = serve(app, graceful_timeout=60)
    client, idle = connect(server), connect(server)
    client.request()
    assert gate.reached.wait(PATIENCE)
    with stopping(server):
        assert idle.ended()
        gate.open()
        assert len(client.response().body) == 3_000_005
        assert client.ended()


def test_an_upload_in_flight_is_completed(connect, serve):
    seen = Seen()

    async def app(scope, receive, send):
        data = b""
        more = True
        while more:
            message = await receive()
            seen.put(message["body"])
            more = message["more_body"]
            data += message["body"]
        await answer(send, data)

    server = serve(app, graceful_timeout=60)
    client, idle = connect(server), connect(server)
    client.send(request("/", "Content-Length: 10", method="POST") + b"12345")
    assert seen.get() == b"12345"
    with stopping(server):
        assert idle.ended()
        client.send(b"67890")
        response = client.response()
        assert response.body == b"1234567890"
        assert response.get("connection") == "close"
        assert client.ended()


def test_new_connections_are_refused_while_it_drains(connect, serve):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        await answer(send)

    server = serve(app, graceful_timeout=60)
    client, idle = connect(server), connect(server)
    client.request()
    assert gate.reached.wait(PATIENCE)
    with stopping(server):
        assert idle.ended()
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        gate.open()
        assert client.response().status == 200


@both_loops
def test_work_after_the_response_is_waited_for(connect, serve):
    gate, seen = Gate(), Seen()

    async def app(scope, receive, send):
        await answer(send, b"done")
        await gate.wait()
        seen.put("worked")

    server = serve(app, graceful_timeout=60)
    client = connect(server)
    assert client.ask().body == b"done"
    assert gate.reached.wait(PATIENCE)
    with stopping(server):
        assert client.ended()
        assert seen.empty
        gate.open()
    assert seen.get() == "worked"


@both_loops
def test_an_application_that_hangs_is_cancelled(connect, serve):
    seen = Seen()

    async def app(scope, receive, send):
        try:
            if scope["path"] == "/receive":
                while True:
                    await receive()
                    await asyncio.sleep(0.001)
            elif scope["path"] == "/send":
                await answer(send, b"x" * 30_000_000)
            else:
                seen.put("hanging")
                await asyncio.Event().wait()
        except OSError:
            pass
        finally:
            seen.put(scope["path"])

    server = serve(app, graceful_timeout=0.2)
    clients = [connect(server, receive_buffer=4096) for _ in range(3)]
    for client, path in zip(clients, ("/hang", "/send", "/receive"), strict=True):
        client.request(path)
    assert seen.get() == "hanging"
    wait_for(server, requests_handled=3)
    server.stop()
    paths = {seen.get() for _ in range(3)}
    assert paths == {"/hang", "/send", "/receive"}
    assert clients[0].gone()
    assert server.exceptions == []


@both_loops
def test_the_end_finds_connections_in_every_state(connect, serve):
    async def app(scope, receive, send):
        if scope["path"] == "/hang":
            await asyncio.Event().wait()
        if scope["path"] == "/stream":
            await send(start())
            await send(body(b"x", more=True))
            await asyncio.Event().wait()
        await answer(send, scope["raw_path"])

    server = serve(app, graceful_timeout=0.1)
    post = request("/hang", "Content-Length: 100000", method="POST")
    expecting = request("/hang", "Content-Length: 5", "Expect: 100-continue", method="POST")
    chunks = request("/hang", "Transfer-Encoding: chunked", method="POST")
    clients = []
    for data in (
        b"",
        b"GET",
        b"GET / HTTP/1.1\r\nHost: t",
        request("/fine"),
        request("/hang"),
        request("/hang") + request("/behind") * 20,
        request("/stream"),
        request("/fine") * 5 + request("/stream") + b"GET /part",
        post,
        post + b"x" * 99_999,
        request("/early", "Content-Length: 9", method="POST") + b"x",
        expecting,
        chunks + b"5\r\nhel",
        b"nonsense\r\n\r\n",
    ):
        client = connect(server)
        client.send(data)
        clients.append(client)
    eventually(lambda: server.counters()["running"] >= 7)
    left = connect(server)
    left.request("/hang")
    left.reset()
    server.stop()
    for client in clients:
        with contextlib.suppress(ConnectionResetError):
            client.rest()


def test_the_lifespan_ends_after_the_last_request(connect, serve):
    gate, seen = Gate(), Seen()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            seen.put("shutdown")
            return await send({"type": "lifespan.shutdown.complete"})
        await gate.wait()
        await answer(send)
        return seen.put("answered")

    server = serve(app, lifespan="on", graceful_timeout=60)
    client = connect(server)
    client.request()
    assert gate.reached.wait(PATIENCE)
    with stopping(server):
        gate.open()
        assert client.response().status == 200
    assert [seen.get(), seen.get()] == ["answered", "shutdown"]


def test_the_counters_follow_what_is_open(connect, serve):
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/wait":
            await gate.wait()
        await echo_path(scope, receive, send)

    server = serve(with_lifespan(app, lambda state: None), lifespan="on")
    assert server.counters()["connections"] == 0
    idle, busy = connect(server), connect(server)
    idle.ask()
    busy.request("/wait")
    assert gate.reached.wait(PATIENCE)
    counters = server.counters()
    assert (counters["connections"], counters["sessions"], counters["running"]) == (2, 1, 1)
    gate.open()
    assert busy.response().body == b"/wait"
    eventually(lambda: server.counters()["sessions"] == 0)
    for client in (idle, busy):
        client.close()
    eventually(lambda: server.counters()["connections"] == 0)
    assert server.counters()["exchanges"] == 0


def drain(server, grace=5.0):
    """Have the server drain, as a worker does that is replaced."""
    inside(server, lambda core: core.drain(lambda: None, grace))


@both_loops
@pytest.mark.parametrize("keep_alive_timeout", [0, 75])
def test_a_client_that_asks_again_and_again_over_a_drain(connect, serve, keep_alive_timeout):
    """Each of its requests is answered, and the last answer says that the connection ends."""
    server = serve(hello, keep_alive_timeout=keep_alive_timeout)
    clients = [connect(server) for _ in range(20)]
    for client in clients:
        assert client.ask().get("connection") is None
    answers: list[list[str | None]] = [[] for _ in clients]

    def ask(client, answers) -> None:
        while not answers or answers[-1] is None:
            answers.append(client.ask().get("connection"))

    threads = [
        threading.Thread(target=ask, args=pair) for pair in zip(clients, answers, strict=True)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: all(answers))
    drain(server)
    for thread in threads:
        thread.join(PATIENCE)
    assert [each[-1] for each in answers] == ["close"] * 20
    assert all(client.ended() for client in clients)


def test_a_connection_that_was_answered_a_moment_ago_may_ask_once_more(connect, serve):
    server = serve(hello)
    client, silent = connect(server), connect(server)
    for each in (client, silent):
        assert each.ask().get("connection") is None
    drain(server, 5)
    assert client.ask().get("connection") == "close"
    assert client.ended()
    assert silent.ended()


@pytest.mark.slow
def test_a_connection_that_was_idle_for_longer_is_closed_at_once(connect, serve):
    server = serve(hello)
    client, recent = connect(server), connect(server)
    client.ask()
    time.sleep(5.5)
    recent.ask()

    def drain_and_count(core: Server) -> int:
        core.drain(lambda: None, 5.0)
        core.reactor.pump()
        return core.connections

    assert inside(server, drain_and_count) == 1
    assert client.ended()
    assert recent.ended()


def test_a_request_that_has_come_when_the_drain_begins_is_answered(connect, serve):
    """Even if its connection is given no moment for it."""
    server = serve(hello)
    client, silent = connect(server), connect(server)
    for each in (client, silent):
        each.ask()

    def ask_and_drain(core: Server) -> None:
        client.request()  # while the loop is busy: nobody has read it
        core.drain(lambda: None, 0.0)

    inside(server, ask_and_drain)
    assert client.response().get("connection") == "close"
    assert client.ended()
    assert silent.ended()


@both_loops
@pytest.mark.parametrize("keep_alive_timeout", [0, 75])
def test_a_response_that_ends_as_the_drain_begins_may_be_followed_by_a_request(
    connect, serve, keep_alive_timeout
):
    """It has left, but the server has not turned to the connection's next request yet."""
    cores: list[Server] = []

    async def app(scope, receive, send):
        await asyncio.sleep(0)  # not from inside of the server's turn
        await answer(send)
        if scope["path"] == "/drain":
            cores[0].drain(lambda: None, 5.0)

    server = serve(app, keep_alive_timeout=keep_alive_timeout)
    cores.append(inside(server, lambda core: core))
    client = connect(server)
    assert client.ask("/drain").get("connection") is None
    again = client.ask("/again")
    assert (again.status, again.get("connection")) == (200, "close")
    assert client.ended()


def test_a_streamed_response_that_ends_in_a_drain_may_be_followed_by_a_request(connect, serve):
    """Its head had not said that the connection ends."""
    gate = Gate()

    async def app(scope, receive, send):
        await send(start())
        if scope["path"] == "/stream":
            await send(body(b"first", more=True))
            await gate.wait()
        await send(body(b"last"))

    server = serve(app)
    client = connect(server)
    client.request("/stream")
    assert gate.reached.wait(PATIENCE)
    drain(server)
    gate.open()
    assert client.response().body == b"firstlast"
    again = client.ask("/again")
    assert (again.status, again.get("connection")) == (200, "close")
    assert client.ended()
