"""Gunicorn's hooks around a request of ASGI.

Owns the application around the application. Runs on the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from granite.request_hooks.objects import Around, Request, Response

__all__ = ["wrap"]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def wrap(app: Application, around: Around) -> Application:
    """Return `app` with the hooks around each HTTP request."""

    async def with_hooks(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        response = Response(Request(scope))

        async def observed(message: dict[str, Any]) -> None:
            await send(message)
            response.note(message)

        with around(response):
            await app(scope, receive, observed if around.post is not None else send)

    return with_hooks
