"""A raw ASGI application, without a framework: `granite run examples.hello:app`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
BODY = b"Hello, world!\n"
START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(BODY)).encode()),
    ],
}
END: Message = {"type": "http.response.body", "body": BODY}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer every request with the same text."""
    # An application without a lifespan says so by raising.
    if scope["type"] != "http":
        raise NotImplementedError(f"this application does not speak {scope['type']}")
    await send(START)
    await send(END)
