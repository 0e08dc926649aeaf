import contextvars
from typing import Any

from granite._core.buf import OutPool
from granite._core.transport import LoopTurn

UV_VERSION: str
"""Version of libuv."""

class Reactor(LoopTurn):
    """A libuv loop nested in an event loop of Python.

    Parameters:
        outer: the event loop, a `Loop` or one of asyncio's kind.
        context: the context in which the reactor's callbacks run.
    """

    def __init__(self, outer: Any, context: contextvars.Context) -> None: ...
    @property
    def handles(self) -> int: ...
    @property
    def pool(self) -> OutPool: ...
    def pump(self) -> None: ...
    def close(self) -> None: ...
