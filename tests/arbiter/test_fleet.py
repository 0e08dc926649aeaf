"""Workers that die, and arbiters that do."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

APPS = Path(__file__).parent


# A sanitizer's runtime answers SIGSEGV itself.
@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.no_sanitizer)],
)
def test_a_worker_that_dies_is_replaced(run_granite, number):
    granite = run_granite("apps:plain", cwd=APPS)
    first = worker_pid(granite)
    os.kill(first, number)
    granite.wait_for(rf"worker 1 \(pid {first}\) was killed by {number.name}; a new one starts")
    second = worker_pid(granite)
    assert second != first
    os.kill(second, number)
    granite.wait_for(rf"pid {second}\) was killed by {number.name}; a new one starts in 0.1 s")
    assert worker_pid(granite) not in (first, second)
    assert len(granite.members()) == 2
    assert granite.output.count("listening on") == 1
    assert granite.stop() == 0


def test_a_worker_that_was_told_to_end_is_replaced(run_granite):
    granite = run_granite("apps:lifespan", "--log-level", "debug", cwd=APPS)
    worker = next(pid for pid in granite.members() if pid != granite.process.pid)
    os.kill(worker, signal.SIGTERM)
    granite.wait_for(r"exited with status 0; a new one starts")
    assert httpx.get(granite.url()).text == "value set"
    granite.wait_for(r"startup ran(.|\n)*startup ran")
    assert granite.output.count("shutdown ran") == 1


def test_workers_go_when_the_arbiter_is_killed(run_granite):
    granite = run_granite("apps:lifespan", cwd=APPS)
    assert httpx.get(granite.url()).text == "value set"
    granite.signal(signal.SIGKILL)
    granite.wait_gone()
    granite.wait()
    assert "shutdown ran" in granite.output


def test_a_replacement_that_cannot_load_ends_the_server(run_granite, tmp_path):
    module = tmp_path / "changing.py"
    module.write_text((APPS / "apps.py").read_text())
    granite = run_granite("changing:plain", cwd=tmp_path)
    module.write_text("")
    os.kill(worker_pid(granite), signal.SIGKILL)
    assert granite.wait() == 3
    assert "module 'changing' has no attribute 'plain'" in granite.output


def worker_pid(granite) -> int:
    return int(httpx.get(granite.url("/pid"), timeout=20).text)
