"""Programs that call `Granite(...).serve()`."""

from __future__ import annotations

import re
from typing import Protocol

from tests.granite_process import GraniteProcess

# An application that tells who answers, and a program around `serve()`: what it prints tells where
# each part ran.
PROGRAM = """
import atexit
import os
import signal
import sys
from contextlib import contextmanager

from granite import Granite

ARBITER = os.getpid()


def say(what):
    who = "arbiter" if os.getpid() == ARBITER else "worker"
    sys.stdout.write(f"[{who} {what}]\\n")
    sys.stdout.flush()


async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def around(what):
    try:
        yield
    finally:
        say(f"left {what}")


def load(*arguments):
    say(f"loads {arguments}")
    return app

"""
USUAL = {"port": 0, "lifespan": "off"}


class RunProgram(Protocol):
    def __call__(self, code: str, *, ready: bool = True) -> GraniteProcess: ...


def said(process: GraniteProcess) -> list[str]:
    return re.findall(r"^\[(.*)\]$", process.output, re.MULTILINE)
