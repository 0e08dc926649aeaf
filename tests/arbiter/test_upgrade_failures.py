"""Upgrades that fail: the server goes on as if there had been none."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest

from granite.arbiter.handover import Line
from granite.arbiter.poller import Poller
from granite.arbiter.upgrade import Upgrade
from tests.arbiter.asking import until
from tests.arbiter.changing import Changing
from tests.arbiter.test_systemd import answer, ask
from tests.arbiter.upgrading import TAKEN, Upgrading, alive, descriptors
from tests.granite_process import GraniteProcess

CONFIG = """
bind = ["unix:sock", "127.0.0.1:0"]
pid_file = "granite.pid"
workers = 2
"""


class Server(Upgrading):
    """A server in a folder, whose settings are in a file; `address` is the path of its socket."""

    def __init__(self, changing: Changing, granite: GraniteProcess) -> None:
        super().__init__(granite)
        self.folder = changing.folder
        self.config = changing.folder / "granite.conf.py"
        self.address = str(changing.folder / "sock")

    def served(self) -> str:
        return answer(ask(self.address)).rpartition(b"\r\n")[2].split()[0].decode()

    def state(self) -> object:
        file = Path(self.address).stat()
        pid = (self.folder / "granite.pid").read_text()
        return self.workers(), descriptors(self.pid), (file.st_ino, file.st_mtime_ns), pid


@pytest.fixture
def start(changing) -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def start(*arguments: str, config: str = CONFIG, **options) -> Server:
            (changing.folder / "granite.conf.py").write_text(config)
            granite = GraniteProcess(
                *("run", "changing:app", *arguments),
                **{"cwd": changing.folder, "env": {"PYTHONDONTWRITEBYTECODE": "1"}} | options,
            )
            stack.callback(granite.destroy)
            granite.wait_for("listening on http")
            return Server(changing, granite)

        yield start


def config(text: str) -> Callable[[Changing], object]:
    """Add to the settings."""
    return lambda changing: (changing.folder / "granite.conf.py").write_text(CONFIG + text)


def module(text: str) -> Callable[[Changing], object]:
    """Change the application."""
    return lambda changing: changing.write("", text)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (module("not Python"), r"cannot load 'changing:app'.*"),
        (module("from tests.arbiter.apps import failing as app"), r".*the database is not there"),
        (module("import os\nos._exit(5)"), r"worker \d exited with status 5 before it was ready"),
        (config("workers = 'many'"), "it exited with status 2 before it was ready"),
        (config("raise SystemExit(7)"), r"it exited with status \d before it was ready"),
        (config("import os; os.kill(os.getpid(), 9)"), "it was killed by SIGKILL before it .*"),
        (
            config("bind.append('unix:/no/such/socket')"),
            "cannot listen on unix:/no/such/socket: .*",
        ),
        (config("pid_file = '/no/such/file'"), "pid_file: cannot write '/no/such/file': .*"),
        (config("log_file = '/no/such/file'"), r".*/no/such/file.*"),
        (config("working_dir = '/no/such'"), r".*working directory '/no/such'.*"),
        (config("user = 'nosuchuser'"), r".*nosuchuser.*"),
    ],
)
def test_the_server_goes_on(changing, start, change, reason):
    server = start()
    before = server.state()
    change(changing)
    assert re.fullmatch(reason, server.fail())
    until(lambda: server.state() == before)
    assert server.served() == "one"
    assert server.granite.output.count("the upgrade to pid") == 1
    server.config.write_text(CONFIG)
    changing.write("two")
    server.upgrade()
    assert server.served() == "two"
    server.stop()
    assert not {"sock", "granite.pid"} & {path.name for path in server.folder.iterdir()}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("1 / 0", "the hook pre_exec raised"),
        ("import sys; sys.exit('not today')", "the hook pre_exec ended it"),
        ("import os; os._exit(3)", "it exited with status 3 before it was ready"),
    ],
)
def test_a_hook_calls_it_off(start, body, reason):
    server = start(config=f"{CONFIG}\ndef pre_exec(server):\n    {body}\n")
    before = server.state()
    assert server.fail() == reason
    assert server.granite.output.count("Traceback") == (body == "1 / 0")
    until(lambda: server.state() == before)
    assert server.served() == "one"
    server.stop()


def test_the_program_is_gone(changing, start):
    """As when an installation is moved away."""
    python = changing.folder / "python"
    python.symlink_to(sys.executable)
    launcher = (
        "import os, sys; os.execv(sys.argv[1], [sys.argv[1], '-m', 'granite', *sys.argv[2:]])"
    )
    server = start(launcher=("-c", launcher, str(python)))
    before = server.state()
    python.rename(changing.folder / "moved")
    assert server.fail() == f"{python}: no such file or directory"
    python.write_text("")
    assert server.fail() == f"{python}: permission denied"
    python.unlink()
    until(lambda: server.state() == before)
    python.symlink_to(sys.executable)
    server.upgrade()
    assert server.served() == "one"
    server.stop()


def test_the_directory_of_the_start_is_gone(changing, start, tmp_path):
    where = tmp_path / "where"
    where.mkdir()
    moved = [f"--working-dir={changing.folder}", f"--config={changing.folder}/granite.conf.py"]
    server = start(*moved, cwd=where)
    before = server.state()
    where.rmdir()
    assert server.fail() == f"{where}: no such file or directory"
    until(lambda: server.state() == before)
    server.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_successor_that_hangs_is_ended(changing, start, number):
    server = start()
    before = server.state()
    changing.gate.touch()
    successor = server.ask()
    server.wait_for("at the gate")
    started = descriptors(server.pid)
    server.signal(signal.SIGUSR2)
    server.wait_for(
        f"no upgrade: pid {successor} is not ready yet: SIGTERM to that process calls it off"
    )
    assert descriptors(server.pid) == started
    assert server.served() == "one"
    os.kill(successor, number)
    told = {
        signal.SIGTERM: "stopping",
        signal.SIGKILL: "it was killed by SIGKILL before it was ready",
    }
    assert server.failed(successor) == told[number]
    changing.gate.unlink()
    until(lambda: server.state() == before)
    server.upgrade()
    server.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_who_stops_the_server_means_its_successor_too(changing, start, number):
    server = start()
    changing.gate.touch()
    successor = server.ask()
    server.wait_for("at the gate")
    server.signal(number)
    assert server.granite.wait() == 0
    changing.gate.unlink()
    server.granite.wait_gone()
    assert not alive(successor)
    assert "the upgrade to pid" not in server.granite.output
    assert not {"sock", "granite.pid"} & {path.name for path in server.folder.iterdir()}


@pytest.mark.slow
def test_a_successor_that_does_not_end_is_killed(changing, start):
    server = start("--workers-kill-timeout", "1", "--graceful-timeout", "1")
    changing.gate.touch()
    successor = server.ask()
    server.wait_for("at the gate")
    os.kill(successor, signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    changing.gate.unlink()
    assert server.granite.wait() == 0
    assert f"pid {successor} did not end in time and is killed" in server.granite.output
    server.granite.wait_gone()


def test_a_stop_that_is_delayed(changing, start):
    """The successor is gone at once: it must not take over a service that is to end."""
    server = start("--drain-delay", "1h")
    changing.gate.touch()
    successor = server.ask()
    server.wait_for("at the gate")
    server.signal(signal.SIGTERM)
    server.wait_for("stopping in 3600 s")
    changing.gate.unlink()
    until(lambda: not alive(successor))
    assert server.served() == "one"
    server.signal(signal.SIGTERM)
    assert server.granite.wait() == 0
    assert "took over" not in server.granite.output


def test_who_stops_the_server_before_its_successor_has_begun(start):
    server = start(config=CONFIG + "\ndef pre_exec(server):\n    import time; time.sleep(60)\n")
    server.ask()
    server.signal(signal.SIGQUIT)
    assert server.granite.wait() == 0
    server.granite.wait_gone()


def test_the_successor_of_one_that_died_takes_over(changing, start):
    server = start()
    changing.gate.touch()
    first, server.pid = server.pid, server.ask()
    server.wait_for("at the gate")
    os.kill(first, signal.SIGKILL)
    changing.gate.unlink()
    server.wait_for(TAKEN)
    assert server.served() == "one"
    assert (server.folder / "granite.pid").read_text() == f"{server.pid}\n"
    server.upgrade()
    server.stop()
    assert not {"sock", "granite.pid"} & {path.name for path in server.folder.iterdir()}


def test_a_reload_while_a_successor_starts(changing, start):
    """Either one is done as if there were not the other."""
    server = start()
    changing.gate.touch()
    successor = server.ask()
    server.wait_for("at the gate")
    changing.write("two")
    changing.gate.unlink()
    server.signal(signal.SIGHUP)
    server.wait_for(rf"\[{successor}\] info: took over from pid {server.pid}")
    until(lambda: not alive(server.pid))
    server.pid = successor
    assert server.served() in ("one", "two")
    assert "error" not in server.granite.output
    server.stop()


def test_a_successor_that_cannot_be_asked_yet(changing, start):
    """Neither a server that boots is upgraded, nor one that has not taken over."""
    server = start()
    changing.gate.touch()
    successor = server.ask()
    server.wait_for("at the gate")
    os.kill(successor, signal.SIGUSR2)
    server.wait_for(rf"\[{successor}\] warning: no upgrade: the workers are not ready yet")
    changing.gate.unlink()
    server.wait_for(TAKEN)
    server.pid = successor
    server.upgrade()
    server.stop()


def test_sockets_that_were_closed_before_the_server_started(changing, start):
    server = start()
    before = server.state()
    (changing.folder / "granite.conf.py").write_text(CONFIG + "import os; os.closerange(3, 100)")
    assert re.fullmatch("it exited with status 1 before it was ready", server.fail())
    server.wait_for("granite: the server that is to be replaced .* has passed descriptors that")
    until(lambda: server.state() == before)
    server.stop()


def test_what_was_said_just_before_the_end_is_heard():
    """As by a successor that fails between two looks of the server: at what it says, at its end."""
    mine, theirs = socket.socketpair()
    code = "import os, sys; os.write(int(sys.argv[1]), b'failed for a reason\\n')"
    with theirs:
        fd = theirs.fileno()
        child = subprocess.Popen([sys.executable, "-c", code, str(fd)], pass_fds=(fd,))
    held, poller = Mock(), Poller()
    upgrade = Upgrade(Mock(), held, Mock(), poller, Mock())
    upgrade._pid, upgrade._line = child.pid, Line(mine.detach())
    poller.register(upgrade._line.fd, upgrade._hear)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    upgrade.manage(0.0)
    child.returncode = 0  # collected
    (told,) = held.log.error.call_args.args
    assert told.endswith("failed, this server goes on: for a reason")
    assert upgrade.gone()
    assert poller._callbacks == {}
