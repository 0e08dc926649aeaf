"""The metrics as granite's own commands read them: one JSON object, for `granite stats` and `top`.

Owns its text, which is written by hand: the module json would be held by the arbiter and by every
worker for the sake of one answer. Must not know who asks for it. Pure functions on the arbiter's
thread.
"""

from __future__ import annotations

import os

from granite import __version__
from granite.snapshot import BOUNDS, COUNTERS, GAUGES, HISTOGRAMS, INDEX, histogram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from granite.metrics.view import Seen, SeenWorker

    # What the object consists of.
    Node: TypeAlias = "str | int | float | list[Node] | dict[str, Node] | None"

__all__ = ["CONTENT_TYPE", "render"]

CONTENT_TYPE = "application/json"


def render(seen: Seen, interval: float) -> str:
    """Return the object: times in seconds, sizes in bytes, the counts of histograms by bucket;
    `interval` is the time between two snapshots of a worker.
    """
    bounds: list[Node] = [bound / 1_000_000 for bound in BOUNDS]
    workers: list[Node] = [_worker(worker, seen.now) for worker in seen.workers]
    return _text(
        {
            "granite": __version__,
            "pid": os.getpid(),
            "started": round(seen.started_at, 3),
            "ready": seen.ready,
            "reason": "" if seen.ready else seen.reason,
            "spawns": seen.spawns,
            "respawns": dict(seen.respawns),
            "interval": interval,
            "bounds": bounds,
            "workers": workers,
            "total": _numbers(seen.total()),
        }
    )


def _worker(worker: SeenWorker, now: float) -> Node:
    sampled = worker.sampled_at
    return {
        "worker": worker.index,
        "pid": worker.pid,
        "state": worker.state,
        "age": round(now - worker.started_at, 3),
        "rss": worker.rss,
        "sampled": None if sampled is None else round(sampled, 6),
        "metrics": None if worker.values is None else _numbers(worker.values),
    }


def _numbers(values: list[int]) -> dict[str, Node]:
    numbers: dict[str, Node] = {name: values[INDEX[name]] for name in (*GAUGES, *COUNTERS)}
    for name in HISTOGRAMS:
        counts, microseconds = histogram(values, name)
        numbers[name] = {"buckets": list(counts), "sum": microseconds / 1_000_000}
    return numbers


def _text(node: Node) -> str:
    if isinstance(node, dict):
        return "{" + ", ".join(f"{_quoted(k)}: {_text(v)}" for k, v in node.items()) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(_text, node)) + "]"
    if isinstance(node, str):
        return _quoted(node)
    if node is None:
        return "null"
    if isinstance(node, bool):
        return "true" if node else "false"
    return repr(node)


def _quoted(text: str) -> str:
    """Return a string of JSON; control characters, which must not stand in one, become spaces."""
    plain = "".join(c if c >= " " else " " for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
