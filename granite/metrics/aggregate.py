"""What all workers have counted, those that are gone included.

Owns the last snapshot of each worker, and what remains of one that has ended: its counters, for the
slot that it worked in, so that no number that is only to grow ever falls. Must not know how a
snapshot travels, nor how its numbers are shown. Main thread of the arbiter.

A snapshot that arrives is only kept; it is read when somebody asks. Workers send more of them than
anybody looks at.
"""

from __future__ import annotations

import time

from granite.snapshot import FIELDS, GAUGES, SIZE, unpack

__all__ = ["CAUSES", "FIRST_STARTS", "Aggregate"]

# Why a worker was started in the place of another one; others may be counted, too.
CAUSES = ("error", "timeout", "requests", "lifetime", "rss", "reload")
# Why one was started that replaces none.
FIRST_STARTS = ("start", "scale")

_GAUGES = len(GAUGES)


class Aggregate:
    """The numbers of all slots, each by the index of its slot. `spawns` counts all workers that
    were started, `respawns` those that replace another one, by cause.
    """

    __slots__ = ("_gone", "_last", "respawns", "spawns")

    def __init__(self) -> None:
        # By pid: the slot, the monotonic time at which it came, and the snapshot.
        self._last: dict[int, tuple[int, float, bytes]] = {}
        # By slot: what workers that are gone have counted. Their gauges are zero.
        self._gone: dict[int, list[int]] = {}
        self.spawns = 0
        self.respawns = dict.fromkeys(CAUSES, 0)

    def beat(self, index: int, pid: int, payload: bytes) -> None:
        """Keep the newest snapshot of a worker of the slot `index`; what is none is dropped."""
        if len(payload) == SIZE:
            self._last[pid] = index, time.monotonic(), payload

    def gone(self, pid: int) -> None:
        """Remember what a worker that has ended had counted; idempotent."""
        last = self._last.pop(pid, None)
        if last is not None:
            index, _, payload = last
            values = unpack(payload)
            values[:_GAUGES] = [0] * _GAUGES
            _add(self._gone.setdefault(index, [0] * len(FIELDS)), values)

    def spawned(self, cause: str) -> None:
        """Count a worker that was started because of `cause`, one of CAUSES or FIRST_STARTS."""
        self.spawns += 1
        if cause not in FIRST_STARTS:
            self.respawns[cause] = self.respawns.get(cause, 0) + 1

    def snapshot(self, pid: int) -> list[int] | None:
        """Return the newest numbers of a worker, in the order of FIELDS; None if there are none."""
        last = self._last.get(pid)
        return None if last is None else unpack(last[2])

    def sampled_at(self, pid: int) -> float | None:
        """Return the monotonic time at which they came."""
        last = self._last.get(pid)
        return None if last is None else last[1]

    def slots(self) -> dict[int, list[int]]:
        """Return the sums of each slot that has ever sent numbers, in the order of their indices:
        counters of all its workers, gauges of those that live.
        """
        sums = {index: list(values) for index, values in self._gone.items()}
        for index, _, payload in self._last.values():
            _add(sums.setdefault(index, [0] * len(FIELDS)), unpack(payload))
        return dict(sorted(sums.items()))

    def total(self) -> list[int]:
        """Return the sums of all slots."""
        sums = [0] * len(FIELDS)
        for values in self.slots().values():
            _add(sums, values)
        return sums


def _add(sums: list[int], values: list[int]) -> None:
    for position, value in enumerate(values):
        sums[position] += value
