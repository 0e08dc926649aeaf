"""The repetition of tests that failed: what it forgives, and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.granite_process import ROOT
from tests.patience import PATIENCE

ONCE = """
from pathlib import Path

def test_passes():
    pass

def test_fails_once():
    ran = Path(__file__).with_name("ran")
    is_first = not ran.exists()
    ran.write_text("")
    assert not is_first
"""
TWICE = """
from pathlib import Path

def test_fails_now_and_then():
    runs = Path(__file__).with_name("runs")
    with runs.open("a") as file:
        file.write("x")
    assert runs.stat().st_size not in (1, 3)
"""
CRASH = """
import os
from pathlib import Path

def test_crashes_once():
    ran = Path(__file__).with_name("ran")
    if not ran.exists():
        ran.write_text("")
        os.abort()
"""
MANY = """
import pytest
from pathlib import Path

@pytest.mark.parametrize("number", range(4))
def test_fails_once(number):
    ran = Path(__file__).with_name(f"ran{number}")
    is_first = not ran.exists()
    ran.write_text("")
    assert not is_first
"""
IMPORT = "import nowhere_to_be_found\n"


def run(folder: Path, content: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p xdist.plugin\n")
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.again"]\n')
    (folder / "test_it.py").write_text(content)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_what_does_not_come_again_is_told(tmp_path):
    done = run(tmp_path, ONCE, "--again", "2", "--numprocesses", "2")
    assert done.returncode == 0, done.stdout
    assert "did not fail in 2 runs by themselves: test_it.py::test_fails_once" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        pytest.param(TWICE, (), "failed again, in run 2", id="one that fails again"),
        pytest.param(CRASH, ("--numprocesses", "1"), "crashed while running", id="a crash"),
        pytest.param(MANY, (), "4 failed", id="many"),
        pytest.param(IMPORT, (), "nowhere_to_be_found", id="an import"),
        pytest.param(ONCE, ("--maxfail", "1"), "stopping after 1 failures", id="an early end"),
    ],
)
def test_what_is_not_forgiven(tmp_path, content, options, told):
    done = run(tmp_path, content, "--again", "2", *options)
    assert done.returncode != 0, done.stdout
    assert told in done.stdout


def test_nor_is_an_import_beside_it(tmp_path):
    (tmp_path / "test_other.py").write_text(IMPORT)
    done = run(tmp_path, ONCE, "--again", "2", "--numprocesses", "2")
    assert done.returncode != 0
    assert "1 failed, 1 passed, 1 error" in done.stdout


def test_by_default_nothing_is_forgiven(tmp_path):
    done = run(tmp_path, ONCE)
    assert done.returncode == 1
    assert "again" not in done.stdout
