"""What follows from two answers of a server: how fast each worker does what it counts.

Owns the difference of two snapshots of the same worker. Must not know how they are had or shown.
Runs on the main thread.

A worker tells its numbers in its own rhythm, and time is measured between two of its snapshots, not
between two questions. A question that finds no newer snapshot changes nothing.
"""

from __future__ import annotations

from typing import Any

from granite.cli.running import merged, quantile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Meter", "Rates"]


class Rates:
    """Requests per second, and the times in seconds below which half of them and 99 % were
    answered, and 99 % of the loop's timers were late; None where nothing tells.
    """

    __slots__ = ("lag", "p50", "p99", "requests")

    def __init__(
        self,
        requests: float | None = None,
        latencies: Sequence[int] = (),
        lags: Sequence[int] = (),
        bounds: Sequence[float] = (),
    ) -> None:
        self.requests = requests
        self.p50 = quantile(0.5, latencies, bounds)
        self.p99 = quantile(0.99, latencies, bounds)
        self.lag = quantile(0.99, lags, bounds)


class _Delta:
    """What a worker has done between two of its snapshots."""

    __slots__ = ("lags", "latencies", "requests")

    def __init__(self, before: dict[str, Any], after: dict[str, Any], elapsed: float) -> None:
        self.requests = (after["requests_handled"] - before["requests_handled"]) / elapsed
        self.latencies = _difference(before["latency"], after["latency"])
        self.lags = _difference(before["loop_lag"], after["loop_lag"])


class Meter:
    """Takes answers, and tells the rates since the ones before."""

    def __init__(self) -> None:
        self._bounds: Sequence[float] = ()
        self._snapshots: dict[int, tuple[float, dict[str, Any]]] = {}
        self._deltas: dict[int, _Delta] = {}

    def read(self, found: dict[str, Any]) -> None:
        """Take an answer in."""
        self._bounds = found["bounds"]
        there = {worker["pid"]: worker for worker in found["workers"]}
        for known in (self._snapshots, self._deltas):
            for pid in [pid for pid in known if pid not in there]:
                del known[pid]
        for pid, worker in there.items():
            if worker["metrics"] is not None:
                self._read(pid, worker["sampled"], worker["metrics"])

    def rates(self, pid: int) -> Rates:
        """Return those of a worker."""
        delta = self._deltas.get(pid)
        if delta is None:
            return Rates()
        return Rates(delta.requests, delta.latencies, delta.lags, self._bounds)

    def total(self) -> Rates:
        """Return those of all workers together."""
        deltas = list(self._deltas.values())
        if not deltas:
            return Rates()
        return Rates(
            sum(delta.requests for delta in deltas),
            merged([delta.latencies for delta in deltas]),
            merged([delta.lags for delta in deltas]),
            self._bounds,
        )

    def _read(self, pid: int, sampled: float, metrics: dict[str, Any]) -> None:
        before, numbers = self._snapshots.get(pid, (sampled, metrics))
        if sampled > before:
            self._deltas[pid] = _Delta(numbers, metrics, sampled - before)
        self._snapshots[pid] = sampled, metrics


def _difference(before: dict[str, Any], after: dict[str, Any]) -> list[int]:
    return [new - old for old, new in zip(before["buckets"], after["buckets"], strict=True)]
