"""Results as JSON and as a Markdown table.

Owns what a reader sees; must not measure. The JSON is complete (every round), the table and the
plots derive from it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.model import MORE_IS_BETTER, Scenario, ScenarioResult, Target
from bench.servers import SERVERS
from bench.stats import summarise

_FULL_CORE = 0.9

Facts = Mapping[str, Mapping[str, str]]


def _target(target: Target | None) -> dict[str, Any] | None:
    return asdict(target) if target is not None else None


def server_row(result: ScenarioResult, name: str) -> dict[str, Any]:
    """Return the summary of one server in one scenario; figures that don't exist are None."""
    valid, invalid = result.of(name), result.invalid(name)
    figure = summarise([sample.value for sample in valid])
    ratio = summarise(result.ratios.get(name, []))
    scenario = result.scenario
    subject = name == result.subject
    target = scenario.absolute if subject else scenario.targets.get(name)
    judged = figure if subject else ratio
    row: dict[str, Any] = {
        "server": name,
        "figure": asdict(figure) if figure else None,
        "ratio": asdict(ratio) if ratio else None,
        "target": _target(target),
        "met": target.met(judged.median) if target and judged else None,
        "invalid": len(invalid),
        "notes": sorted({sample.note for sample in invalid}),
    }
    for detail in ("p50_ms", "p99_ms", "cpu_us", "server_cpu", "generator_cpu"):
        values = [sample.details[detail] for sample in valid if detail in sample.details]
        row[detail] = statistics.median(values) if values else None
    return row


def rows(result: ScenarioResult) -> list[dict[str, Any]]:
    """Return the rows of a scenario: the subject first, then the peers as they were measured."""
    names = list(dict.fromkeys([result.subject, *(s.server for s in result.samples)]))
    return [server_row(result, name) for name in names]


def as_json(results: Sequence[ScenarioResult], facts: Facts) -> dict[str, Any]:
    """Return everything that was measured, ready for ``json.dump``."""
    return {
        **{name: dict(values) for name, values in facts.items()},
        "scenarios": [
            {
                "name": result.scenario.name,
                "title": result.scenario.title,
                "unit": result.scenario.unit,
                "kind": result.scenario.kind,
                "subject": result.subject,
                "servers": rows(result),
                "failures": result.failures,
                "commands": result.commands,
                "ratios": result.ratios,
                "samples": [asdict(sample) for sample in result.samples],
            }
            for result in results
        ],
    }


def number(value: float) -> str:
    """Return ``value`` with three or more significant digits, thousands separated."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    # A name column, then figures, which read better flush right.
    rule = ["---", *("---:" for _ in head[1:])]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *body)]


def _verdict(row: Mapping[str, Any]) -> tuple[str, str]:
    if row["target"] is None:
        return "", ""
    met = {True: "yes", False: "**no**", None: "?"}[row["met"]]
    return str(Target(**row["target"])), met


def _scenario_lines(result: ScenarioResult) -> list[str]:
    scenario, subject = result.scenario, result.subject
    load = scenario.kind == "load"
    head = ["server", scenario.unit, "middle half"]
    head += ["p99 ms", "CPU µs/req", "server core", "load core"] if load else []
    if scenario.ratios:
        head += [f"{subject} ÷ it", "middle half"]
    head += ["target", "met"]
    body = [_cells(result, row, load) for row in rows(result)]
    lines = [f"### {scenario.name}: {scenario.title}", "", *_table(head, body), ""]
    if load and _disturbed(result):
        lines.append("- **disturbed**: neither core was busy with this; something else was running")
    lines += [
        f"- {row['server']}: {row['invalid']} rounds do not count: {'; '.join(row['notes'])}"
        for row in rows(result)
        if row["invalid"]
    ]
    lines += [
        f"- {name} is left out: {why.splitlines()[-1]}" for name, why in result.failures.items()
    ]
    return [*lines, ""] if lines[-1] else lines


def _disturbed(result: ScenarioResult) -> bool:
    """Tell whether the subject had to share its core: nothing of ours could fill one."""
    if result.scenario.waits:
        return False
    row = server_row(result, result.subject)
    busy = max(row["server_cpu"] or 0.0, row["generator_cpu"] or 0.0)
    return bool(row["figure"]) and busy < _FULL_CORE


def _cells(result: ScenarioResult, row: Mapping[str, Any], load: bool) -> list[str]:
    figure, ratio = row["figure"], row["ratio"]
    cells = [row["server"]]
    cells += (
        [number(figure["median"]), f"{number(figure['low'])} – {number(figure['high'])}"]
        if figure
        else ["–", ""]
    )
    if load:
        cells += [number(row[key]) if row[key] else "" for key in ("p99_ms", "cpu_us")]
        cells += [_share(row["server_cpu"]), _share(row["generator_cpu"])]
    if result.scenario.ratios:
        cells += (
            [f"**{ratio['median']:.2f}**", f"{ratio['low']:.2f} – {ratio['high']:.2f}"]
            if ratio
            else ["", ""]
        )
    return [*cells, *_verdict(row)]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def overview(results: Sequence[ScenarioResult]) -> list[str]:
    """Return the one table to quote: scenarios down, peers across, in the cells subject ÷ peer."""
    shown = [result for result in results if result.scenario.ratios]
    present = {name for result in shown for name in result.ratios}
    peers = [name for name in SERVERS if name in present]
    subject = results[0].subject if results else ""
    body = []
    for result in shown:
        own = summarise([sample.value for sample in result.of(subject)])
        figure = f"{number(own.median)} {result.scenario.unit}" if own else "–"
        cells = [_overview_cell(result, peer) for peer in peers]
        body.append([_title(result.scenario), figure, *cells])
    return _table([f"{subject} ÷ peer", subject, *peers], body)


def _title(scenario: Scenario) -> str:
    more = scenario.kind in MORE_IS_BETTER
    return scenario.title if more else f"{scenario.title} (less is better)"


def _overview_cell(result: ScenarioResult, peer: str) -> str:
    row = server_row(result, peer)
    if row["ratio"] is None:
        return ""
    target, _ = _verdict(row)
    text = f"{row['ratio']['median']:.2f}"
    if row["met"] is False:
        text = f"**{text}**"
    return f"{text} ({target})" if target else text


def markdown(
    results: Sequence[ScenarioResult],
    facts: Facts,
    plots: Sequence[str],
    guide: str = "README.md",
) -> str:
    """Return the page: overview, plots, a section per scenario, machine, versions, commands.

    ``guide`` is where, seen from the page, it is written how this measures.
    """
    subject = results[0].subject
    lines = [
        f"# {subject} and its peers, measured",
        "",
        f"Written by `python -m bench`; [README.md]({guide}) says how it measures. "
        "In brackets: the target. Bold: missed.",
        "",
        *overview(results),
        "",
        *(f"![{subject} compared with its peers]({plot})\n" for plot in plots),
        "## Scenarios",
        "",
    ]
    for result in results:
        lines += _scenario_lines(result)
    for title in ("machine", "versions", "settings"):
        values = facts.get(title, {})
        lines += [f"## {title.capitalize()}", ""]
        lines += [f"- {name}: {value}" for name, value in values.items()] + [""]
    lines += ["## Commands", "", *_commands(results)]
    return "\n".join(lines).rstrip() + "\n"


def _commands(results: Sequence[ScenarioResult]) -> list[str]:
    """Return each command line once, by server; APP stands for the scenario's application."""
    seen: dict[str, set[str]] = {}
    for result in results:
        for name, line in result.commands.items():
            general = line.replace(result.scenario.app, "APP")
            seen.setdefault(name, set()).add(general if name != "load" else line)
    lines = [
        "Servers run in `bench/apps`, which is on `PYTHONPATH`, pinned to one core.",
        "",
        "```",
    ]
    for name in sorted(seen, key=lambda key: (key == "load", key)):
        lines += [f"# {name}", *sorted(seen[name])]
    return [*lines, "```"]
