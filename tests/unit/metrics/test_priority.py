"""The arbiter's priority, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.granite_process import ROOT
from tests.patience import PATIENCE
from tests.unit.metrics.views import may_be_urgent

SHOW = "print(os.getpriority(0, 0), os.sched_getscheduler(0), flush=True)"
CODE = f"""
import os, subprocess, sys
from granite.metrics import priority
os.nice(int(sys.argv[1]))
raised = priority.raise_()
print(raised)
{SHOW}
pid = os.fork()
if pid == 0:
    {SHOW}
    os._exit(0)
os.waitpid(pid, 0)
subprocess.run([sys.executable, "-c", {"import os; " + SHOW!r}], check=True)
if raised:
    priority.lower()
{SHOW}
pid = os.fork()
if pid == 0:
    {SHOW}
    os._exit(0)
os.waitpid(pid, 0)
"""


def outcome(code: str, nice: int = 0) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, str(nice)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return done.stdout.splitlines()


def test_what_it_starts_has_the_usual_one():
    if not may_be_urgent():
        pytest.skip("needs root, and the usual priority")
    reset = os.SCHED_OTHER | os.SCHED_RESET_ON_FORK
    assert outcome(CODE) == ["True", f"-20 {reset}", "0 0", "0 0", "0 0", "0 0"]


@pytest.mark.parametrize("nice", [1, 5])
def test_a_priority_that_somebody_chose_stays(nice):
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert outcome(CODE, nice) == ["False", *[f"{before + nice} 0"] * 5]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_who_may_not_goes_on_without():
    code = (
        "import os; from granite.metrics import priority; os.setuid(65534); "
        f"print(priority.raise_()); {SHOW}"
    )
    assert outcome(code) == ["False", f"{os.getpriority(os.PRIO_PROCESS, 0)} 0"]
