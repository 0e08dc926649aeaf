"""Real clients, plain and over TLS: `websockets` and `aiohttp`."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.server.websocket.apps import echo

# asyncio before 3.11 says so of each connection over TLS that the other side has ended.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed transport <asyncio.sslproto:ResourceWarning"
)

MESSAGES = ["hello", "grün" * 50_000, b"", b"\0\xff" * 500_000, "x" * 1_000_000]
SETTINGS = [
    {},
    {"ws_deflate_server_context": True, "ws_deflate_client_context": True},
    {"ws_per_message_deflate": False},
    {"ws_deflate_server_max_window_bits": 10, "ws_deflate_client_max_window_bits": 10},
]


@pytest.fixture(params=["plain", "tls"])
def secured(request) -> dict:
    if request.param == "plain":
        return {}
    return request.getfixturevalue("authority").settings


@pytest.fixture
def context(secured, request) -> ssl.SSLContext | None:
    return request.getfixturevalue("authority").trusting() if secured else None


def url(server: TestServer, scheme: str) -> str:
    return f"{scheme}{'s' if server.config.ssl_certificate else ''}://127.0.0.1:{server.port}/"


@pytest.mark.parametrize("settings", SETTINGS)
def test_websockets(serve, secured, context, settings):
    websockets = pytest.importorskip("websockets.asyncio.client")
    server = serve(echo, ws_deflate_threshold=10, **settings, **secured)

    async def talk() -> None:
        more = {"ssl": context} if context else {}
        async with websockets.connect(url(server, "ws"), max_size=None, **more) as websocket:
            for message in MESSAGES:
                await websocket.send(message)
                assert await websocket.recv() == message
            await websocket.send(["in ", "several ", "frames"])
            assert await websocket.recv() == "in several frames"
            await (await websocket.ping(b"payload"))
        assert websocket.close_code == 1000

    asyncio.run(asyncio.wait_for(talk(), PATIENCE))


@pytest.mark.parametrize("compress", [0, 9, 15])
def test_aiohttp(serve, secured, context, compress):
    aiohttp = pytest.importorskip("aiohttp")
    server = serve(echo, ws_deflate_threshold=10, **secured)

    async def talk() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                url(server, "http"), compress=compress, max_msg_size=0, ssl=context or True
            ) as websocket,
        ):
            for message in MESSAGES:
                if isinstance(message, str):
                    await websocket.send_str(message)
                    assert await websocket.receive_str() == message
                else:
                    await websocket.send_bytes(message)
                    assert await websocket.receive_bytes() == message
            await websocket.close(code=4000, message=b"bye")
            assert websocket.close_code == 4000

    asyncio.run(asyncio.wait_for(talk(), PATIENCE))
