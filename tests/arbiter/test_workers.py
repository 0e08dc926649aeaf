"""Several workers: how they are replaced, what signals do to the tree, and log files that move."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.arbiter.asking import facts, until, wait_for_port
from tests.arbiter.test_drain import connect
from tests.granite_process import GraniteProcess
from tests.patience import PATIENCE

APPS = Path(__file__).parent


def test_two_workers_serve_and_end(run_granite):
    granite = run_granite("process_apps:told", "--workers", "2", cwd=APPS)
    granite.wait_for("2 workers are ready")
    assert len(granite.members()) == 3
    pids = {facts(granite)["pid"]}
    first = pids.copy().pop()
    os.kill(first, signal.SIGSTOP)  # the socket is shared: the other one answers
    try:
        pids.add(facts(granite)["pid"])
    finally:
        os.kill(first, signal.SIGCONT)
    assert len(pids) == 2
    assert granite.stop() == 0
    assert granite.members() == []


def test_one_of_two_that_cannot_start_ends_both_in_one_line(run_granite, tmp_path):
    (tmp_path / "odd.py").write_text(
        "import os, pathlib, time\n"
        "try:\n"
        "    os.close(os.open('first', os.O_CREAT | os.O_EXCL))\n"
        "except FileExistsError:\n"
        "    raise SystemExit(7)\n"
        "async def app(scope, receive, send): ...\n"
    )
    granite = run_granite("odd:app", "--workers", "2", cwd=tmp_path, ready=False)
    assert granite.wait() == 3
    assert granite.output.count("granite: cannot load 'odd:app'") == 1
    assert granite.members() == []


def test_without_respawn_a_death_is_the_end(run_granite):
    arguments = ("--workers", "2", "--no-respawn-failed-workers")
    granite = run_granite("process_apps:told", *arguments, cwd=APPS)
    dead = facts(granite)["pid"]
    os.kill(dead, signal.SIGKILL)
    assert granite.wait() == 1
    assert granite.output.count(f"(pid {dead}) was killed by SIGKILL, and respawn_failed") == 1
    assert granite.members() == []


def test_the_first_delay_of_a_respawn(run_granite):
    granite = run_granite("process_apps:told", "--respawn-interval", "10ms", cwd=APPS)
    for delay in ("now", "in 0.01 s", "in 0.02 s"):
        pid = facts(granite)["pid"]
        os.kill(pid, signal.SIGKILL)
        granite.wait_for(rf"\(pid {pid}\) was killed by SIGKILL; a new one starts {delay}")


def test_the_kill_timeout(run_granite, tmp_path):
    (tmp_path / "stuck.py").write_text(
        "import time\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(600)\n"
    )
    arguments = ("--graceful-timeout", "0", "--workers-kill-timeout", "1")
    granite = run_granite("stuck:app", *arguments, cwd=tmp_path)
    with connect(granite) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        granite.wait_for("begun")
        assert granite.stop() == 0
    assert "did not end in time and is killed" in granite.output


def test_impatience_does_not_put_the_end_off(run_granite, tmp_path):
    (tmp_path / "stuck.py").write_text(
        "import time\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'lifespan':\n"
        "        await receive()\n"
        "        await send({'type': 'lifespan.startup.complete'})\n"
        "        print('begun', flush=True)\n"
        "        time.sleep(600)\n"
    )
    arguments = ("--graceful-timeout", "0", "--workers-kill-timeout", "1")
    granite = run_granite("stuck:app", *arguments, cwd=tmp_path, ready=False)
    granite.wait_for("begun")
    granite.signal(signal.SIGTERM)
    granite.wait_for("stopping")
    deadline = time.monotonic() + PATIENCE
    while granite.process.poll() is None:
        assert time.monotonic() < deadline
        granite.signal(signal.SIGQUIT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            granite.process.wait(0.1)
    assert granite.wait() == 0
    assert granite.output.count("did not end in time and is killed") == 1


def test_the_longest_patience(run_granite):
    granite = run_granite("process_apps:told", "--graceful-timeout", "365d", cwd=APPS)
    assert granite.stop() == 0
    assert "Traceback" not in granite.output


def test_a_thread_does_not_keep_a_worker_that_cannot_start(run_granite, tmp_path):
    (tmp_path / "lingering.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "raise ValueError('no database')\n"
    )
    granite = run_granite("lingering:app", cwd=tmp_path, ready=False)
    assert granite.wait() == 3
    assert granite.output.count("ValueError: no database") == 1
    assert granite.members() == []


@pytest.mark.parametrize("loop", ["asyncio", "auto"])
def test_nothing_disturbs_a_worker_at_its_end(run_granite, tmp_path, loop):
    (tmp_path / "conf.py").write_text(
        "import pathlib, time\n"
        "def worker_exit(server, worker):\n"
        "    print('leaving', flush=True)\n"
        "    while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
        "    print('left', flush=True)\n"
    )
    (tmp_path / "plain.py").write_text("from tests.arbiter.apps import plain as app\n")
    granite = run_granite("plain:app", "--config", "conf.py", "--loop", loop, cwd=tmp_path)
    (worker,) = set(granite.members()) - {granite.process.pid}
    granite.signal(signal.SIGTERM)
    granite.wait_for("leaving")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGHUP):
        os.kill(worker, number)
    (tmp_path / "go").touch()
    assert granite.wait() == 0
    assert granite.output.count("left\n") == 1
    assert "Traceback" not in granite.output


def test_output_that_nobody_reads_ends_nothing(tmp_path):
    """What the arbiter still holds of it is written before a fork."""
    (tmp_path / "conf.py").write_text("def pre_fork(server, worker):\n    print('lost')\n")
    code = (
        "import os, sys\n"
        "reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1)\n"
        "from granite.cli import main; sys.exit(main())"
    )
    granite = GraniteProcess(
        *("run", "process_apps:told", "--port", "0", "--config", str(tmp_path / "conf.py")),
        cwd=APPS,
        launcher=("-c", code),
    )
    try:
        pid = facts(granite)["pid"]
        os.kill(pid, signal.SIGKILL)
        assert facts(granite)["pid"] != pid
        granite.stop()
        assert "Traceback" not in granite.output
        assert granite.members() == []
    finally:
        granite.destroy()


def test_nohup_is_respected():
    code = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from granite.cli import main; sys.exit(main())"
    )
    granite = GraniteProcess(
        "run", "process_apps:told", "--port", "0", cwd=APPS, launcher=("-c", code)
    )
    try:
        granite.wait_for("listening on")
        os.killpg(granite.process.pid, signal.SIGHUP)
        pid = facts(granite)["pid"]
        os.kill(pid, signal.SIGUSR1)
        assert facts(granite)["pid"] == pid
        assert granite.stop() == 0
        assert "reload" not in granite.output
    finally:
        granite.destroy()


def test_logs_are_reopened(run_granite, tmp_path):
    log, access = tmp_path / "log", tmp_path / "access"
    arguments = ("--log-file", str(log), "--access-log", "--access-log-file", str(access))
    granite = run_granite("process_apps:told", *arguments, "--port", "0", cwd=APPS, ready=False)
    url = f"http://127.0.0.1:{wait_for_port(log)}/"
    httpx.get(url)
    log.rename(tmp_path / "log.1")
    access.rename(tmp_path / "access.1")
    granite.signal(signal.SIGUSR1)
    until(access.exists)
    until(log.exists)
    until(lambda: httpx.get(url).status_code == 200 and access.read_text())
    assert granite.stop() == 0
    assert "stopping" in log.read_text()
    assert "info: logs reopened\n" in log.read_text()
    assert "stopping" not in (tmp_path / "log.1").read_text()


def test_a_worker_that_starts_survives_the_reopening(run_granite, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "print('begun', flush=True)\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
        "async def app(scope, receive, send): assert scope['type'] == 'http'\n"
    )
    arguments = ("--log-file", str(tmp_path / "log"))
    granite = run_granite("slow:app", *arguments, cwd=tmp_path, ready=False)
    granite.wait_for("begun")
    (tmp_path / "log").rename(tmp_path / "log.1")
    granite.signal(signal.SIGUSR1)
    until((tmp_path / "log").exists)
    until(lambda: "logs reopened" in (tmp_path / "log").read_text())  # and forwarded
    (tmp_path / "go").touch()
    until(lambda: "1 worker is ready" in (tmp_path / "log").read_text())
    assert granite.stop() == 0


@pytest.mark.parametrize(
    "frame",
    [
        b"C\x00\x00\x00\x00\x02\xff\xfe",
        b"F\x00\x00\x00\x00\x00",
        b"B\x00\x00\x00\x00\x01x",
        b"R\x01\x00\x00\x00\x00",
        b"?" * 100,
        b"X\x00\xff\xff\xff\xff",
    ],
)
def test_an_application_that_writes_to_the_arbiter_harms_itself_alone(run_granite, tmp_path, frame):
    """A worker's descriptors are its application's."""
    (tmp_path / "writing.py").write_text(
        "import os, stat\n"
        "from tests.arbiter.stuck_apps import app as inner\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'http' and scope['path'] == '/write':\n"
        "        for fd in range(3, 100):\n"
        "            try:\n"
        "                if stat.S_ISSOCK(os.fstat(fd).st_mode):\n"
        f"                    os.write(fd, {frame!r})\n"
        "            except OSError:\n"
        "                pass\n"
        "    return await inner(scope, receive, send)\n"
    )
    granite = run_granite("writing:app", "--metrics", "--metrics-port", "0", cwd=tmp_path)
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(granite.url("/write"), timeout=PATIENCE)
    granite.signal(signal.SIGHUP)
    granite.wait_for("info: reloaded")
    assert httpx.get(granite.url(), timeout=PATIENCE).status_code == 200
    metrics = granite.wait_for(r"metrics on (http://\S+)")[1]
    assert httpx.get(metrics, timeout=PATIENCE).status_code == 200
    assert granite.stop() == 0
    assert "Traceback" not in granite.output
