"""``python -m bench``: prepare, measure, report.

Owns the order of the steps; each step lives in a module of its own. Main thread only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import environment, machine, measure, options, report, runner
from bench.model import BenchError, Scenario, ScenarioResult
from bench.scenarios import BY_NAME
from bench.servers import ROOT, SERVERS


def _progress(line: str) -> None:
    print(line, flush=True)


def _prepare(chosen: argparse.Namespace, scenarios: Sequence[Scenario]) -> None:
    """Install what is missing; raises BenchError when something can't be had."""
    names = {chosen.subject} | {
        name for scenario in scenarios for name in runner.participants(scenario, chosen.peer)
    }
    packages = environment.needed(names, {scenario.app for scenario in scenarios})
    if not chosen.quick:
        packages += environment.PLOT_PACKAGES
    python = chosen.python
    if python is None and SERVERS[chosen.subject].own_environment:
        python = environment.default_python(chosen.venv)
    environment.ensure_peers(chosen.peers_venv, python, packages)
    tools: set[str] = {scenario.generator for scenario in scenarios if scenario.kind == "load"}
    tools |= {"wrk"} | ({"nginx"} & names)
    tools |= {"openssl" for scenario in scenarios if scenario.tls}
    environment.ensure_tools(sorted(tools))
    cores = os.sched_getaffinity(0)
    if not {chosen.server_core, chosen.load_core} <= cores:
        raise BenchError(
            f"cores {chosen.server_core} and {chosen.load_core} are needed; usable: {cores}"
        )
    own = {name for name in names if SERVERS[name].own_environment}
    for name in own:
        if not (chosen.venv / "bin" / name).exists():
            raise BenchError(f"{name} is not installed in {chosen.venv}; `make serve` does it")


def _facts(chosen: argparse.Namespace, before: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return what belongs beside the figures: machine, versions, settings."""
    versions = {"peers' Python": environment.python_version(chosen.peers_venv / "bin" / "python")}
    if chosen.subject == "granite":
        versions["granite's Python"] = environment.python_version(chosen.venv / "bin" / "python")
        versions |= environment.package_versions(chosen.venv / "bin" / "python", ["granite"])
        own = environment.package_versions(chosen.venv / "bin" / "python", ["uvloop"])
        versions |= {f"{name} beside granite": version for name, version in own.items()}
    peers = environment.package_versions(chosen.peers_venv / "bin" / "python", environment.pinned())
    versions |= {name: version for name, version in peers.items() if name not in versions}
    versions |= {name: environment.tool_version(name) for name in ("wrk", "h2load", "nginx")}
    settings = {
        "date": time.strftime("%Y-%m-%d"),
        "loop": chosen.loop,
        "rounds": str(chosen.rounds),
        "seconds per round": str(chosen.seconds),
        "server core": str(chosen.server_core),
        "load core": str(chosen.load_core),
    }
    return {"machine": before, "versions": versions, "settings": settings}


def _measure(chosen: argparse.Namespace, scenarios: Sequence[Scenario]) -> list[ScenarioResult]:
    settings = measure.Settings(
        subject_bin=chosen.venv / "bin",
        peers_bin=chosen.peers_venv / "bin",
        loop=chosen.loop,
        seconds=chosen.seconds,
        rounds=chosen.rounds,
        server_core=chosen.server_core,
        load_core=chosen.load_core,
    )
    # The benchmark itself must not take time from the servers.
    os.sched_setaffinity(0, {chosen.load_core})
    return [
        runner.run(scenario, chosen.subject, chosen.peer, settings, _progress)
        for scenario in scenarios
    ]


def _plots(chosen: argparse.Namespace, source: Path) -> list[str]:
    """Draw the plots, in a process of the peers' environment; return the files' names.

    Without matplotlib there (a quick run does not install it) there are none.
    """
    python = chosen.peers_venv / "bin" / "python"
    if not environment.package_versions(python, environment.PLOT_PACKAGES):
        return []
    command = [python, "-m", "bench.plot", str(source), str(source.parent)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.split()


def _write(
    chosen: argparse.Namespace, results: list[ScenarioResult], before: dict[str, str]
) -> None:
    facts = _facts(chosen, before)
    directory: Path = chosen.output
    directory.mkdir(parents=True, exist_ok=True)
    source = directory / "results.json"
    text = json.dumps(report.as_json(results, facts), indent=1, ensure_ascii=False)
    source.write_text(text + "\n", encoding="utf-8")
    guide = os.path.relpath(options.RESULTS / "README.md", directory)
    page = report.markdown(results, facts, _plots(chosen, source), guide)
    (directory / "results.md").write_text(page, encoding="utf-8")
    print("\n" + "\n".join(report.overview(results)))
    print(f"\nwritten: {directory / 'results.md'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code: 0 done, 1 failed, with the reason in one line."""
    chosen = options.parse(arguments)
    scenarios = [BY_NAME[name] for name in chosen.scenario]
    scenarios = [one for one in scenarios if runner.able(chosen.subject, one)]
    if chosen.subject != "granite":
        # The targets are granite's; another subject is only compared.
        scenarios = [replace(one, targets={}, absolute=None) for one in scenarios]
    try:
        if not scenarios:
            raise BenchError(f"{chosen.subject} can't serve {', '.join(chosen.scenario)}")
        _prepare(chosen, scenarios)
        before = machine.describe()
        results = _measure(chosen, scenarios)
        _write(chosen, results, before)
        failed = [one.scenario.name for one in results if chosen.subject in one.failures]
        if failed:
            raise BenchError(f"{chosen.subject} failed in: {', '.join(failed)}; see above")
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
