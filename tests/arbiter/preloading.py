"""An application that is preloaded, and what tests ask its server."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import httpx

from tests.arbiter.asking import get, until
from tests.arbiter.changing import Changing
from tests.granite_process import GraniteProcess

# Answers `TEXT PID ARGUMENT`, the last one the value of the expression that the path is.
MODULE = """
import os, pathlib, random, time
from tests.arbiter.apps import respond
at_import = os.getpid()
print("imported by", at_import, flush=True)
while pathlib.Path("gate").exists():
    time.sleep(0.01)

async def app(scope, receive, send):
    if scope["type"] == "http":
        asked = scope["query_string"].decode() or "None"
        return await respond(send, f"{text} {{os.getpid()}} {{eval(asked)}}")
    await receive()
    await send({{"type": "lifespan.startup.complete"}})
    await receive()
    await send({{"type": "lifespan.shutdown.complete"}})
"""


def template(granite: GraniteProcess) -> int:
    """Return the process id of the template that has imported the application last."""
    granite.wait_for("imported by")
    return int(re.findall(r"imported by (\d+)", granite.output)[-1])


def served_by(granite: GraniteProcess, count: int, expression: str = "") -> dict[int, list[str]]:
    """Ask until `count` workers have answered; return what they said, by process id. Connections
    are kept meanwhile, so that who has answered has more of them than the others.
    """
    found: dict[int, list[str]] = {}
    with contextlib.ExitStack() as kept:

        def ask() -> bool:
            answer = get(granite.url(f"/?{expression}"), kept.enter_context(httpx.Client()))
            text, pid, *rest = answer.text.split(maxsplit=2)
            found[int(pid)] = [text, *rest]
            return len(found) >= count

        until(ask)
    return found


def answer(granite: GraniteProcess, expression: str = "") -> str:
    return next(iter(served_by(granite, 1, expression).values()))[1]


def text(granite: GraniteProcess) -> str:
    return next(iter(served_by(granite, 1).values()))[0]


def parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def sockets(pid: int) -> list[str]:
    """Return the sockets that a process has open."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed just now
            found.append(str(fd.readlink()))
    return [link for link in found if link.startswith("socket:")]


class Preload:
    """Start a server of the application, with these arguments."""

    def __init__(self, changing: Changing) -> None:
        self._changing = changing
        self.folder = changing.folder

    def __call__(self, *arguments: str, module: str = MODULE, **options) -> GraniteProcess:
        self.write("one", module)
        return self._changing.start("--preload", *arguments, **options)

    def write(self, text: str, module: str = MODULE) -> None:
        self._changing.write(text, module)
