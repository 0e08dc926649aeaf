"""WebSockets of RSGI: accept() → transport, messages by their kind."""

from __future__ import annotations

import asyncio

import pytest

from granite.rsgi import ProtocolClosed, ProtocolError
from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen
from tests.server.loops import both_loops
from tests.server.websocket.apps import Text
from tests.server.websocket.client import WebSocket, handshake


async def echo(scope, protocol):
    assert scope.proto == "ws"
    transport = await protocol.accept()
    while (message := await transport.receive()).kind:
        if message.kind == 1:
            await transport.send_bytes(message.data)
        else:
            assert message.kind == 2
            await transport.send_str(message.data)


@both_loops
def test_echo(open_websocket):
    websocket = open_websocket(echo, interface="rsgi")
    for message in ("", "grün", b"", b"\0\xff", "x" * 100_000):
        websocket.say(message)
        assert websocket.message() == message
    assert websocket.close(1000) == (1000, "")


def test_texts_of_other_kinds(open_websocket):
    async def app(scope, protocol):
        await (await protocol.accept()).send_str(Text("x" * 3000))

    assert open_websocket(app, interface="rsgi").message() == "x" * 3000


def test_the_scope(open_websocket, transport):
    seen = Seen()

    async def app(scope, protocol):
        seen.put(
            (
                *(scope.proto, scope.http_version, scope.scheme, scope.method, scope.path),
                *(scope.query_string, scope.headers.get("upgrade")),
            )
        )
        await protocol.accept()

    open_websocket(app, interface="rsgi", target="/a%20b?c=%20")
    spoken = ("2", "CONNECT", None) if transport == "http2" else ("1.1", "GET", "websocket")
    version, method, upgrade = spoken
    assert seen.get() == ("ws", version, "http", method, "/a b", "c=%20", upgrade)


def test_the_end(open_websocket):
    seen = Seen()

    async def app(scope, protocol):
        transport = await protocol.accept()
        for _ in range(2):
            message = await transport.receive()
            seen.put((message.kind, message.data))
        with pytest.raises(ProtocolClosed):
            await transport.send_str("late")
        with pytest.raises(OSError, match="closed"):
            await transport.send_bytes(b"late")
        seen.put("done")

    open_websocket(app, interface="rsgi").close(1000)
    assert [seen.get() for _ in range(3)] == [(0, None), (0, None), "done"]


@pytest.mark.parametrize(("status", "code"), [(None, 1000), (4001, 4001)])
def test_closed_by_the_application(open_websocket, status, code):
    async def app(scope, protocol):
        await protocol.accept()
        protocol.close(status)
        protocol.close(status)

    assert open_websocket(app, interface="rsgi").answer_close() == (code, "")


def test_closed_by_the_application_while_it_receives(open_websocket):
    seen = Seen()

    async def app(scope, protocol):
        transport = await protocol.accept()
        receiving = asyncio.create_task(transport.receive())
        await asyncio.sleep(0)
        protocol.close()
        seen.put((await receiving).kind)

    assert open_websocket(app, interface="rsgi").answer_close() == (1000, "")
    assert seen.get() == 0


@pytest.mark.parametrize(("given", "status"), [((), 403), ((401,), 401), ((None,), 403)])
def test_refused(connect, given, status):
    async def app(scope, protocol):
        protocol.close(*given)
        with pytest.raises(ProtocolClosed):
            await protocol.accept()

    client = connect(app, interface="rsgi")
    client.send(handshake())
    assert client.response().status == status


def test_returned_without_a_word(connect):
    async def app(scope, protocol):
        pass

    client = connect(app, interface="rsgi")
    client.send(handshake())
    assert client.response().status == 500


def test_returned_and_failed(open_websocket, serve):
    async def app(scope, protocol):
        await protocol.accept()
        if scope.path == "/fail":
            raise ValueError("no good")

    server = serve(app, interface="rsgi")
    assert open_websocket(server).answer_close() == (1000, "")
    assert open_websocket(server, target="/fail").answer_close() == (1011, "")
    assert [str(error) for error in server.exceptions] == ["no good"]


def test_what_is_wrong(open_websocket):
    seen = Seen()

    async def app(scope, protocol):
        transport = await protocol.accept()
        with pytest.raises(ProtocolError):
            await protocol.accept()
        for send, letter in ((transport.send_str, b"a"), (transport.send_bytes, "a")):
            for wrong in (1, letter, None):
                with pytest.raises(TypeError):
                    await send(wrong)
        with pytest.raises(TypeError):
            protocol.close("a")
        with pytest.raises(RuntimeError):
            protocol.close(1006)
        seen.put("done")

    open_websocket(app, interface="rsgi")
    assert seen.get() == "done"


def test_a_client_that_leaves_before_it_is_accepted(connect):
    seen, gate = Seen(), Gate()

    async def app(scope, protocol):
        await gate.wait()
        try:
            await protocol.accept()
        except OSError as error:
            seen.put(type(error).__name__)

    client = connect(app, interface="rsgi")
    client.send(handshake())
    assert gate.reached.wait(PATIENCE)
    client.reset()
    gate.open()
    assert seen.get() == "ProtocolClosed"


def test_a_request_beside_it(connect, serve):
    async def app(scope, protocol):
        if scope.proto == "ws":
            await echo(scope, protocol)
        else:
            protocol.response_str(200, [], scope.proto)

    server = serve(app, interface="rsgi")
    client = connect(server)
    assert client.ask().body == b"http"
    websocket = WebSocket(client)
    websocket.say("a")
    assert websocket.message() == "a"
