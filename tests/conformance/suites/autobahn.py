"""Autobahn's fuzzing client: WebSocket and permessage-deflate, case by case."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.model import Case
from tests.conformance.tools import FOLDER
from tests.granite_process import GraniteProcess

TITLE = "Autobahn"

_PACKAGE = "autobahntestsuite==25.10.1"
# Its modules lie in a folder of their own; one of them is a namespace, which `site` has to see.
_RUN = (
    "import site, sys; site.addsitedir({folder!r}); from autobahntestsuite.wstest import run; run()"
)
_GROUPS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "closing handshake",
    "9": "limits and performance",
    "10": "miscellaneous",
    "12": "permessage-deflate, messages of all sizes",
    "13": "permessage-deflate, all parameters",
}
_GOOD = "OK", "INFORMATIONAL"
_CONTEXTS = (
    *("--ws-deflate-server-context", "--ws-deflate-client-context"),
    *("--ws-deflate-threshold", "0"),
)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Send back what comes."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def rsgi(scope: Any, protocol: Any) -> None:
    """Send back what comes."""
    transport = await protocol.accept()
    while (message := await transport.receive()).kind:
        send = transport.send_bytes if message.kind == 1 else transport.send_str
        await send(message.data)


def missing() -> str:
    """Python 2.7, which no distribution has any more; its sources build, and pyenv builds them."""
    return "" if _python() else "Python 2.7 with pip (pyenv install 2.7.18)"


def about() -> str:
    """Which version, and how it is run."""
    return (
        "[Autobahn|Testsuite](https://github.com/crossbario/autobahn-testsuite)"
        f" {_PACKAGE.partition('==')[2]}, its fuzzing client, all cases: a program for Python 2.7,"
        " which is installed from PyPI below `build/conformance`. A case passes if its behaviour"
        " and its closing are OK or informational. Over ASGI, all of them with windows that are"
        " kept and messages of any size compressed; over RSGI, with the defaults, those that are"
        " not about compression or speed, and the first of each kind of parameters."
    )


def run(work: Path) -> Iterator[Case]:
    """All cases over ASGI, and those of the protocol over RSGI."""
    protocol = [f"{number}.*" for number in ("1", "2", "3", "4", "5", "6", "7", "10")]
    parameters = [f"13.{number}.1" for number in range(1, 8)]
    yield from _cases("asgi", "ASGI", ["*"], work, *_CONTEXTS)
    yield from _cases("rsgi", "RSGI", [*protocol, *parameters], work)


def _python() -> str:
    """A Python 2.7 that has pip; empty if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which("python2.7"), *map(str, pyenv.glob("versions/2.7.*/bin/python2.7"))]
    for python in found:
        if python is not None:
            asked = [python, "-m", "pip", "--version"]
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                return python
    return ""


def _installed(python: str) -> Path:
    """The folder in which the suite is installed, which happens once."""
    folder = FOLDER / "python2.7" / _PACKAGE
    if not folder.exists():
        made = folder.with_suffix(".part")
        command = [python, "-m", "pip", "install", "--quiet", "--target", str(made), _PACKAGE]
        subprocess.run(command, check=True)
        made.rename(folder)
    return folder


def _cases(app: str, variant: str, cases: list[str], work: Path, *arguments: str) -> Iterator[Case]:
    python = _python()
    reports = work / variant
    shutil.rmtree(reports, ignore_errors=True)
    process = GraniteProcess(
        *("run", f"{__name__}:{app}", "--interface", app, "--port", "0", "--lifespan", "off"),
        *arguments,
        patient=False,
    )
    try:
        port = process.wait_for(r"listening on https?://\S+:(\d+)")[1]
        specification = work / f"{variant}.json"
        specification.write_text(
            json.dumps(
                {
                    "outdir": str(reports),
                    "servers": [{"agent": variant, "url": f"ws://127.0.0.1:{port}"}],
                    "cases": cases,
                    "exclude-cases": [],
                    "exclude-agent-cases": {},
                }
            )
        )
        said = subprocess.run(
            [
                *(python, "-c", _RUN.format(folder=str(_installed(python)))),
                *("-m", "fuzzingclient", "-s", str(specification)),
            ],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        (work / f"{variant}.txt").write_text(said.stdout + said.stderr)
        process.stop()
    finally:
        process.destroy()
    index = reports / "index.json"
    if not index.exists():
        yield Case("the run", variant, "fuzzingclient", False, said.stdout + said.stderr)
        return
    for number, found in json.loads(index.read_text())[variant].items():
        behaviour, closing = found["behavior"], found["behaviorClose"]
        ok = behaviour in _GOOD and closing in _GOOD
        group = _GROUPS[number.partition(".")[0]]
        yield Case(group, variant, number, ok, f"{behaviour}, closing: {closing}")
