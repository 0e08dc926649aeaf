"""What the applications of all frameworks have in common; imported by the servers, not by tests.

Each application offers the routes that `contract` asks for; what it does is told by lines on
standard output, where it cannot be told by a response.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

FILE = Path(os.environ.get("SITE_FILE", "site-file"))
STORE = Path(os.environ.get("SITE_STORE", "site-store"))
SECRET = "of no importance, and long enough for whoever counts its characters"

FIRST = b"first\n"
PIECES = 400
_POLL = 0.01


class TeapotError(Exception):
    """What the applications' error handlers answer with 418."""


class UnhandledError(Exception):
    """What nobody handles."""


def say(what: str) -> None:
    print(what, flush=True)


def greeting(name: str, times: int) -> str:
    return f"hello {name}\n" * times


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wait(gate: str) -> None:
    """Wait until this file exists."""
    while not Path(gate).exists():
        time.sleep(_POLL)


async def async_wait(gate: str) -> None:
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(_POLL)


def piece(number: int) -> bytes:
    return b"%07d\n" % number * 128


def pieces(gate: str) -> Iterator[bytes]:
    """A piece at once, the others when the file `gate` exists."""
    try:
        yield FIRST
        wait(gate)
        for number in range(PIECES):
            yield piece(number)
    finally:
        say(f"the stream has ended: {gate}")


async def async_pieces(gate: str) -> AsyncIterator[bytes]:
    try:
        yield FIRST
        await async_wait(gate)
        for number in range(PIECES):
            yield piece(number)
    finally:
        say(f"the stream has ended: {gate}")


def work(gate: str) -> None:
    """What an application does behind its response, until the file exists."""
    wait(gate)
    say(f"worked: {gate}")


async def async_work(gate: str) -> None:
    await async_wait(gate)
    say(f"worked: {gate}")
