"""An application whose calls wait, and a server whose places are taken."""

from __future__ import annotations

import asyncio
import threading

from tests.server.apps import Seen, answer, body_of


class Held:
    """An application whose calls wait, each until the test lets it go; `/now` is not held."""

    def __init__(self) -> None:
        self.started = Seen()
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}

    async def __call__(self, scope, receive, send):
        data = await body_of(receive)
        event = asyncio.Event()
        with self._lock:
            self._waiting[scope["path"]] = asyncio.get_running_loop(), event
        self.started.put(scope["path"])
        if scope["path"] != "/now":
            await event.wait()
        await answer(send, scope["path"].encode() + data)

    def let_go(self, path: str) -> None:
        with self._lock:
            loop, event = self._waiting.pop(path)
        loop.call_soon_threadsafe(event.set)


def occupied(held, serve, connect, **settings):
    """A server with one place, which /first has."""
    server = serve(held, **{"backpressure": 1, **settings})
    first = connect(server)
    first.request("/first")
    assert held.started.get() == "/first"
    return server, first


def refused(client, retry_after="1"):
    response = client.response()
    assert response.status == 503
    assert response.get("retry-after") == retry_after
    return response
