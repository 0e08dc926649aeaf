"""Applications for broken requests: each answers in another way.

Owns what they do. Must not know what is sent to them. Runs on the server's thread.
"""

from __future__ import annotations

import asyncio

__all__ = ["APPLICATIONS", "WSGI_APPLICATIONS", "with_websockets"]


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


def with_websockets(app):
    """The application, which echoes what comes by WebSocket, or refuses it."""

    async def both(scope, receive, send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        if app is reads_one_piece:
            await send({"type": "websocket.close"})
            return
        if app is answers_late:
            await asyncio.sleep(0.001)
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})

    return both


APPLICATIONS = (answers_at_once, echoes, suspends, streams, reads_one_piece, answers_late)


def _start_wsgi(environ, start_response):
    return start_response("200 OK", [("x-method", environ["REQUEST_METHOD"])])


def wsgi_answers_at_once(environ, start_response):
    _start_wsgi(environ, start_response)
    return [b"ok"]


def wsgi_echoes(environ, start_response):
    body = environ["wsgi.input"].read()
    _start_wsgi(environ, start_response)
    return [body]


def wsgi_echoes_as_it_reads(environ, start_response):
    _start_wsgi(environ, start_response)
    return iter(lambda: environ["wsgi.input"].read(100), b"")


def wsgi_streams(environ, start_response):
    _start_wsgi(environ, start_response)
    for size in (1, 0, 5000, 100):
        yield bytes(size)
    environ["wsgi.input"].read()
    yield b"end"


def wsgi_writes(environ, start_response):
    write = _start_wsgi(environ, start_response)
    environ["wsgi.input"].readline(3)
    for _ in range(3):
        write(b"piece" * 300)
    return []


WSGI_APPLICATIONS = (
    *(wsgi_answers_at_once, wsgi_echoes, wsgi_echoes_as_it_reads, wsgi_streams, wsgi_writes),
)
