"""An application that changes while it is served, and what tests ask its server."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from tests.arbiter.asking import get, until
from tests.granite_process import GraniteProcess

# Answers `TEXT PID`. Its import waits as long as there is a file `gate`.
MODULE = """
import os, pathlib, time
from tests.arbiter.apps import respond
if pathlib.Path("gate").exists():
    print("at the gate", flush=True)
    while pathlib.Path("gate").exists():
        time.sleep(0.01)

async def app(scope, receive, send):
    if scope["type"] == "http":
        return await respond(send, f"{text} {{os.getpid()}}")
    await receive()
    await send({{"type": "lifespan.startup.complete"}})
    await receive()
    print("shutdown ran", flush=True)
    await send({{"type": "lifespan.shutdown.complete"}})
"""


class Changing:
    """A folder with an application that changes, and the server of it."""

    def __init__(self, folder: Path, start: Callable[..., GraniteProcess]) -> None:
        self.folder = folder
        self.gate = folder / "gate"
        self._start = start
        self.write("one")

    def write(self, text: str, module: str = MODULE) -> None:
        (self.folder / "changing.py").write_text(module.format(text=text))

    def start(self, *arguments: str, **options) -> GraniteProcess:
        env = {"PYTHONDONTWRITEBYTECODE": "1", **options.pop("env", {})}
        return self._start("changing:app", *arguments, cwd=self.folder, env=env, **options)


def hang_up(granite: GraniteProcess, outcome: str = "info: reloaded") -> None:
    """Have it reload; return when that is over."""
    before = granite.output.count(outcome)
    granite.signal(signal.SIGHUP)
    until(lambda: granite.output.count(outcome) > before)


def told(granite: GraniteProcess) -> tuple[str, int]:
    text, pid = get(granite.url()).text.split()
    return text, int(pid)


def workers(granite: GraniteProcess) -> set[int]:
    """Return its children that live."""
    pid = granite.process.pid
    children = set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return children & set(granite.members())
