"""An application for embedded servers, and how a test runs and asks one."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import time
from typing import Any

import httpx

from granite import Server
from granite.event_loops import new_event_loop
from granite.serving_async import run
from tests.patience import PATIENCE

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class App:
    """Record the lifespan; answer with the path; /wait waits for `release`, or its own end."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.begun = asyncio.Event()
        self.waiting = asyncio.Event()
        self.release = asyncio.Event()
        self.startup: asyncio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["path"] == "/raise":
            raise KeyError("asked for")
        if scope["path"] == "/wait":
            self.waiting.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.events.append("cancelled")
                raise
        body = f"{scope['scheme']} {scope['path']} {variable.get()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        self.events.append("startup")
        self.begun.set()
        if self.startup is not None:
            await self.startup.wait()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})


def on(loop: str, main: Any) -> None:
    """Run `main` on a loop of that kind, for a limited time; no object of a server may be left."""

    async def bounded() -> None:
        await asyncio.wait_for(main, PATIENCE)

    run(new_event_loop(loop), bounded())
    deadline = time.monotonic() + PATIENCE
    while left := _left():
        # A thread lets go of its request a moment after its end.
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def _left() -> list[dict[str, int]]:
    """The counters of servers that are not at zero."""
    gc.collect()
    servers = [o for o in gc.get_objects() if type(o).__name__ == "Server"]
    found = [server.counters() for server in servers if hasattr(server, "counters")]
    return [counters for counters in found if any(counters.values())]


async def get(server: Server, path: str = "/", **settings: Any) -> httpx.Response:
    async with httpx.AsyncClient(**settings) as client:
        url = server.urls[0] if server.urls[0].startswith("http") else "http://localhost"
        return await client.get(url + path)
