"""`granite stats` and `granite top`, which show the metrics of a real server."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.arbiter.asking import until
from tests.arbiter.measuring import command, load
from tests.granite_process import ROOT
from tests.patience import PATIENCE
from tests.ports import unused_port


def test_stats(measure):
    server = measure("apps:plain", "--workers", "2")
    for _ in range(3):
        httpx.get(server.granite.url())
    until(lambda: server.value("requests_handled") == 3)
    done = server.command("stats")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"granite \S+, pid \d+, up \d+s, ready", lines[0])
    assert lines[1] == "workers started: 2, replaced: none"
    assert [line.split()[0] for line in lines[3:]] == ["worker", "1", "2", "all"]
    assert lines[-1].split()[3] == "3"
    found = json.loads(server.command("stats", "--json").stdout)
    assert found["pid"] == server.granite.process.pid
    assert found["total"]["requests_handled"] == 3
    assert {worker["state"] for worker in found["workers"]} == {"ready"}


def test_top_once(measure):
    server = measure("apps:plain")
    with load(server.granite):
        until(lambda: server.value("requests_handled") > 0)
        done = server.command("top", "--once", "--interval", "5")  # longer than a worker's pause
    assert (done.returncode, done.stderr) == (0, "")
    head, titles, worker, total = (line.strip() for line in done.stdout.splitlines())
    assert head.startswith("granite ")
    assert titles.split()[4] == "req/s"
    cells = worker.split()
    assert (cells[0], cells[2]) == ("1", "ready")
    assert float(cells[4].replace(",", "")) > 0
    assert all(re.fullmatch(r"[\d.]+[um]?s", cell) for cell in cells[5:7])
    assert total.split()[0] == "all"
    assert total.split()[1] == cells[4]


class Terminal:
    """`granite top` on a terminal of its own."""

    _START = (
        "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "from granite.cli import main; sys.exit(main())"
    )

    def __init__(self, *arguments: str) -> None:
        self.fd, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", self._START, "top", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def wait_for(self, pattern: str, since: int = 0) -> None:
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.shown[since:]):
            assert time.monotonic() < deadline, self.shown
            if select.select([self.fd], [], [], 0.1)[0]:
                self.shown += os.read(self.fd, 65536).decode(errors="replace")

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def wait(self) -> int:
        """Return its exit status."""
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):  # it has closed its side
            while time.monotonic() < deadline:
                if select.select([self.fd], [], [], 0.1)[0]:
                    self.shown += os.read(self.fd, 65536).decode(errors="replace")
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


@pytest.fixture
def open_top() -> Iterator[Callable[..., Terminal]]:
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Terminal:
            terminal = Terminal(*arguments)
            stack.callback(terminal.close)
            return terminal

        yield start


@pytest.mark.parametrize("key", [b"q", b"Q", b"xyq", b"\x03"])
def test_top_on_a_terminal(measure, open_top, key):
    server = measure("apps:plain")
    with load(server.granite):
        terminal = open_top("--address", server.address, "--interval", "0.1")
        terminal.wait_for(r"q quits")
        terminal.wait_for(r"ready\D+\d+s\s+[\d,]{3,}")
        terminal.press(key)
        assert terminal.wait() == 0
    assert "Traceback" not in terminal.shown


def test_top_goes_on_when_the_server_is_away(measure, open_top):
    server = measure("apps:plain")
    terminal = open_top("--address", server.address, "--interval", "100ms")
    terminal.wait_for("q quits")
    assert server.granite.stop() == 0
    terminal.wait_for("no metrics at http")
    terminal.press(b"q")
    assert terminal.wait() == 0
    assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("name", ["stats", "top"])
def test_the_commands_without_a_server(name, tmp_path):
    port = unused_port()
    done = command(name, cwd=tmp_path, GRANITE_METRICS_PORT=str(port), GRANITE_METRICS="yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"granite: no metrics at http://127.0.0.1:{port}: connection refused; "
        "does it run? --address names another place\n"
    )
    done = command(name, cwd=tmp_path, GRANITE_METRICS_PORT=str(port))
    assert done.returncode == 1
    assert "metrics are off in the settings" in done.stderr
    assert done.stderr.count("\n") == 1
    done = command(name, "--address", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_top_without_rich(tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError('hidden')\n")
    code = "import sys; sys.path.insert(0, '.'); from granite.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "top"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "granite: top: needs the package rich, which is not installed; pip install 'granite[top]'\n"
    )


@pytest.mark.parametrize("interval", ["0", "x", "61", "nan"])
def test_top_with_a_wrong_interval(interval):
    done = command("top", "--interval", interval)
    assert done.returncode == 2
    assert done.stderr.startswith("granite: top: --interval: expected seconds from 0.1 to 60")
