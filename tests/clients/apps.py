"""What the clients ask: an application that echoes, streams, and tells what it has got."""

from __future__ import annotations

import json
from typing import Any

PIECE = bytes(range(256)) * 64


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await socket(scope, receive, send)
        return
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    await _ANSWERS.get(scope["path"], told)(scope, body, send)


async def socket(scope: Any, receive: Any, send: Any) -> None:
    """What comes, but for the version of HTTP, until it is `close`."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][-1]})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "as you wish"})
            return
        if message.get("text") == "version":
            message = {"text": scope["http_version"]}
        await send({**message, "type": "websocket.send"})


async def told(scope: Any, body: bytes, send: Any) -> None:
    """What has come, as a page of JSON."""
    what = {
        "method": scope["method"],
        "target": scope["raw_path"].decode() + "?" + scope["query_string"].decode(),
        "scheme": scope["scheme"],
        "version": scope["http_version"],
        "body": len(body),
        "headers": {name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
    }
    await answer(send, json.dumps(what).encode(), b"application/json")


async def echo(scope: Any, body: bytes, send: Any) -> None:
    await answer(send, body, b"application/octet-stream")


async def page(scope: Any, body: bytes, send: Any) -> None:
    await answer(send, b"<!doctype html><title>granite</title><body>hello", b"text/html")


async def stream(scope: Any, body: bytes, send: Any) -> None:
    """4 MiB in 256 pieces, of a length that nobody knows."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for left in reversed(range(256)):
        await send({"type": "http.response.body", "body": PIECE, "more_body": left > 0})


async def answer(send: Any, data: bytes, kind: bytes) -> None:
    fields = [(b"content-type", kind), (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": data})


_ANSWERS = {"/echo": echo, "/page": page, "/stream": stream}
