"""The hooks of a config file: when each is called, in which process, and what a failure does."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE

APPS = Path(__file__).parent

ALL = """
import os

def tell(name, *facts):
    fd = os.open({events!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, " ".join(map(str, (name, os.getpid(), *facts))).encode() + b"\\n")
    os.close(fd)

proc_name = "hooked"
workers = 1
bind = "127.0.0.1:0"

def nworkers_changed(server, new_value, old_value):
    server.of_my_own = "kept"
    tell("nworkers_changed", new_value, old_value)

def on_starting(server):
    tell("on_starting", server.pid, len(server.LISTENERS), server.cfg.workers, server.cfg.bind)
    server.log.info("log of %s", "on_starting")

def when_ready(server):
    tell("when_ready", len(server.LISTENERS), len(server.WORKERS))

def pre_fork(server, worker):
    worker.of_my_own = worker.age * 10
    tell("pre_fork", worker.age, worker.pid, server.num_workers)

def post_fork(server, worker):
    tell("post_fork", worker.pid, worker.ppid, worker.of_my_own, server.of_my_own)
    server.log.info("log of post_fork in %s", worker.pid)

def post_worker_init(worker):
    tell("post_worker_init", worker.wsgi.__name__, worker.cfg.proc_name)
    worker.log.info("log of post_worker_init in %s", worker.pid)

def pre_request(worker, req):
    tell("pre_request", req.path)

def post_request(worker, req, environ, resp):
    tell("post_request", worker.nr)

def worker_int(worker):
    tell("worker_int", worker.pid)

def worker_exit(server, worker):
    tell("worker_exit", worker.pid, server.pid)

def child_exit(server, worker):
    tell("child_exit", worker.pid, worker.of_my_own, len(server.WORKERS))

def on_exit(server):
    tell("on_exit", server.of_my_own)
"""


def configured(tmp_path: Path, text: str) -> tuple[str, str]:
    path = tmp_path / "conf.py"
    path.write_text(text)
    return "--config", str(path)


def events_of(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


def test_all_hooks_in_their_order_and_process(run_granite, tmp_path):
    events = tmp_path / "events"
    config = configured(tmp_path, ALL.format(events=str(events)))
    granite = run_granite("apps:plain", *config, cwd=APPS)
    first, arbiter = httpx.get(granite.url("/pid")).text, str(granite.process.pid)
    os.kill(int(first), signal.SIGQUIT)  # as Gunicorn would tell it
    granite.wait_for(rf"pid {first}\) exited with status 0; a new one starts")
    second = httpx.get(granite.url("/pid"), timeout=PATIENCE).text
    assert granite.stop() == 0
    assert events_of(events) == [
        ["nworkers_changed", arbiter, "1", "None"],
        ["on_starting", arbiter, arbiter, "0", "1", "['127.0.0.1:0']"],
        ["when_ready", arbiter, "1", "0"],
        ["pre_fork", arbiter, "1", "None", "1"],
        ["post_fork", first, first, arbiter, "10", "kept"],
        ["post_worker_init", first, "plain", "hooked"],
        ["pre_request", first, "/pid"],
        ["post_request", first, "1"],
        ["worker_int", first, first],
        ["worker_exit", first, first, arbiter],
        ["child_exit", arbiter, first, "10", "0"],
        ["pre_fork", arbiter, "2", "None", "1"],
        ["post_fork", second, second, arbiter, "20", "kept"],
        ["post_worker_init", second, "plain", "hooked"],
        ["pre_request", second, "/pid"],
        ["post_request", second, "1"],
        ["worker_exit", second, second, arbiter],
        ["child_exit", arbiter, second, "20", "0"],
        ["on_exit", arbiter, "kept"],
    ]
    assert "info: log of on_starting\n" in granite.output
    assert f"[{first}] info: log of post_fork in {first}\n" in granite.output
    assert f"[{first}] info: log of post_worker_init in {first}\n" in granite.output


RAISING = """
def {name}(*, {arguments}):
    raise ValueError("no")
""".replace("*, ", "")

STOPS_THE_START = {
    "nworkers_changed": "server, new, old",
    "on_starting": "server",
    "when_ready": "server",
    "pre_fork": "server, worker",
    "post_fork": "server, worker",
    "post_worker_init": "worker",
}


@pytest.mark.parametrize(("name", "arguments"), STOPS_THE_START.items())
def test_one_that_raises_ends_the_start(run_granite, tmp_path, name, arguments):
    socket, pid_file = tmp_path / "socket", tmp_path / "pid"
    config = configured(tmp_path, RAISING.format(name=name, arguments=arguments))
    granite = run_granite(
        *("apps:plain", *config, "--uds", str(socket), "--pid-file", str(pid_file)),
        cwd=APPS,
        ready=False,
    )
    assert granite.wait() == 1
    assert granite.output.count(f"the hook {name} raised ValueError") == 1
    assert granite.output.count("Traceback") == 1
    assert granite.output.rstrip().endswith("ValueError: no")
    assert granite.members() == []
    assert not socket.exists()
    assert not pid_file.exists()


def test_one_that_raises_when_a_worker_is_replaced_ends_the_server(run_granite, tmp_path):
    config = configured(
        tmp_path,
        "def pre_fork(server, worker):\n    if worker.age == 3:\n        raise ValueError\n",
    )
    granite = run_granite("apps:plain", *config, "--workers", "2", cwd=APPS)
    os.kill(int(httpx.get(granite.url("/pid")).text), signal.SIGKILL)
    assert granite.wait() == 1
    assert granite.output.count("the hook pre_fork raised ValueError") == 1
    assert granite.members() == []


@pytest.mark.parametrize(
    ("name", "arguments", "status"),
    [
        ("child_exit", "server, worker", 1),
        ("on_exit", "server", 1),
        ("worker_exit", "server, worker", 0),
        ("worker_int", "worker", 0),
    ],
)
def test_one_that_raises_at_the_end_does_not_hold_it_up(
    run_granite, tmp_path, name, arguments, status
):
    pid_file = tmp_path / "pid"
    config = configured(tmp_path, RAISING.format(name=name, arguments=arguments))
    granite = run_granite(
        "apps:plain", *config, "--pid-file", str(pid_file), "--workers", "2", cwd=APPS
    )
    os.killpg(granite.process.pid, signal.SIGINT)
    assert granite.wait() == status
    assert re.search(rf"the hook {name} raised ValueError\n +Traceback", granite.output)
    assert "\n  ValueError: no\n" in granite.output
    assert not pid_file.exists()
    assert granite.members() == []


@pytest.mark.parametrize("hook", ["on_starting(server)", "post_fork(server, worker)"])
@pytest.mark.parametrize(
    ("argument", "status"), [("", 0), ("7", 7), ("-1", 255), ("'not today'", 1), ("('a', 300)", 1)]
)
def test_one_that_exits(run_granite, tmp_path, hook, argument, status):
    config = configured(tmp_path, f"import sys\ndef {hook}:\n    sys.exit({argument})\n")
    granite = run_granite("apps:plain", *config, cwd=APPS, ready=False)
    assert granite.wait() == status
    assert granite.output.count("\n") == 1
    assert f"the hook {hook.partition('(')[0]} ended the server" in granite.output
    assert granite.members() == []


def test_an_exit_hook_follows_a_boot_that_failed(run_granite, tmp_path):
    config = configured(tmp_path, "def on_exit(server):\n    print('left', flush=True)\n")
    missing = str(tmp_path / "missing" / "socket")
    granite = run_granite("apps:plain", *config, "--uds", missing, cwd=APPS, ready=False)
    assert granite.wait() == 1
    assert granite.output.count("left\n") == 1
    assert granite.output.count("\n") == 2
