"""The suites' programs: where they come from, and in which version."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "conformance"


def installed_by_go(package: str) -> Path:
    """Return the program of a Go package, `path@version`, which is installed if it is not there."""
    program = FOLDER / "bin" / package.partition("@")[0].rpartition("/")[2]
    if not program.exists():
        environ = os.environ | {"GOBIN": str(program.parent), "GOFLAGS": "-modcacherw"}
        subprocess.run(["go", "install", package], env=environ, check=True)
    return program


def lacking_from_go(package: str) -> str:
    """Return what there is no program of a Go package without; empty if there is one."""
    if lacking := without("go"):
        return lacking
    try:
        installed_by_go(package)
    except subprocess.CalledProcessError:
        return "a proxy of modules that Go can reach"
    return ""


def go_version(program: Path) -> str:
    """Return the version of the module that a program is from."""
    said = subprocess.run(
        ["go", "version", "-m", program], check=True, capture_output=True, text=True
    ).stdout
    fields = next(line.split() for line in said.splitlines() if line.split()[0] == "mod")
    return fields[2].partition("+")[0]


def without(*commands: str) -> str:
    """Return which of the commands are not found, as a sentence's object."""
    return ", ".join(command for command in commands if shutil.which(command) is None)
