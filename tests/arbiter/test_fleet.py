"""Workers that die, and arbiters that do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.arbiter.changing import told, workers
from tests.granite_process import GraniteProcess
from tests.patience import PATIENCE

APPS = Path(__file__).parent


# A sanitizer's runtime answers SIGSEGV itself.
@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.no_sanitizer)],
)
def test_a_worker_that_dies_is_replaced(run_granite, number):
    granite = run_granite("apps:plain", cwd=APPS)
    granite.may_fault = number == signal.SIGSEGV
    first = worker_pid(granite)
    os.kill(first, number)
    granite.wait_for(rf"worker 1 \(pid {first}\) was killed by {number.name}; a new one starts")
    second = worker_pid(granite)
    assert second != first
    granite.wait_for(rf"info: worker 1 \(pid {second}\) is ready\n")
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


def test_a_replacement_that_cannot_load_is_tried_again_while_others_serve(changing):
    granite = changing.start("--workers", "2", "--respawn-interval", "10ms", "--log-level", "debug")
    first, other = workers(granite)
    changing.write("", "raise ValueError('half a copy')")
    os.kill(first, signal.SIGKILL)
    # The reason once, however often it is met.
    granite.wait_for(r"debug: worker \d cannot start, the next attempt follows in 0.04 s")
    assert granite.output.count("error: worker") == 1
    assert granite.output.count("; the others serve: cannot load 'changing:app'") == 1
    assert granite.output.count("\n  ValueError: half a copy\n") == 1
    assert told(granite) == ("one", other)
    changing.write("two")
    granite.wait_for(r"info: worker \d \(pid \d+\) is ready\n")
    (new,) = workers(granite) - {other}
    os.kill(other, signal.SIGKILL)
    assert told(granite)[0] == "two"  # of `new`, or of the next one, which comes soon
    assert new in workers(granite)
    assert granite.stop() == 0


def test_it_ends_when_the_last_one_that_serves_dies(changing):
    granite = changing.start("--workers", "2", "--respawn-interval", "1h", "--log-format", "json")
    changing.write("", "raise ValueError('half a copy')")
    first, other = workers(granite)
    os.kill(first, signal.SIGKILL)
    granite.wait_for("; the others serve: ")
    os.kill(other, signal.SIGKILL)
    assert granite.wait() == 3
    records = [json.loads(line) for line in granite.output.splitlines()]
    (critical,) = [record for record in records if record["level"] == "critical"]
    assert critical["message"] == "cannot load 'changing:app': the application raised ValueError"
    assert critical["exception"].endswith("\nValueError: half a copy")


def worker_pid(granite) -> int:
    return int(httpx.get(granite.url("/pid"), timeout=PATIENCE).text)


def test_children_of_the_program_around_it_are_left_to_it():
    code = (
        "import os, subprocess, sys\n"
        "from granite.cli import main\n"
        "me = os.getpid()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'raise SystemExit(5)'])\n"
        "status = main()\n"
        "if os.getpid() == me:\n"
        "    print('child', child.wait())\n"
        "sys.exit(status)\n"
    )
    granite = GraniteProcess("run", "apps:plain", "--port", "0", cwd=APPS, launcher=("-c", code))
    try:
        pid = worker_pid(granite)
        os.kill(pid, signal.SIGKILL)
        granite.wait_for(rf"pid {pid}\) was killed by SIGKILL; a new one starts")
        assert granite.stop() == 0
        assert "child 5\n" in granite.output
    finally:
        granite.destroy()


def test_orphans_are_collected_by_the_first_process_of_a_container(tmp_path):
    isolated = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if shutil.which("unshare") is None or subprocess.run([*isolated, "true"]).returncode:
        pytest.skip("needs unshare and the right to use it")
    (tmp_path / "leaving.py").write_text(
        "import os\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0:\n"
        "            print('orphan', flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "    await send({'type': 'http.response.start', 'status': 204, 'headers': []})\n"
        "    await send({'type': 'http.response.body'})\n"
    )
    code = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
    granite = GraniteProcess(
        *(*isolated, sys.executable, "-m", "granite", "run", "leaving:app", "--port", "0"),
        cwd=tmp_path,
        launcher=("-c", code),
    )
    try:
        assert httpx.get(granite.url(), timeout=PATIENCE).status_code == 204
        granite.wait_for("orphan")
        deadline = time.monotonic() + PATIENCE
        while session_size(granite.process.pid) > 3:  # unshare, the arbiter, the worker
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        granite.destroy()


def session_size(leader: int) -> int:
    """Return how many processes there are, zombies too."""
    count = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            group = stat.read_text().rpartition(")")[2].split()[2]
        except OSError:
            continue
        count += int(group) == leader
    return count
