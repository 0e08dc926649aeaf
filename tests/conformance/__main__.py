"""`python -m tests.conformance [SUITE …]`: run the suites, judge case by case, write the report.

The status is 1 if a case failed, or a suite that was asked for cannot run here. With
`--where-possible` such a suite is left out, and keeps its section of the report. With `--together`
they run at the same time: most of them wait more than they compute, but Autobahn measures speed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from tests.conformance import report
from tests.conformance.model import Case, Suite
from tests.conformance.suites import NAMES
from tests.conformance.tools import FOLDER, ROOT

_PAGE = ROOT / "docs" / "conformance.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("names", nargs="*", metavar="SUITE", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--where-possible", action="store_true")
    parser.add_argument("--together", action="store_true")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    suites = {name: _suite(name) for name in NAMES}
    names, sections, failed = [], {}, False
    for name in args.names or NAMES:
        if missing := suites[name].missing():
            print(f"{name}: cannot run without {missing}", flush=True)
            failed |= not args.where_possible
        else:
            names.append(name)
    with ThreadPoolExecutor(max(1, len(names) if args.together else 1)) as pool:
        found = list(pool.map(lambda name: _run(name, suites[name]), names))
    for name, cases in zip(names, found, strict=True):
        failed |= not cases or not all(case.ok for case in cases)
        sections[suites[name].TITLE] = report.section(suites[name].about(), cases)
    before = _PAGE.read_text() if _PAGE.exists() else ""
    _PAGE.write_text(report.page(before, sections, [suite.TITLE for suite in suites.values()]))
    return failed


def _suite(name: str) -> Suite:
    return cast("Suite", importlib.import_module(f"tests.conformance.suites.{name}"))


def _run(name: str, suite: Suite) -> list[Case]:
    work = FOLDER / name
    work.mkdir(parents=True, exist_ok=True)
    cases = []
    for case in suite.run(work):
        cases.append(case)
        if not case.ok:
            print(f"{name}, {case.variant}: {case.name}\n    {case.detail}", flush=True)
    passed = sum(case.ok for case in cases)
    print(f"{name}: {passed} of {len(cases)} cases passed", flush=True)
    return cases


if __name__ == "__main__":
    sys.exit(main())
