"""`python -m tests.fuzz`: rounds of broken messages until the time is over or one shows a fault.

`--seed` and `--round` repeat one round. What a round shows, or the round in which the process died,
is kept below `--keep`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz.http2 import run_http2_round
from tests.fuzz.rounds import FindingError, run_round


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", default=f"{time.time_ns():x}")
    parser.add_argument("--round", type=int, help="run this round alone")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    args = parser.parse_args()
    args.keep.mkdir(parents=True, exist_ok=True)
    numbers = iter(range(1 << 62)) if args.round is None else iter((args.round,))
    end = time.monotonic() + args.seconds
    connections, rounds = 0, 0
    print(f"seed {args.seed}", flush=True)
    for number in numbers:
        if args.round is None and time.monotonic() > end:
            break
        again = f"python -m tests.fuzz --seed {args.seed} --round {number}"
        running = args.keep / "running"
        running.write_text(f"{again}\n")  # stays if the process dies
        try:
            connections += run_round(args.seed, number)
            connections += run_http2_round(args.seed, number)
        except FindingError as finding:
            kept = args.keep / f"{args.seed}-{number}"
            kept.write_bytes(finding.data)
            print(f"{finding}\nsent: {finding.data!r}\nkept: {kept}\nagain: {again}")
            return 1
        running.unlink()
        rounds += 1
    print(f"{rounds} rounds, {connections} connections: nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
