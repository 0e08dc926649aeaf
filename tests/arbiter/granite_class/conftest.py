"""Running a program that calls `Granite(...).serve()`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.arbiter.granite_class.programs import PROGRAM, RunProgram
from tests.granite_process import GraniteProcess


@pytest.fixture
def run_program(tmp_path: Path) -> Iterator[RunProgram]:
    """Run PROGRAM with `code` behind it; with `ready`, return when the server listens."""
    with ExitStack() as stack:

        def run(code: str, *, ready: bool = True) -> GraniteProcess:
            path = tmp_path / "program.py"
            path.write_text(PROGRAM + code)
            process = GraniteProcess(launcher=(str(path),), cwd=tmp_path)
            stack.callback(process.destroy)
            if ready:
                process.wait_for("listening on ")
            return process

        yield run
