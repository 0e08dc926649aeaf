"""An application that notes what it has seen.

Owns the notes, by the port of the client. Runs on the server's thread; a test reads the notes when
the server has answered.
"""

from __future__ import annotations

import asyncio

from tests.wire import corpus

__all__ = ["Recorder"]


class Recorder:
    """Notes each request that it has read to its end; with `suspends` it waits now and then."""

    def __init__(self, suspends: bool) -> None:
        self.suspends = suspends
        self.seen: dict[int, list[corpus.Seen]] = {}

    async def __call__(self, scope, receive, send):
        body = b""
        more = True
        while more:
            if self.suspends:
                await asyncio.sleep(0)
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        self.seen.setdefault(scope["client"][1], []).append(
            corpus.Seen(
                scope["method"],
                scope["raw_path"],
                scope["path"],
                scope["query_string"],
                scope["http_version"],
                scope["headers"],
                body,
            )
        )
        if self.suspends:
            await asyncio.sleep(0)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"2"), (b"x-method", scope["method"].encode())],
            }
        )
        await send({"type": "http.response.body", "body": b"ok"})
