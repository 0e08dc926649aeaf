"""A whole scenario: who takes part, in which order, and the ratios.

Owns the alternation; must not know what a sample consists of. Main thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from bench import client, load, measure, nginx, stats
from bench.measure import Settings, Started
from bench.model import BenchError, Sample, Scenario, ScenarioResult
from bench.process import Running
from bench.servers import SERVERS, anonymous

WARM_UP_SECONDS = 1

Progress = Callable[[str], None]


def participants(scenario: Scenario, peers: Sequence[str]) -> list[str]:
    """Return the peers out of ``peers`` that this scenario is for and that can serve it."""
    chosen = [name for name in peers if not scenario.peers or name in scenario.peers]
    return [name for name in chosen if able(name, scenario)]


def able(name: str, scenario: Scenario) -> bool:
    """Tell whether a server can serve the scenario's application, or stand in for it."""
    if name == "nginx":
        return scenario.app in nginx.ABLE
    if SERVERS[name].only_websockets and scenario.generator != "websockets":
        return False
    return scenario.interface in SERVERS[name].interfaces


def run(
    scenario: Scenario, subject: str, peers: Sequence[str], settings: Settings, progress: Progress
) -> ScenarioResult:
    """Measure ``scenario``; who fails is left out and named, the subject's failure ends it."""
    result = ScenarioResult(scenario, subject)
    rounds = min(settings.rounds, scenario.rounds or settings.rounds)
    names = [name for name in participants(scenario, peers) if name != subject]
    if scenario.kind == "load":
        _run_load(result, names, rounds, settings, progress)
    else:
        _run_fresh(result, names, rounds, settings, progress)
    if scenario.ratios:
        measured = [(s.server, s.value if s.valid else None) for s in result.samples]
        result.ratios = stats.neighbour_ratios(subject, measured)
    return result


def _note_commands(result: ScenarioResult, started: Started, settings: Settings) -> None:
    scenario, at = result.scenario, started.at
    result.commands[started.name] = anonymous(started.running.server.command(at), at)
    if scenario.kind == "share":
        other = replace(at, extra=scenario.extra, access_log=scenario.access_log)
        result.commands[f"{started.name}, {scenario.name}"] = anonymous(
            started.running.server.command(other), other
        )
    if scenario.kind != "startup":
        line = load.command(scenario, at.port, settings.seconds)
        result.commands["load"] = anonymous(line, at)


def _run_load(
    result: ScenarioResult, peers: list[str], rounds: int, settings: Settings, progress: Progress
) -> None:
    scenario, subject = result.scenario, result.subject
    servers: dict[str, Running] = {}
    with ExitStack() as stack:
        for name in (subject, *peers):
            running = _ready(result, name, stack, settings, progress)
            if running is not None:
                servers[name] = running
        for name, running in list(servers.items()):
            measure.load_round(running, scenario, settings, WARM_UP_SECONDS)
            if not running.alive():
                _fail(result, name, running.ending(), progress)
                del servers[name]
        if subject not in servers:
            return
        order = stats.sequence(subject, [name for name in peers if name in servers], rounds)
        for number, name in enumerate(order, 1):
            sample = measure.load_round(servers[name], scenario, settings, settings.seconds)
            result.samples.append(sample)
            progress(_line(scenario, sample, number, len(order)))


def _run_fresh(
    result: ScenarioResult, peers: list[str], rounds: int, settings: Settings, progress: Progress
) -> None:
    scenario, subject = result.scenario, result.subject
    able = []
    for name in (subject, *peers):
        # This start is not measured: it fills the caches of files and bytecode for those that are.
        with ExitStack() as stack:
            if _ready(result, name, stack, settings, progress) is not None:
                able.append(name)
    if subject not in able:
        return
    able.remove(subject)
    once = [subject, *able] * rounds
    order = stats.sequence(subject, able, rounds) if scenario.ratios else once
    for number, name in enumerate(order, 1):
        sample = _fresh(name, scenario, settings)
        result.samples.append(sample)
        progress(_line(scenario, sample, number, len(order)))


def _ready(
    result: ScenarioResult,
    name: str,
    stack: ExitStack,
    settings: Settings,
    progress: Progress,
) -> Running | None:
    """Start a server for as long as ``stack`` lives and check one answer; None when it fails."""
    try:
        started = Started(name, result.scenario, settings)
        _note_commands(result, started, settings)
        running = stack.enter_context(started)
        client.check(running.port, result.scenario)
    except BenchError as error:
        _fail(result, name, str(error), progress)
        return None
    running.pause()
    return running


def _fresh(name: str, scenario: Scenario, settings: Settings) -> Sample:
    try:
        return measure.FRESH[scenario.kind](name, scenario, settings)
    except BenchError as error:
        return Sample(name, 0.0, valid=False, note=str(error))


def _fail(result: ScenarioResult, name: str, reason: str, progress: Progress) -> None:
    result.failures[name] = reason.strip()
    progress(f"{result.scenario.name}: {name} is left out: {reason.strip()}")


def _line(scenario: Scenario, sample: Sample, number: int, total: int) -> str:
    text = f"{scenario.name} {number}/{total} {sample.server}: {sample.value:,.2f} {scenario.unit}"
    return text if sample.valid else f"{text}, does not count: {sample.note}"
