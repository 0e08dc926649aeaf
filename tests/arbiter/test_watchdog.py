"""Workers whose event loop is blocked: what is logged of them, and who answers in their place."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from tests.arbiter.asking import until
from tests.arbiter.changing import workers
from tests.granite_process import with_constant
from tests.patience import PATIENCE

APPS = Path(__file__).parent


@contextlib.contextmanager
def in_flight(granite, path: str):
    """Have a request on its way that need not be answered."""
    with socket.create_connection(("127.0.0.1", granite.port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield client


# Whoever is not blocked never is as slow as that; who is has the time to say where.
TIMEOUT = "4"
PATIENT = with_constant("watchdog._REPORT", 4.0)


def start(run_granite, *arguments: str, timeout: str = TIMEOUT, kill: str = "2", **options):
    arguments = ("--worker-timeout", timeout, "--workers-kill-timeout", kill, *arguments)
    return run_granite("stuck_apps:app", *arguments, cwd=APPS, **options)


def ask(granite, path: str = "/") -> str:
    return httpx.get(granite.url(path), timeout=PATIENCE).text


@pytest.mark.slow
def test_a_blocked_worker_is_explained_and_replaced(run_granite):
    granite = start(run_granite, launcher=PATIENT)
    old = workers(granite).pop()
    assert ask(granite, "/thread") == str(old)
    with in_flight(granite, "/waiting"):
        granite.wait_for("waiting")
        with in_flight(granite, "/sleep?really"):
            granite.wait_for("asleep")
            # The connection waits in the queue of the socket, and the next worker finds it there.
            assert ask(granite) != str(old)
            until(lambda: old not in workers(granite))
    found = re.search(
        rf"warning: worker 1 \(pid {old}\) has not answered for \d+\.\d s and is told to end\n"
        r"((?:  .*\n)+)",
        granite.output,
    )
    assert found, granite.output
    assert "in sleep_in_a_thread" in found[1]
    assert re.search(r'stuck_apps\.py", line \d+ in app', found[1])
    assert re.search(r"Requests in flight: 2\n\s+GET /waiting, for \d", found[1])
    assert re.search(r"GET /sleep, for \d+\.\d s", found[1])
    assert granite.output.count("has not answered") == 1
    assert granite.stop() == 0


@pytest.mark.slow
def test_what_holds_the_interpreter_is_named_and_killed(run_granite):
    granite = start(run_granite, kill="1", launcher=PATIENT)
    old = workers(granite).pop()
    with in_flight(granite, "/c"):
        granite.wait_for(r"line \d+ in app")
        granite.wait_for(rf"worker 1 \(pid {old}\) did not end in time and is killed")
    assert ask(granite) != str(old)
    assert granite.stop() == 0


def test_a_stopped_process_is_replaced(run_granite):
    granite = start(run_granite, "--workers", "2", kill="1")
    old = workers(granite)
    stopped = min(old)
    os.kill(stopped, signal.SIGSTOP)
    granite.wait_for(rf"\(pid {stopped}\) has not answered for")
    until(lambda: stopped not in workers(granite) and len(workers(granite)) == 2)
    assert old - workers(granite) == {stopped}
    assert granite.stop() == 0


@pytest.mark.slow
def test_busy_is_not_blocked(run_granite):
    granite = start(run_granite, timeout="5")
    old = workers(granite)
    # Longer than the timeout, in steps that keep the loop from nothing but speed.
    assert ask(granite, "/busy?120") == str(min(old))
    assert workers(granite) == old
    assert "warning" not in granite.output
    assert granite.stop() == 0


def test_who_comes_back_stays(run_granite, tmp_path):
    """It answers again between the report and the end that follows."""
    hooks = tmp_path / "hooks.py"
    hooks.write_text("import stuck_apps\ndef worker_abort(worker): stuck_apps.ASKED.set()\n")
    options = ("--config", str(hooks), "--pythonpath", str(APPS))
    granite = start(run_granite, *options, launcher=with_constant("watchdog._REPORT", 30.0))
    old = workers(granite)
    assert ask(granite, "/nap-until-asked") == str(min(old))
    granite.wait_for(
        r"warning: worker 1 \(pid \d+\) answers again, after \d+\.\d s; what it did before"
    )
    granite.wait_for(r'stuck_apps\.py", line \d+ in app')
    assert ask(granite) == str(min(old))
    assert "told to end" not in granite.output
    assert granite.stop() == 0


def test_who_comes_back_late_finishes(run_granite, tmp_path):
    granite = start(run_granite, kill="60")
    old = workers(granite)
    with in_flight(granite, f"/nap-until?{tmp_path}/end") as client:
        granite.wait_for("is told to end")
        (tmp_path / "end").touch()
        assert client.recv(1000).endswith(f"\r\n\r\n{min(old)}".encode())
    until(lambda: not workers(granite) & old)
    assert "is killed" not in granite.output
    assert granite.stop() == 0


@pytest.mark.slow
def test_a_server_that_was_stopped_as_a_whole_goes_on(run_granite):
    """As a laptop that slept, or under a debugger: the arbiter's time passed as well."""
    granite = start(run_granite, "--workers", "2", timeout="6")
    old = workers(granite)
    arbiter = granite.process.pid
    os.killpg(arbiter, signal.SIGSTOP)
    with contextlib.suppress(subprocess.TimeoutExpired):
        granite.process.wait(9)
    os.killpg(arbiter, signal.SIGCONT)
    deadline = threading.Event()
    deadline.wait(4)  # in which nothing is to happen, though half of the timeout passes
    assert workers(granite) == old
    assert "warning" not in granite.output
    assert granite.stop() == 0


def test_without_the_setting_nobody_is_judged(run_granite):
    granite = start(run_granite, timeout="0")
    old = workers(granite)
    assert ask(granite, "/nap?1.5") == str(min(old))
    assert workers(granite) == old
    assert granite.stop() == 0


@pytest.mark.no_sanitizer  # which reports the fault itself
@pytest.mark.parametrize("workers_", ["1", "2"])
def test_a_fault_leaves_its_stacks_in_the_log(run_granite, workers_):
    granite = start(run_granite, "--workers", workers_, timeout="0")
    granite.may_fault = True
    old = workers(granite)
    with pytest.raises(httpx.HTTPError):
        ask(granite, "/fault")
    found = granite.wait_for(
        r"worker \d \(pid (\d+)\) was killed by SIGSEGV; a new one starts now\n(?:  .*\n)*?"
        r"  Fatal Python error: Segmentation fault\n(?:  .*\n)*?"
        r'.*stuck_apps\.py", line \d+ in app'
    )
    assert int(found[1]) in old
    assert ask(granite) != found[1]
    assert granite.stop() == 0


@pytest.mark.slow
def test_worker_abort_is_called(run_granite, tmp_path):
    hooks = tmp_path / "hooks.py"
    hooks.write_text(
        "def worker_abort(worker):\n    print('aborted', worker.pid, worker.aborted, flush=True)\n"
    )
    granite = start(run_granite, "--config", str(hooks), kill="4")
    old = workers(granite).pop()
    with in_flight(granite, "/sleep"):
        granite.wait_for(f"aborted {old} True")
        granite.wait_for("is told to end")
    assert granite.stop() == 0


STUCK = """
import os, time
if os.path.exists("gate"):
    print("at the gate", flush=True)
    time.sleep(600)
from tests.arbiter.stuck_apps import app
"""


@pytest.mark.slow
def test_a_worker_that_hangs_in_its_start_ends_the_start(run_granite, tmp_path):
    (tmp_path / "hanging.py").write_text(STUCK)
    (tmp_path / "gate").touch()
    arguments = ("--worker-start-timeout", "4")
    granite = run_granite("hanging:app", *arguments, cwd=tmp_path, launcher=PATIENT, ready=False)
    assert granite.wait() == 1
    assert re.search(
        r"granite: worker 1 \(pid \d+\) was not ready within 4 s \(worker_start_timeout\)\n(.*\n)*"
        r'.*hanging\.py", line 5 in <module>',
        granite.output,
    )


@pytest.mark.slow
def test_a_successor_that_hangs_in_its_start_ends_the_reload(run_granite, tmp_path):
    (tmp_path / "hanging.py").write_text(STUCK)
    arguments = ("--worker-start-timeout", "4")
    granite = run_granite("hanging:app", *arguments, cwd=tmp_path, launcher=PATIENT)
    old = workers(granite)
    (tmp_path / "gate").touch()
    granite.signal(signal.SIGHUP)
    granite.wait_for(r"error: the reload failed, .* go on: worker 1 \(pid \d+\) was not ready")
    granite.wait_for(r'hanging\.py", line 5 in <module>')
    assert workers(granite) == old
    assert {int(ask(granite))} == old
    assert granite.stop() == 0
