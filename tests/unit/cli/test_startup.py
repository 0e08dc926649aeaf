"""What a process has loaded: the arbiter's memory and every start pay for each module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# What serving needs in the arbiter may not bring these along.
HEAVY = {
    *("asyncio", "logging", "argparse", "typing", "re", "dataclasses", "enum", "pathlib"),
    *("socket", "signal", "inspect", "json", "tomllib", "tomli", "subprocess", "threading"),
    *("textwrap", "traceback", "difflib", "click", "uvloop", "dotenv", "setproctitle"),
}
OURS = {"granite._core", "granite.serving", "granite.worker", "granite.interfaces", "granite.api"}
COMMANDS = {
    f"granite.cli.{name}"
    for name in (
        "check",
        "checks",
        "completion",
        "foreign",
        "help",
        "output",
        "reference",
        "version",
    )
}


def modules_after(code: str) -> set[str]:
    # -S: what site loads is the environment's, such as the links of editable installations.
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import granite", HEAVY | OURS | COMMANDS | {"granite.cli", "granite.settings"}),
        ("import granite, granite.cli, granite.launch", HEAVY | OURS | COMMANDS),
        (
            "import os, granite.cli, granite.launch, granite.arbiter.arbiter\n"
            "from granite.settings.load import load\n"
            "load(granite.cli.read(['app:app', '-w4', '--bind', ':0']).values, {})",
            HEAVY | OURS | COMMANDS,
        ),
        (
            "import granite.cli; granite.cli.main(['--help'])",
            (HEAVY | OURS | COMMANDS | {"granite.arbiter.arbiter", "granite.log"})
            - {"granite.cli.help", "granite.cli.output"},
        ),
    ],
    ids=["import granite", "import granite.cli", "granite run", "granite --help"],
)
def test_what_is_not_loaded(code, forbidden):
    assert modules_after(code) & forbidden == set()
