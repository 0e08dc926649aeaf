"""What a suite is, and what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Case:
    """One case of a suite, judged: `group` is its row in the report and `variant` its column;
    `detail` says what was expected and what came.
    """

    group: str
    variant: str
    name: str
    ok: bool
    detail: str = ""


class Suite(Protocol):
    """A module of `suites`, which is named by its file."""

    TITLE: str

    def missing(self) -> str:
        """What this machine lacks to run it; empty if nothing."""

    def about(self) -> str:
        """Which tool of which version it is, and what it is asked for: a paragraph of Markdown."""

    def run(self, work: Path) -> Iterator[Case]:
        """Run it, all of it, and yield each case; files of its own go below `work`."""
