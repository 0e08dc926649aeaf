"""The redirecting port in processes: workers share it, and it outlives them like the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from granite.errors import EXIT_USAGE
from tests.arbiter.asking import get, until
from tests.arbiter.changing import hang_up, workers
from tests.arbiter.upgrading import Upgrading
from tests.granite_process import LAUNCHER, ROOT, GraniteProcess
from tests.ports import unused_port
from tests.server.tls import Authority


@pytest.fixture
def start(changing, authority: Authority) -> Callable[..., tuple[GraniteProcess, str]]:
    """Start the server; the other result is where plain HTTP is redirected."""

    def start(*arguments: str) -> tuple[GraniteProcess, str]:
        files = ("--ssl-certificate", str(authority.chain), "--ssl-keyfile", str(authority.key))
        port = unused_port()
        granite = changing.start(*files, "--ssl-redirect-port", str(port), *arguments)
        granite.wait_for(rf"listening on http://127.0.0.1:{port}\n")
        return granite, f"http://127.0.0.1:{port}/a?b"

    return start


def place(granite: GraniteProcess) -> str:
    port = granite.wait_for(r"listening on https://127.0.0.1:(\d+)").group(1)
    return f"https://127.0.0.1:{port}/a?b"


def follows(granite: GraniteProcess, url: str, authority: Authority) -> str:
    """Ask at the plain port, and of whom it names; return what that one answers."""
    for _ in range(8):  # of more than one worker
        response = get(url)
        assert (response.status_code, response.headers["location"]) == (308, place(granite))
    with httpx.Client(verify=authority.trusting(), follow_redirects=True) as client:
        return get(url, client).text


@pytest.mark.parametrize("options", [(), ("--reuse-port",), ("--preload",)])
def test_workers_and_a_reload(start, changing, authority, options: tuple[str, ...]) -> None:
    granite, url = start("--workers", "2", *options)
    assert follows(granite, url, authority).startswith("one ")
    before = workers(granite)
    changing.write("two")
    hang_up(granite)
    until(lambda: "--preload" in options or not before & workers(granite))
    assert follows(granite, url, authority).startswith("two ")
    assert granite.stop() == 0


def test_an_upgrade(start, changing, authority) -> None:
    granite, url = start()
    server = Upgrading(granite)
    changing.write("two")
    server.upgrade()
    assert follows(granite, url, authority).startswith("two ")
    server.stop()


def test_a_reload_keeps_the_port(start, changing, authority: Authority) -> None:
    config = changing.folder / "granite.conf.py"
    config.write_text("")
    granite, url = start("--config", str(config))
    config.write_text("workers = 2\n")
    granite.signal(signal.SIGHUP)
    granite.wait_for("info: reloaded")
    assert follows(granite, url, authority).startswith("one ")


@pytest.mark.parametrize("arguments", [(), ("--port", "81", "--ssl-certificate", "a.pem")])
def test_check(arguments: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, *LAUNCHER, "check", "x:app", "--ssl-redirect-port", "81", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == EXIT_USAGE
    assert "ssl_redirect_port: expected " in done.stderr
