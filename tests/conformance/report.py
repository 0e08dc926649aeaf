"""docs/conformance.md: one section for each suite, rewritten by the run that has judged it.

What is written depends on nothing but the tools and what they found, so that a second run changes
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tests.conformance.model import Case

_HEAD = """# Conformance

What public suites find when they are let loose on granite. `make conformance` runs them, fails if a
single case does, and writes this page; `make conformance ARGS=h2spec` runs one of them. A number is
the cases that passed, of all that there are.
"""
_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.M | re.S)


def page(before: str, sections: Mapping[str, str], order: Sequence[str]) -> str:
    """Return the page `before` with `sections`, by their titles, in the place of those there; those
    that `order` does not name are dropped.
    """
    kept = {title: text.strip("\n") for title, text in _SECTION.findall(before)} | dict(sections)
    parts = [f"## {title}\n\n{kept[title]}\n" for title in order if title in kept]
    return "\n".join([_HEAD, *parts])


def section(about: str, cases: Iterable[Case]) -> str:
    """Return a suite's section: what it is, a table of groups and variants, what failed."""
    cases = list(cases)
    variants = list(dict.fromkeys(case.variant for case in cases))
    lines = [about, "", f"| | {' | '.join(variants)} |", "| --- |" + " ---: |" * len(variants)]
    for group in dict.fromkeys(case.group for case in cases):
        cells = [
            _share([case.ok for case in cases if (case.group, case.variant) == (group, variant)])
            for variant in variants
        ]
        lines.append(f"| {group} | {' | '.join(cells)} |")
    failed = [f"- {case.variant}: {case.name}" for case in cases if not case.ok]
    return "\n".join([*lines, *(["", "Failed:", "", *failed] if failed else [])])


def _share(outcomes: list[bool]) -> str:
    if not outcomes:
        return ""
    share = f"{sum(outcomes)} of {len(outcomes)}"
    return share if all(outcomes) else f"**{share}**"
