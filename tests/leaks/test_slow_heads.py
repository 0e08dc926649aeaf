"""Thousands of clients that take their time with a head: what they cost, and what others notice."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from granite._core import buf
from tests.conftest import RunGranite
from tests.granite_process import GraniteProcess
from tests.server.raw import Client

pytestmark = [
    pytest.mark.no_sanitizer,
    pytest.mark.skipif(
        not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's smaps_rollup"
    ),
    pytest.mark.skipif(buf.DEBUG, reason="debug builds keep more"),
]

CLIENTS = 2000
BYTES_EACH = 1024
HEAD_TIMEOUT = 8
BEGUN = b"GET / HTTP/1.1\r\nHost: test\r\nUser-Agent: test\r\nX-Slow: "


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < CLIENTS + 200:
        pytest.skip(f"the limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CLIENTS + 200), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def worker_bytes(server: GraniteProcess) -> int:
    """The memory that the worker alone has."""
    (worker,) = (pid for pid in server.members() if pid != server.process.pid)
    text = Path(f"/proc/{worker}/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB$", text, re.MULTILINE)))


def ask(client: Client, count: int = 300) -> None:
    for _ in range(count):
        assert client.ask().body == b"hello"


def dribble(socks: list[socket.socket], stop: threading.Event) -> None:
    with contextlib.suppress(OSError):  # on a slow machine the time for heads is over already
        while not stop.wait(0.2):
            for sock in socks:
                sock.sendall(b"x")


@pytest.mark.slow
def test_slow_heads_cost_little_and_get_408_while_others_are_served(
    run_granite: RunGranite,
) -> None:
    server = run_granite(
        *("tests.server.apps:hello", "--lifespan", "off"),
        *("--request-head-timeout", str(HEAD_TIMEOUT), "--keep-alive-timeout", "60"),
        *("--rlimit-nofile", str(CLIENTS + 200), "--backlog", str(CLIENTS)),
    )
    with ExitStack() as stack:
        client = Client("127.0.0.1", server.port)
        stack.callback(client.close)
        ask(client)
        before = worker_bytes(server)
        socks = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 20))
            for _ in range(CLIENTS)
        ]
        for sock in socks:
            sock.sendall(BEGUN)
        stop = threading.Event()
        dribbling = threading.Thread(target=dribble, args=(socks, stop))
        dribbling.start()
        try:
            ask(client)
        finally:
            stop.set()
            dribbling.join()
        each = (worker_bytes(server) - before) / CLIENTS
        answers = {sock.recv(100).partition(b"\r\n")[0] for sock in socks}
        ask(client, 10)
    assert answers == {b"HTTP/1.1 408 Request Timeout"}
    assert each <= BYTES_EACH, f"{each:.0f} bytes for each"
