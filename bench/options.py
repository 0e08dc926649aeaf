"""The command line of ``python -m bench``.

Owns option names and defaults; must not measure.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.environment import HOME
from bench.scenarios import BY_NAME, SCENARIOS
from bench.servers import ROOT, SERVERS

PEERS = tuple(name for name in SERVERS if name != "granite")
QUICK_PEERS = ("granian", "uvicorn", "nginx")
RESULTS = ROOT / "docs" / "benchmarks"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text}")
    return value


def parser() -> argparse.ArgumentParser:
    """Return the parser; its help is the reference of the options."""
    result = argparse.ArgumentParser(
        prog="python -m bench",
        description="Compare granite with its peers in alternating rounds.",
        epilog="Scenarios: " + "; ".join(f"{s.name} ({s.title})" for s in SCENARIOS) + ".",
    )
    add = result.add_argument
    add("--quick", action="store_true", help="hello against three peers, in under a minute")
    add("--scenario", action="append", choices=tuple(BY_NAME), help="only this one; repeatable")
    add("--peer", action="append", choices=PEERS, help="only against this one; repeatable")
    add("--subject", choices=tuple(SERVERS), default="granite", help="who is compared (granite)")
    add("--rounds", type=_positive, help="rounds of each peer (5; quick: 3)")
    add("--seconds", type=_positive, help="length of a round of load (2; quick: 1)")
    add("--loop", choices=("uvloop", "asyncio"), default="uvloop", help="event loop (uvloop)")
    add("--python", help="interpreter for the peers (the one that .venv was made with)")
    add("--venv", type=Path, default=ROOT / ".venv", help="environment that has granite (.venv)")
    add("--peers-venv", type=Path, default=HOME / "venv", help="the peers' one (.bench/venv)")
    add("--server-core", type=int, default=0, help="core of the servers (0)")
    add("--load-core", type=int, default=1, help="core of the load generator (1)")
    add(
        "--output",
        type=Path,
        help="directory of the results (docs/benchmarks; a partial run: .bench/partial)",
    )
    return result


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options, all defaults filled in; a usage error exits with 2."""
    options = parser().parse_args(arguments)
    partial = bool(
        options.quick or options.scenario or options.peer or options.subject != "granite"
    )
    options.scenario = options.scenario or (["hello"] if options.quick else list(BY_NAME))
    options.peer = options.peer or list(QUICK_PEERS if options.quick else PEERS)
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.output = (options.output or (HOME / "partial" if partial else RESULTS)).resolve()
    options.venv = options.venv.absolute()
    options.peers_venv = options.peers_venv.absolute()
    return options
