"""Calls to the core's server of a TestServer, made where it runs.

Owns nothing. Called on the test's thread; what it is given runs on the server's event loop.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from granite import snapshot
from granite._core.server import Server
from granite.testing import TestServer
from tests.patience import PATIENCE

T = TypeVar("T")


def inside(served: TestServer, call: Callable[[Server], T]) -> T:
    """Return what `call` returns of the server, on the server's event loop."""
    return served._inside(call).result(PATIENCE)


def many_turns(served: TestServer) -> None:
    """Let the server's event loop go round so often that all has left which its sockets take."""
    for _ in range(100):
        inside(served, lambda core: None)


def counted(served: TestServer) -> dict[str, int]:
    """The numbers of a snapshot by name, but for the histograms."""
    values = snapshot.unpack(inside(served, Server.snapshot))
    return dict(zip(snapshot.GAUGES + snapshot.COUNTERS, values, strict=False))


def durations(served: TestServer, name: str) -> tuple[list[int], int]:
    """A histogram: how many values are in each bucket, and their sum in microseconds."""
    return snapshot.histogram(snapshot.unpack(inside(served, Server.snapshot)), name)


def wait_for(served: TestServer, **wanted: int) -> dict[str, int]:
    """Return the numbers when they are as wanted; AssertionError if that does not happen."""
    deadline = time.monotonic() + PATIENCE
    while True:
        numbers = counted(served)
        seen: dict[str, Any] = {name: numbers[name] for name in wanted}
        if seen == wanted:
            return numbers
        assert time.monotonic() < deadline, f"expected {wanted}, got {seen}"
        time.sleep(0.01)


@contextlib.contextmanager
def stopping(served: TestServer) -> Iterator[None]:
    """Stop the server beside what the test does."""
    thread = threading.Thread(target=served.stop)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive()
