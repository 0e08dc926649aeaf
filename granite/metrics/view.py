"""What an answer is made of: the server and its workers at one moment.

Owns how the arbiter's view is read, and which worker stands for its slot. Must not know how an
answer looks. Main thread of the arbiter.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from granite.metrics.aggregate import Aggregate

    class View(Protocol):
        """What the arbiter shows of itself. `reason` says why it is not ready. `workers()` are
        slot, pid, state, monotonic start, resident bytes and newest numbers of each worker.
        """

        @property
        def ready(self) -> bool: ...
        @property
        def reason(self) -> str: ...
        @property
        def totals(self) -> Aggregate: ...
        def workers(
            self,
        ) -> Iterable[tuple[int, int, str, float, int | None, list[int] | None]]: ...


__all__ = ["Seen", "SeenWorker"]

# The worker that stands for its slot: one that serves, else one that is going to.
_ORDER = {"ready": 0, "booting": 1}


class SeenWorker:
    """One worker. `started_at` is monotonic, as is `sampled_at`, when its numbers came; `rss` is in
    bytes.
    """

    __slots__ = ("index", "pid", "rss", "sampled_at", "started_at", "state", "values")

    def __init__(
        self,
        index: int,
        pid: int,
        state: str,
        started_at: float,
        rss: int | None,
        values: list[int] | None,
    ) -> None:
        self.index = index
        self.pid = pid
        self.state = state
        self.started_at = started_at
        self.rss = rss
        self.values = values
        self.sampled_at: float | None = None


class Seen:
    """The server as `view` shows it now; `started_at` is when it started, in seconds since the
    epoch, `now` monotonic.
    """

    __slots__ = (
        *("_totals", "now", "ready", "reason", "respawns", "slots", "spawns", "started_at"),
        "workers",
    )

    def __init__(self, view: View, started_at: float) -> None:
        self.started_at = started_at
        self.now = time.monotonic()
        self.ready = view.ready
        self.reason = view.reason
        self._totals = view.totals
        self.spawns = self._totals.spawns
        self.respawns = self._totals.respawns
        self.slots = self._totals.slots()
        self.workers = [SeenWorker(*worker) for worker in view.workers()]
        for worker in self.workers:
            worker.sampled_at = self._totals.sampled_at(worker.pid)

    def total(self) -> list[int]:
        """Return the numbers of all slots together."""
        return self._totals.total()

    def current(self) -> list[SeenWorker]:
        """Return one worker for each slot that has any, in the order of the slots."""
        found: dict[int, SeenWorker] = {}
        for worker in sorted(self.workers, key=_preference):
            found.setdefault(worker.index, worker)
        return [found[index] for index in sorted(found)]


def _preference(worker: SeenWorker) -> tuple[int, float]:
    return _ORDER.get(worker.state, len(_ORDER)), -worker.started_at
