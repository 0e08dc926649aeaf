"""Fixtures that several test packages share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.granite_process import GraniteProcess


class RunGranite(Protocol):
    def __call__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        ready: bool = True,
    ) -> GraniteProcess: ...


@pytest.fixture
def run_granite() -> Iterator[RunGranite]:
    """Start `granite run ARGUMENTS` on a free port; with `ready`, return when it listens."""
    with ExitStack() as stack:

        def run(
            *arguments: str,
            cwd: Path | None = None,
            env: dict[str, str] | None = None,
            ready: bool = True,
        ) -> GraniteProcess:
            port = () if "--port" in arguments else ("--port", "0")
            process = GraniteProcess("run", *arguments, *port, cwd=cwd, env=env)
            stack.callback(process.destroy)
            if ready:
                process.wait_for("listening on ")
            return process

        yield run
