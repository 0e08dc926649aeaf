"""`granite stats`: what a running server and its workers have done since they were started.

Owns the table. Must not know how the server is found and asked. Runs on the main thread of a
process of its own.
"""

from __future__ import annotations

import time
from typing import Any

from granite.cli.figures import NOTHING, duration, latency, number, size
from granite.cli.help import SWITCHES
from granite.cli.output import bold, write
from granite.cli.running import Options, Server, quantile
from granite.errors import EXIT_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "table"]

_COLUMNS = (
    *("worker", "pid", "state", "up", "memory", "conns", "active", "requests", "5xx"),
    *("p50", "p99", "lag p99"),
)


def main(arguments: Sequence[str]) -> int:
    """Run `granite stats` with `arguments`; return the exit status."""
    switches = [name for name in SWITCHES["stats"] if name == "--json"]
    options = Options.read("stats", arguments, switches, ("--address",))
    found = Server.find(options).ask()
    if "--json" in options.switches:
        import json

        write(json.dumps(found, indent=2) + "\n")
    else:
        write(table(found))
    return EXIT_OK


def table(found: dict[str, Any]) -> str:
    """Return the answer of a server as text."""
    rows = [_row(worker, found["bounds"]) for worker in found["workers"]]
    total = {"worker": "all", "metrics": found["total"]}
    rows.append(_row(total, found["bounds"]))
    state = "ready" if found["ready"] else f"not ready: {found['reason']}"
    up = duration(time.time() - found["started"])
    causes = [f"{count} {cause}" for cause, count in found["respawns"].items() if count]
    lines = [
        f"granite {found['granite']}, pid {found['pid']}, up {up}, {state}",
        f"workers started: {found['spawns']}, replaced: {', '.join(causes) or 'none'}",
        "",
        *_aligned([_COLUMNS, *rows]),
    ]
    return "\n".join(lines) + "\n"


def _row(worker: dict[str, Any], bounds: list[float]) -> tuple[str, ...]:
    """Return the cells of a worker, or of all of them together."""
    return (
        *(str(worker["worker"]), str(worker.get("pid", "")), worker.get("state", "")),
        *((duration(worker["age"]), size(worker["rss"])) if "age" in worker else ("", "")),
        *_cells(worker["metrics"], bounds),
    )


def _cells(metrics: dict[str, Any] | None, bounds: list[float]) -> tuple[str, ...]:
    if metrics is None:
        return (NOTHING,) * 7
    failed = sum(count for name, count in metrics.items() if name.endswith("_5xx"))
    counts = metrics["latency"]["buckets"]
    return (
        *(number(metrics[name]) for name in ("connections_active", "requests_active")),
        *(number(metrics["requests_handled"]), number(failed)),
        *(latency(quantile(part, counts, bounds)) for part in (0.5, 0.99)),
        latency(quantile(0.99, metrics["loop_lag"]["buckets"], bounds)),
    )


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if position == 2 else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [bold(lines[0]), *lines[1:]]
