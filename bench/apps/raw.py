"""The raw ASGI applications of the scenarios: little Python, so that the server is measured.

Served by every server of the table, so it must not know any of them. Each application answers
lifespan messages as a well-behaved one does and does nothing then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

KIB = b"0123456789abcdef" * 64
HELLO = b"Hello, World!"
LARGE = KIB * 64
MIB = KIB * 1024
CHUNKS = 100

HELLO_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
LARGE_HEADERS = [(b"content-type", b"application/octet-stream"), (b"content-length", b"65536")]
HUGE_HEADERS = [(b"content-type", b"application/octet-stream"), (b"content-length", b"67108864")]
MIB_HEADERS = [(b"content-type", b"application/octet-stream"), (b"content-length", b"1048576")]
CHUNKS_HEADERS = [(b"content-type", b"application/octet-stream")]


async def lifespan(receive: Receive, send: Send) -> None:
    """Answer startup and shutdown."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with 13 bytes."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": HELLO_HEADERS})
    await send({"type": "http.response.body", "body": HELLO})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body as it arrives, to its end, then answer with the same bytes."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(parts)
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with 64 KiB in one message."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": LARGE_HEADERS})
    await send({"type": "http.response.body", "body": LARGE})


async def mebibyte(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with 1 MiB in pieces of 64 KiB."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": MIB_HEADERS})
    for left in reversed(range(16)):
        await send({"type": "http.response.body", "body": LARGE, "more_body": left > 0})


async def huge(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with 64 MiB in pieces of 1 MiB."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": HUGE_HEADERS})
    for left in reversed(range(64)):
        await send({"type": "http.response.body", "body": MIB, "more_body": left > 0})


async def chunks(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream 100 pieces of 1 KiB without a length; the server has to frame them."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": CHUNKS_HEADERS})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": KIB, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back each text of a WebSocket; answer requests, for whoever asks whether it serves."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


_audience: set[Send] = set()


async def broadcast(scope: Scope, receive: Receive, send: Send) -> None:
    """Send each text of a WebSocket to all of them, one after another."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    _audience.add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            said = {"type": "websocket.send", "text": message["text"]}
            for each in tuple(_audience):
                await each(said)
    finally:
        _audience.discard(send)
