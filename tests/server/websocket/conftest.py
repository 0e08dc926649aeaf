"""WebSockets to the tests' servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.server.websocket.client import WebSocket

Open = Callable[..., WebSocket]


@pytest.fixture
def open_websocket(connect: Any, transport: str) -> Open:
    """A function that opens a WebSocket to a server, or to a new one of the application given;
    `fields` and `target` are of the handshake.
    """

    def open_websocket(
        served: Any,
        *fields: str,
        target: str = "/",
        behind: bytes = b"",
        receive_buffer: int = 0,
        **settings: Any,
    ) -> WebSocket:
        client = connect(served, receive_buffer=receive_buffer, **settings)
        if transport == "http2":
            return client.websocket(target, *fields, behind=behind)
        websocket = WebSocket(client, target, *fields, behind=behind)
        assert websocket.answer.status == 101, websocket.answer
        return websocket

    return open_websocket
