"""How many workers there are to be, and how that changes.

Owns the number of slots. Must not know how a worker is started: an empty slot is filled by itself.
Main thread of the arbiter.
"""

from __future__ import annotations

from granite.arbiter.signals import SIGTERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.calls import Calls
    from granite.arbiter.fleet import Fleet
    from granite.log import Log

__all__ = ["MOST_WORKERS", "Scaling"]

MOST_WORKERS = 1024  # as the setting's


class Scaling:
    """Change the number of workers; each change may raise HookFailed."""

    __slots__ = ("_calls", "_fleet", "_log")

    def __init__(self, fleet: Fleet, calls: Calls, log: Log) -> None:
        self._fleet = fleet
        self._calls = calls
        self._log = log

    def to(self, size: int, kill_at: float, why: str) -> None:
        """Have `size` workers. Those that are too many finish their requests, and are killed at
        `kill_at`.
        """
        before = len(self._fleet.slots)
        if size == before:
            return
        self._log.info(f"{why}: from {before} to {size} workers")
        while len(self._fleet.slots) < size:
            self._fleet.grow()
        told = []
        while len(self._fleet.slots) > size:
            told += self._fleet.shrink()
        for worker in told:
            worker.end(SIGTERM, kill_at)
        if self._calls.server is not None:
            self._calls.server.num_workers = size
        self._calls.call("nworkers_changed", size, before)
