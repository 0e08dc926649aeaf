"""Memory stays flat under the floods of HTTP/2, each of which ends its connection, and under
WebSockets on its streams.
"""

from __future__ import annotations

import pytest

from granite.testing import TestServer
from tests.http2.websocket import ASKED, VERSION
from tests.http2.wire import DATA, Wire, reset
from tests.leaks import test_memory
from tests.leaks.test_memory import ALLOWED, private_bytes
from tests.server.apps import eventually, hello_when_complete
from tests.server.http2.floods import ENDED, Flood
from tests.server.http2.test_abuse import flooded
from tests.server.websocket.apps import echo
from tests.wire.frames import BINARY, TEXT, close, frame

pytestmark = test_memory.pytestmark

WARM_UP, CONNECTIONS = 4, 12


@pytest.mark.parametrize("flood", ENDED, ids=lambda flood: flood.__name__)
def test_a_flood_leaves_memory_flat(flood: Flood) -> None:
    with TestServer(hello_when_complete, lifespan="off") as server:
        before = 0
        for number in range(WARM_UP + CONNECTIONS):
            if number == WARM_UP:
                before = private_bytes()
            client = Wire(server.host, server.port)
            flooded(client, flood)
            client.close()
            eventually(lambda: server.counters()["connections"] == 0)
        assert private_bytes() - before <= ALLOWED


async def echo_or_hello(scope, receive, send) -> None:
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
    else:
        await hello_when_complete(scope, receive, send)


def websockets(server: TestServer) -> None:
    """WebSockets on one connection, which end in every way there is."""
    client = Wire(server.host, server.port)
    offer = "sec-websocket-extensions: permessage-deflate"
    for number in range(60):
        stream = client.request("/", VERSION, offer, **ASKED)
        assert client.answer(stream)[":status"] == "200"
        client.data(stream, frame(BINARY, bytes(3000)) + frame(TEXT, b"more"))
        client.until(DATA, stream)
        if number % 4 == 0:
            client.data(stream, close(1000), end=True)
        elif number % 4 == 1:
            client.data(stream, frame(TEXT, b"half")[:-2], end=True)
        elif number % 4 == 2:
            client.send(reset(stream))
    client.ping()
    client.close()
    eventually(lambda: server.counters()["connections"] == 0)


def test_websockets_leave_memory_flat() -> None:
    settings = {"ws_deflate_server_context": True, "ws_deflate_client_context": True}
    with TestServer(echo_or_hello, lifespan="off", **settings) as server:
        before = 0
        for number in range(50):
            if number == 10:
                before = private_bytes()
            websockets(server)
        assert private_bytes() - before <= ALLOWED
    assert not any(server.counters().values())
