"""Applications for broken requests: each answers in another way.

Owns what they do. Must not know what is sent to them. Runs on the server's thread.
"""

from __future__ import annotations

import asyncio

__all__ = ["APPLICATIONS"]


def _start(scope) -> dict:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"x-method", scope["method"].encode())],
    }


async def _read(receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def answers_at_once(scope, receive, send) -> None:
    await send(_start(scope))
    await send({"type": "http.response.body", "body": b"ok"})


async def echoes(scope, receive, send) -> None:
    body = await _read(receive)
    if body is not None:
        await send(_start(scope))
        await send({"type": "http.response.body", "body": body})


async def suspends(scope, receive, send) -> None:
    await asyncio.sleep(0)
    body = await _read(receive)
    await asyncio.sleep(0)
    if body is not None:
        await send(_start(scope))
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": body})


async def streams(scope, receive, send) -> None:
    await send(_start(scope))
    for size in (1, 0, 5000, 100):
        await send({"type": "http.response.body", "body": bytes(size), "more_body": True})
        await asyncio.sleep(0)
    await _read(receive)
    await send({"type": "http.response.body", "body": b"end"})


async def reads_one_piece(scope, receive, send) -> None:
    await receive()
    await asyncio.sleep(0)
    await send(_start(scope))
    await send({"type": "http.response.body", "body": b"enough"})


async def answers_late(scope, receive, send) -> None:
    """Long after the whole request has come, and what follows it."""
    await asyncio.sleep(0.001)
    await send(_start(scope))
    await send({"type": "http.response.body", "body": b"late" * 1000})


APPLICATIONS = (answers_at_once, echoes, suspends, streams, reads_one_piece, answers_late)
