"""The server of the soak: run as a program, it says on its first line where it serves.

To each line on its standard input it answers with what it has: one JSON object of the bytes of
memory that are its own and the counters of live objects. It ends with the input.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
from pathlib import Path

from granite._core import asgi
from granite.testing import TestServer

LARGE = bytes(1 << 20)
servers: list[TestServer] = []


async def app(scope, receive, send) -> None:
    """Read the request's body to its end and answer; the path says how."""
    path = scope["path"]
    size, more = 0, path != "/unread"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    if path == "/later":
        await asyncio.sleep(0.01)
    if path == "/wrong":
        servers[0].exceptions.clear()  # which hold tracebacks, and what these hold
        raise ValueError(path)
    if path == "/hinted":
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    trailers = path == "/trailed"
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]}
    await send({**start, "trailers": trailers})
    if path == "/file":
        await send({"type": "http.response.pathsend", "path": asgi.__file__})
        return
    if path == "/large":
        for _ in range(8):
            await send({"type": "http.response.body", "body": LARGE, "more_body": True})
    await send({"type": "http.response.body", "body": str(size).encode()})
    if trailers:
        await send({"type": "http.response.trailers", "headers": [(b"x-size", b"0")]})


def private_bytes() -> int:
    """The memory that this process alone has."""
    gc.collect()
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB$", text, re.MULTILINE)))


def main() -> None:
    settings = json.loads(sys.argv[1])
    with TestServer(app, lifespan="off", **settings) as server:
        servers.append(server)
        print(server.port, flush=True)
        for _ in sys.stdin:
            server.exceptions.clear()
            seen = {"memory": private_bytes(), "counters": server.counters()}
            print(json.dumps(seen), flush=True)
    left = {name: count for name, count in server.counters().items() if count}
    print(json.dumps({"left": left}), flush=True)


if __name__ == "__main__":
    main()
