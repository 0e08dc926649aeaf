"""Bar charts of the ratios, drawn from the JSON of a run.

Owns the drawing; knows nothing but the JSON. Run by the peers' environment (``python -m bench.plot
results.json DIRECTORY``), where matplotlib is installed, so that the benchmark itself needs only
the standard library.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

from bench.model import MORE_IS_BETTER

_BAR = "#4477aa"
_MISSED = "#cc6677"
_TARGET = "#222222"
_COLUMNS = 3
_LONGEST = 6.0
"""Longer bars are cut: one far-off peer would make the rest of the panel unreadable."""


def _draw(axes: Any, scenario: dict[str, Any]) -> None:
    """Draw one scenario: a bar per peer, whiskers over the middle half, a mark at the target."""
    peers = [row for row in scenario["servers"] if row["ratio"]]
    places = list(range(len(peers)))
    reach = 1.0
    for place, row in zip(places, peers, strict=True):
        median, low, high = (row["ratio"][name] for name in ("median", "low", "high"))
        length, end = min(median, _LONGEST), min(high, _LONGEST)
        colour = _MISSED if row["met"] is False else _BAR
        axes.barh(place, length, color=colour, height=0.62)
        axes.plot([min(low, length), end], [place, place], color="#888888", lw=1.2)
        if row["target"]:
            bound = row["target"]["bound"]
            axes.plot([bound, bound], [place - 0.42, place + 0.42], color=_TARGET, lw=2)
            end = max(end, bound)
        text = f"{median:.2f}" if median <= _LONGEST else f"{median:.2f}, cut"
        reach = max(reach, end, length)
        offset = (4, 0)
        axes.annotate(
            text, (end, place), offset, textcoords="offset points", va="center", fontsize=8
        )
    axes.axvline(1.0, color="#999999", lw=0.8, ls="--", zorder=0)
    axes.set_yticks(places, [row["server"] for row in peers], fontsize=8)
    axes.set_xlim(0, reach * 1.22)
    axes.invert_yaxis()
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    better = "more" if scenario["kind"] in MORE_IS_BETTER else "less"
    axes.set_title(f"{scenario['title']}\n({better} is better)", fontsize=9, loc="left")


def _figure(pyplot: Any, title: str, subject: str, scenarios: list[dict[str, Any]]) -> Any:
    """Return a figure with one panel per scenario."""
    columns = min(_COLUMNS, len(scenarios))
    lines = math.ceil(len(scenarios) / columns)
    figure, grid = pyplot.subplots(
        lines, columns, figsize=(4.2 * columns, 2.9 * lines + 0.8), squeeze=False
    )
    panels = list(grid.flat)
    for panel, scenario in zip(panels, scenarios, strict=False):
        _draw(panel, scenario)
        panel.set_xlabel(f"{subject} ÷ peer", fontsize=8)
    for panel in panels[len(scenarios) :]:
        panel.set_visible(False)
    figure.suptitle(f"{title} (black mark: target; dashed: equal)", fontsize=11, x=0.01, ha="left")
    figure.tight_layout()
    return figure


def draw(results: dict[str, Any], directory: Path) -> list[str]:
    """Write ``throughput.svg`` and ``footprint.svg`` if there is something to show in them."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    # Fixed ids and no date: the same results give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "bench"
    pyplot = importlib.import_module("matplotlib.pyplot")
    shown = [one for one in results["scenarios"] if any(row["ratio"] for row in one["servers"])]
    groups = {
        "throughput": (
            "Requests per second",
            [one for one in shown if one["kind"] in MORE_IS_BETTER],
        ),
        "footprint": (
            "Memory and start",
            [one for one in shown if one["kind"] not in MORE_IS_BETTER],
        ),
    }
    written = []
    for name, (title, scenarios) in groups.items():
        if scenarios:
            figure = _figure(pyplot, title, scenarios[0]["subject"], scenarios)
            figure.savefig(directory / f"{name}.svg", metadata={"Date": None})
            pyplot.close(figure)
            written.append(f"{name}.svg")
    return written


def main() -> None:
    """Draw the file given first into the directory given second; print what was written."""
    source, directory = Path(sys.argv[1]), Path(sys.argv[2])
    for name in draw(json.loads(source.read_text(encoding="utf-8")), directory):
        print(name)


if __name__ == "__main__":
    main()
