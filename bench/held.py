"""What an application of ASGI holds for each of its WebSockets, whatever the server: its scope, its
Task with the coroutine in it, a copy of the context, and the Future that it waits for.

Owns a process without any server, in which the application is called as a server does. It is run as
`python -m bench.held MODULE:ATTRIBUTE COUNT LOOP` by the interpreter in question, and prints KiB.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import memory
from bench.model import BenchError
from bench.servers import APPS, ROOT

_WARM_UP = 100
_SHARED = [
    (b"host", b"127.0.0.1"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
]
_TEMPLATE: dict[str, Any] = {
    "type": "websocket",
    "asgi": None,
    "http_version": "1.1",
    "scheme": "ws",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "root_path": "",
    "headers": None,
    "client": None,
    "server": ("127.0.0.1", 8000),
    "extensions": None,
    "state": None,
    "subprotocols": None,
}


def kib_each(python: Path, app: str, count: int, loop: str) -> float:
    """Return what each of ``count`` WebSockets makes ``app`` hold; raises BenchError."""
    command = [str(python), "-m", "bench.held", app, str(count), loop]
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{APPS}"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"bench.held failed: {done.stderr.strip()[-300:]}")
    return float(done.stdout)


def _scope(number: int) -> dict[str, Any]:
    key = b"dGhlIHNhbXBsZSB%08d=" % number  # each client has its own
    return {
        **_TEMPLATE,
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "headers": [*_SHARED, (b"sec-websocket-key", key)],
        "client": ("127.0.0.1", 30_000 + number),
        "extensions": {"websocket.http.response": _TEMPLATE},
        "state": {},
        "subprotocols": [],
    }


async def _measure(app: Any, count: int) -> float:
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    tasks: list[asyncio.Task[Any]] = []

    def call(number: int) -> None:
        # What it receives is a Future, for which it waits.
        coroutine = app(_scope(number), loop.create_future, loop.create_future)
        tasks.append(context.copy().run(loop.create_task, coroutine))

    for number in range(_WARM_UP):
        call(number)
    await asyncio.sleep(0)
    gc.collect()
    before, _ = memory.tree_kib([os.getpid()])
    for number in range(count):
        call(number)
    await asyncio.sleep(0)  # they begin
    after, _ = memory.tree_kib([os.getpid()])
    return (after - before) / count


def main() -> None:
    """Measure, print, and leave everything to the end of the process."""
    target, count, loop = sys.argv[1:]
    module, _, name = target.partition(":")
    app = getattr(importlib.import_module(module), name)
    run: Any = importlib.import_module(loop).run

    async def measure() -> None:
        print(await _measure(app, int(count)), flush=True)
        os._exit(0)

    run(measure())


if __name__ == "__main__":
    main()
