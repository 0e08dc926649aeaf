"""Where sessions lie in memory: connections that rest take less, and nobody notices; what is spare
is bounded.
"""

from __future__ import annotations

import asyncio

import pytest

from granite._core.server import Server
from granite.testing import TestServer
from tests.server.apps import answer, body_of, eventually
from tests.server.inside import inside, wait_for

CONNECTIONS = 50
SPARE, PAGES = 256, 6  # slots that keep their pages, and how many these are


async def app(scope, receive, send):
    path = scope["path"]
    if path == "/large":
        await answer(send, b"x" * 100_000, fields=[(b"x-large", b"y" * 12_000)])
    elif path == "/busy":
        await asyncio.sleep(0.01)
        await answer(send, b"busy")
    else:
        await answer(send, await body_of(receive) or b"hello")


def memory(server: TestServer) -> dict[str, int]:
    """The figures of the slots."""

    def figures(core: Server) -> dict[str, int]:
        assert core.http2 is not None
        found = core.http2.memory()
        assert found is not None
        return found

    return inside(server, figures)


def rest(server, clients):
    """Wait until each connection takes no more than the page of its session."""
    eventually(lambda: memory(server)["pages"] <= len(clients))


def test_connections_that_rest_keep_a_page(connect, serve):
    server = serve(app)
    clients = [connect(server) for _ in range(CONNECTIONS)]
    for _ in range(3):
        for client in clients:
            assert client.ask(method="POST", body=b"again").body == b"again"
        rest(server, clients)
    assert memory(server)["slots"] == CONNECTIONS
    streams = [client.request("/busy") for client in clients]
    for client, stream in zip(clients, streams, strict=True):
        assert client.response(stream).body == b"busy"
        assert client.ask().body == b"hello"
    rest(server, clients)


def test_connections_without_a_request_rest_too(wire, serve):
    server = serve(app, keep_alive_timeout=0, request_head_timeout=0)
    clients = [wire(server) for _ in range(CONNECTIONS)]
    for client in clients:
        client.ping()
    rest(server, clients)


def test_a_connection_rests_once_its_last_stream_has_ended(connect, serve):
    """One that has a stream does not."""
    server = serve(app)
    client, other = connect(server), connect(server)
    stream = client.request(method="POST", end=False)
    other.ask()
    eventually(lambda: memory(server)["pages"] <= 3)
    client.data(stream, b"late", end=True)
    assert client.response(stream).body == b"late"
    rest(server, [client, other])


def test_spare_slots_are_bounded(wire, serve):
    server = serve(app)
    for _ in range(2):
        clients = [wire(server) for _ in range(SPARE + 20)]
        for client in clients:
            client.answer(client.request())
        assert memory(server)["slots"] == len(clients)
        for client in clients:
            client.close()
        wait_for(server, connections_active=0)
        figures = memory(server)
        assert figures["slots"] == 0
        assert figures["spare"] == SPARE
        assert figures["pages"] <= SPARE * PAGES


@pytest.mark.parametrize("streams", [1, 150, 400])
def test_more_than_a_slot_has_room_for(connect, serve, streams):
    """Tables that grow, fields of several frames: what has no place in the slot."""
    server = serve(app, http2_max_concurrent_streams=1000)
    for _ in range(2):
        client = connect(server)
        asked = [client.request("/busy") for _ in range(streams)]
        for stream in asked:
            assert client.response(stream).body == b"busy"
        for _ in range(3):
            response = client.ask("/large")
            assert len(response.body) == 100_000
            assert response.get("x-large") == "y" * 12_000
        assert client.ask(method="POST", body=b"z" * 50_000).body == b"z" * 50_000
        client.close()
        wait_for(server, connections_active=0)
