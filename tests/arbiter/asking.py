"""What tests ask a granite process and its surroundings."""

from __future__ import annotations

import ast
import contextlib
import time
from pathlib import Path
from typing import Any

import httpx

from tests.arbiter.loads import IDLE
from tests.patience import PATIENCE


def get(url: str, client: Any = httpx, **options: Any) -> httpx.Response:
    """Ask on a new connection. Who stands still between its beginning and the request may find that
    a worker has ended it meanwhile, and asks again.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        begun = time.monotonic()
        try:
            return client.get(url, timeout=PATIENCE, **options)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            if time.monotonic() - begun < IDLE or time.monotonic() > deadline:
                raise


def facts(granite, when: str = "now") -> dict:
    return ast.literal_eval(httpx.get(granite.url(), timeout=PATIENCE).text)[when]


def one_line(granite) -> str:
    assert granite.output.count("\n") == 1, granite.output
    return granite.output.rstrip("\n")


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def title(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


def wait_for_port(log: Path) -> str:
    until(lambda: log.exists() and "listening on" in log.read_text())
    return log.read_text().partition("listening on http://127.0.0.1:")[2].split()[0]


def descriptors(pid: int) -> list[str]:
    """Return what the descriptors of a process are, without the numbers."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(fd.readlink()).partition(":[")[0])
    return sorted(found)
