"""Clients that leave while the application runs, whatever it is doing: with a FIN, with a reset, or
with the end of their half, over TCP, TLS and Unix sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, attempt, body, body_of, eventually, start
from tests.server.loops import both_loops
from tests.server.raw import Client, request

KERNEL = 16 * 1024 * 1024  # more than what the sockets of both sides hold
HIGH_WATER = 4096

POST = request("/", "Content-Length: 100000", method="POST") + b"x" * 50_000
CHUNKS = request("/", "Transfer-Encoding: chunked", method="POST") + b"9000\r\n" + b"x" * 9000

# What is sent, for an application that then does nothing for a while.
BUSY = {
    "a request": request(),
    "a body that nobody reads": POST,
    "chunks that nobody reads": CHUNKS,
    "a part of a body": request("/", "Content-Length: 9", method="POST") + b"x",
    "a client that waits to be asked": request(
        "/", "Expect: 100-continue", "Content-Length: 9", method="POST"
    ),
    "requests behind it": request() + request("/behind") * 5,
    "more behind it than is set aside": request() + request("/behind", "X: " + "x" * 900) * 200,
}


class Busy:
    """An application that waits for the test, and then tells what receive() and send() say."""

    def __init__(self, *before: dict) -> None:
        self.gate, self.seen, self.before = Gate(), Seen(), before

    async def __call__(self, scope, receive, send) -> None:
        for message in self.before:
            await send(message)
        await self.gate.wait()
        data = b""
        while (message := await receive())["type"] == "http.request":
            data += message["body"]
            if not message["more_body"]:
                break
        else:
            self.seen.put(message["type"])
        messages = [body()] if self.before else [start(), body(data)]
        self.seen.put([type(error).__name__ for error in await attempt(send, *messages)])


@pytest.fixture(params=["plain", "tls", "unix"])
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def leave(transport: str) -> Callable[[Client], None]:
    """Go so that the server's system knows that nobody is there any more."""
    return Client.close if transport == "unix" else Client.reset


@pytest.fixture
def dial(serve, connect, transport: str, tmp_path: Path) -> Iterator[Callable]:
    """A server and a client of it."""
    clients = []

    def dial(app, **settings) -> tuple[TestServer, Client]:
        if transport != "unix":
            server = serve(app, **settings)
            return server, connect(server, receive_buffer=4096)
        server = serve(app, uds=str(tmp_path / "socket"), **settings)
        clients.append(Client.at(str(tmp_path / "socket")))
        return server, clients[-1]

    yield dial
    for client in clients:
        client.close()


def is_free(server: TestServer, running: int) -> bool:
    """Whether the server has nothing left but calls of the application."""
    found = server.counters()
    calls = {found.pop("running"), found.pop("exchanges")}
    found.pop("handles")
    found.pop("timers")
    return calls == {running} and not any(found.values())


@both_loops
@pytest.mark.parametrize("sent", BUSY.values(), ids=BUSY)
def test_a_reset_frees_everything_while_the_application_is_busy(dial, leave, sent):
    app = Busy()
    server, client = dial(app, body_high_water=HIGH_WATER)
    client.send_until_blocked(sent, 0.05)
    assert app.gate.reached.wait(PATIENCE)
    leave(client)
    eventually(lambda: is_free(server, 1))
    app.gate.open()
    if sent.startswith(b"POST"):
        assert app.seen.get() == "http.disconnect"
    assert app.seen.get() == ["ClientDisconnected"] * 2
    eventually(lambda: is_free(server, 0))


@pytest.mark.parametrize("begun", [[], [start()], [start(), body(b"x", more=True)]])
def test_a_reset_after_the_client_has_ended_its_half(dial, leave, begun):
    app = Busy(*begun)
    server, client = dial(app)
    client.request()
    assert app.gate.reached.wait(PATIENCE)
    client.end()
    assert client.silent(0.05) or begun[1:]
    leave(client)
    eventually(lambda: is_free(server, 1))
    app.gate.open()
    assert app.seen.get() == ["ClientDisconnected"] * (1 if begun else 2)


@both_loops
@pytest.mark.parametrize("how", [Client.close, Client.reset], ids=["close", "reset"])
def test_who_waits_for_a_message_hears_of_it(dial, how):
    seen = Seen()

    async def app(scope, receive, send):
        await receive()
        seen.put("waiting")
        seen.put((await receive())["type"])

    server, client = dial(app)
    client.request()
    assert seen.get() == "waiting"
    how(client)
    assert seen.get() == "http.disconnect"
    eventually(lambda: is_free(server, 0))


@both_loops
@pytest.mark.parametrize("how", [Client.close, Client.reset], ids=["close", "reset"])
@pytest.mark.parametrize("piece", [10, KERNEL], ids=["small", "large"])
def test_who_sends_hears_of_it(dial, how, piece):
    seen = Seen()

    async def app(scope, receive, send):
        await send(start())
        try:
            while True:
                await send(body(b"x" * piece, more=True))
                await asyncio.sleep(0)
        except OSError as exc:
            seen.put(type(exc).__name__)

    server, client = dial(app)
    client.request()
    client.until(b"x" * 10)
    how(client)
    assert seen.get() == "ClientDisconnected"
    eventually(lambda: is_free(server, 0))


@pytest.mark.parametrize("sent", ["a request", "a part of a body"])
def test_a_close_is_told_to_an_application_that_did_not_read(dial, sent):
    app = Busy()
    server, client = dial(app)
    client.send(BUSY[sent])
    assert app.gate.reached.wait(PATIENCE)
    client.close()
    app.gate.open()
    if sent == "a part of a body":
        assert app.seen.get() == "http.disconnect"
    app.seen.get()
    eventually(lambda: is_free(server, 0))


def test_a_close_behind_a_body_that_nobody_reads_is_told_when_it_is_read(dial):
    app = Busy()
    server, client = dial(app, body_high_water=HIGH_WATER)
    client.send_until_blocked(POST, 0.05)
    assert app.gate.reached.wait(PATIENCE)
    client.close()
    app.gate.open()
    assert app.seen.get() == "http.disconnect"
    assert app.seen.get() == ["ClientDisconnected"] * 2
    eventually(lambda: is_free(server, 0))


@pytest.mark.parametrize("before", [[], [start()], [start(), body(b"", more=True)]])
def test_a_client_that_ends_its_half_is_served(dial, before):
    app = Busy(*before)
    server, client = dial(app)
    client.request()
    assert app.gate.reached.wait(PATIENCE)
    client.end()
    assert client.silent(1.3) or before[1:]  # longer than between two looks whether it is there
    app.gate.open()
    assert client.response().status == 200
    assert app.seen.get() == []
    assert client.ended()
    eventually(lambda: is_free(server, 0))


def test_a_client_that_ends_its_half_behind_a_body_that_is_read_late(dial):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        data = await body_of(receive)
        await send(start())
        await send(body(b"%d" % len(data)))

    server, client = dial(app, body_high_water=HIGH_WATER)
    data = request("/", "Content-Length: 30000", method="POST") + b"x" * 30_000
    client.send(data)
    client.end()
    assert client.silent(1.3)
    gate.open()
    assert client.response().body == b"30000"
    eventually(lambda: is_free(server, 0))
