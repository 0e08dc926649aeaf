"""How a WebSocket ends: by either side, by the application, by the server, by a fault."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from granite._core.server import Server
from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, until_it_waits
from tests.server.inside import inside, wait_for
from tests.server.loops import both_loops
from tests.server.websocket.apps import Recording, Text, accept, accepting_late, echo
from tests.server.websocket.client import WebSocket, handshake
from tests.wire.frames import BINARY, CONTINUATION, PING, TEXT, close, frame


@both_loops
@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "grün"), (3000, "x" * 123), (4999, ""), (None, "")]
)
def test_the_client_closes(open_websocket, code, reason):
    app = Recording()
    websocket = open_websocket(app)
    app.get()
    assert websocket.close(code, reason) == (code or 1005, "")
    assert app.end() == (code or 1005, reason)


def test_what_was_said_before_a_close_is_received(open_websocket):
    app = Recording()
    websocket = open_websocket(app)
    app.get()
    websocket.send(frame(TEXT, b"a") + frame(TEXT, b"b") + close(1000) + frame(TEXT, b"late"))
    assert websocket.closed() == (1000, "")
    assert [app.get()["text"], app.get()["text"]] == ["a", "b"]
    assert app.end() == (1000, "")


@both_loops
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({}, (1000, "")),
        ({"code": None, "reason": None}, (1000, "")),
        ({"code": 4001, "reason": "grün"}, (4001, "grün")),
        ({"code": 4001, "reason": Text("grün")}, (4001, "grün")),
    ],
)
def test_the_application_closes(open_websocket, message, expected):
    seen = Seen()

    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.close", **message})
        seen.put(await receive())
        for late in ({"type": "websocket.send", "text": "a"}, {"type": "websocket.close"}):
            with pytest.raises(OSError, match="closed"):
                await send(late)
        seen.put("done")

    websocket = open_websocket(app)
    assert websocket.closed() == expected
    assert seen.get() == {
        "type": "websocket.disconnect",
        "code": expected[0],
        "reason": expected[1],
    }
    assert seen.get() == "done"
    # what has crossed the close is dropped, whatever it is
    websocket.send(frame(TEXT, b"late") + frame(PING) + frame(BINARY, bytes(100_000)))
    websocket.send(close(expected[0]))
    assert websocket.client.ended()


@both_loops
def test_the_application_closes_while_it_receives(open_websocket):
    seen = Seen()

    async def app(scope, receive, send):
        await accept(receive, send)
        receiving = asyncio.create_task(receive())
        await until_it_waits(receiving, [])
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
        seen.put(await receiving)

    websocket = open_websocket(app)
    assert websocket.answer_close() == (4001, "enough")
    assert seen.get() == {"type": "websocket.disconnect", "code": 4001, "reason": "enough"}


@both_loops
def test_the_application_closes_while_it_sends(open_websocket):
    seen = Seen()

    async def app(scope, receive, send):
        async def stream():
            while True:
                await send({"type": "websocket.send", "bytes": bytes(1_000_000)})
                sent.append(None)

        await accept(receive, send)
        sent: list[None] = []
        sending = asyncio.create_task(stream())
        await until_it_waits(sending, sent)
        await send({"type": "websocket.close"})
        with pytest.raises(OSError, match="closed"):
            await sending
        seen.put("closed")

    open_websocket(app, receive_buffer=4096)
    assert seen.get() == "closed"


def test_an_application_that_returns(open_websocket):
    async def app(scope, receive, send):
        await accept(receive, send)
        await send({"type": "websocket.send", "text": "bye"})

    websocket = open_websocket(app)
    assert websocket.message() == "bye"
    assert websocket.answer_close() == (1000, "")


def test_an_application_that_fails(open_websocket, serve):
    async def app(scope, receive, send):
        await accept(receive, send)
        raise ValueError("no good")

    server = serve(app)
    assert open_websocket(server).answer_close() == (1011, "")
    assert [str(error) for error in server.exceptions] == ["no good"]


@both_loops
def test_sending_when_the_client_has_closed(open_websocket):
    seen = Seen()

    async def app(scope, receive, send):
        await accept(receive, send)
        await gate.wait()
        try:
            await send({"type": "websocket.send", "text": "a"})
        except OSError as error:
            seen.put(type(error).__name__)
        seen.put(await receive())

    gate = Gate()
    websocket = open_websocket(app)
    websocket.close(1000)
    gate.open()
    assert seen.get() == "ClientDisconnected"
    assert seen.get() == {"type": "websocket.disconnect", "code": 1000, "reason": ""}


@pytest.mark.parametrize("way", ["close", "end", "reset"])
def test_a_client_that_just_leaves(open_websocket, way):
    app = Recording()
    websocket = open_websocket(app)
    app.get()
    websocket.say("a")
    getattr(websocket.client, way)()
    message = app.get()
    if message["type"] == "websocket.receive":
        message = app.get()
    assert message == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


def test_the_end_comes_again(open_websocket):
    seen = Seen()

    async def app(scope, receive, send):
        await accept(receive, send)
        for _ in range(3):
            seen.put((await receive())["type"])

    open_websocket(app).close()
    assert [seen.get() for _ in range(3)] == ["websocket.disconnect"] * 3


WRONG = {
    "not masked": (frame(TEXT, b"a", mask=None), 1002),
    "no UTF-8": (frame(TEXT, b"\xff"), 1007),
    "too large": (frame(BINARY, length=1001), 1009),
    "too large, in frames": (
        frame(BINARY, bytes(600), final=False) + frame(CONTINUATION, bytes(600)),
        1009,
    ),
    "a wrong code": (close(1005), 1002),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_client_may_not_send(open_websocket, serve, log, name):
    data, code = WRONG[name]
    app = Recording()
    server = serve(app, ws_max_message_size=1000)
    websocket = open_websocket(server)
    app.get()
    websocket.send(data + b"whatever")
    assert websocket.closed()[0] == code
    assert websocket.client.ended()
    assert app.end()[0] == code
    wait_for(server, rejected_websocket=1)
    assert any("WebSocket: a " in message for message in log.messages)


@both_loops
def test_what_came_before_is_answered(open_websocket):
    websocket = open_websocket(echo)
    websocket.send(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(BINARY, reserved=1))
    assert [websocket.message(), websocket.message()] == ["one", "two"]
    assert websocket.closed()[0] == 1002
    assert websocket.client.ended()


@pytest.mark.parametrize("ends", ["returns", "closes", "waits"])
def test_an_application_that_takes_no_message_behind_a_violation(open_websocket, ends):
    gate, seen = Gate(), Seen()

    async def app(scope, receive, send):
        await accept(receive, send)
        if ends == "closes":
            await gate.wait()
            await send({"type": "websocket.close", "code": 4000})
        elif ends == "returns":
            await gate.wait()
        else:
            await asyncio.sleep(2)
            seen.put([(await receive())["type"], (await receive())["code"]])

    websocket = open_websocket(app, ws_close_timeout=0.5 if ends == "waits" else 30.0)
    websocket.send(frame(TEXT, b"one") + frame(TEXT, b"two", mask=None))
    if ends != "waits":
        assert websocket.client.silent()
        gate.open()
    assert websocket.closed()[0] == 1002
    assert websocket.client.ended()
    if ends == "waits":
        assert seen.get() == ["websocket.receive", 1002]


def test_a_client_that_does_not_answer_a_close(open_websocket):
    async def app(scope, receive, send):
        await accept(receive, send)

    websocket = open_websocket(app, ws_close_timeout=0.5)
    assert websocket.closed() == (1000, "")
    assert websocket.client.gone()


def test_a_client_that_goes_on_and_does_not_answer_a_close(open_websocket):
    async def app(scope, receive, send):
        await accept(receive, send)

    websocket = open_websocket(app, ws_close_timeout=0.5)
    assert websocket.closed() == (1000, "")
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while True:
            websocket.say("still here")


# drains


@both_loops
def test_a_drain(open_websocket, serve):
    app = Recording()
    server = serve(app)
    websocket = open_websocket(server)
    app.get()
    inside(server, lambda core: core.drain(lambda: None))
    assert websocket.answer_close() == (1012, "the server restarts")
    assert app.end() == (1012, "the server restarts")


@pytest.mark.parametrize(("graceful", "closing"), [(1, 3600), (3600, 1)])
def test_a_drain_waits_for_a_close_no_longer_than_either_timeout_allows(
    open_websocket, graceful, closing
):
    app = Recording()
    served = TestServer(
        app, lifespan="off", graceful_timeout=graceful, ws_close_timeout=closing, loop="asyncio"
    )
    with served as server:
        websocket = open_websocket(server)
        app.get()
    assert websocket.closed() == (1012, "the server restarts")
    assert websocket.client.gone()
    assert app.end() == (1012, "the server restarts")


def test_a_handshake_that_is_accepted_during_a_drain(serve, connect):
    gate, seen = Gate(), Seen()

    server = serve(accepting_late(gate, seen))
    client = connect(server)
    client.send(handshake())
    assert gate.reached.wait(PATIENCE)
    inside(server, lambda core: core.drain(lambda: None))
    gate.open()
    assert client.response().status == 101
    websocket = WebSocket.__new__(WebSocket)
    websocket.client = client
    assert websocket.answer_close() == (1012, "the server restarts")
    assert seen.get()["code"] == 1012


def test_an_abort(open_websocket, serve):
    app = Recording()
    server = serve(app)
    websocket = open_websocket(server)
    app.get()
    inside(server, Server.abort)
    assert websocket.client.gone()
    assert app.end() == (1006, "")


def test_places_are_not_held(open_websocket, connect, serve):
    """Open WebSockets do not count among the requests that `backpressure` limits."""

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await echo(scope, receive, send)
        else:
            await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

    server = serve(app, backpressure=2)
    websockets = [open_websocket(server) for _ in range(5)]
    assert connect(server).ask().status == 200
    for websocket in websockets:
        websocket.say("x")
        assert websocket.message() == "x"
