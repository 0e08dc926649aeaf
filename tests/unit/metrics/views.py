"""A server that an exporter can be asked about, on a loop as the arbiter's."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from granite.arbiter.poller import Poller
from granite.metrics.aggregate import Aggregate
from granite.metrics.exporter import Exporter
from granite.settings.config import Config
from granite.snapshot import FIELDS, INDEX, SIZE
from tests.patience import PATIENCE


def pack(values: list[int]) -> bytes:
    packed = struct.pack(f"={len(FIELDS)}q", *values)
    assert len(packed) == SIZE
    return packed


def snapshot(**numbers: int) -> bytes:
    """A snapshot with these numbers, the others 0."""
    values = [0] * len(FIELDS)
    for name, value in numbers.items():
        values[INDEX[name]] = value
    return pack(values)


def one_to_n(first: int = 1) -> bytes:
    """A snapshot whose numbers are all different."""
    return pack(list(range(first, first + len(FIELDS))))


class FakeView:
    """What the arbiter would show; `pids` are the workers by slot."""

    def __init__(self, pids: dict[int, int] | None = None) -> None:
        self.ready = True
        self.reason = ""
        self.totals = Aggregate()
        self.pids = pids or {}
        self.state = "ready"
        self.started_at = time.monotonic() - 60

    def workers(self):
        return [
            (index, pid, self.state, self.started_at, 2**20 * index, self.totals.snapshot(pid))
            for index, pid in self.pids.items()
        ]


class Running:
    """An exporter whose loop runs in a thread."""

    def __init__(self, view, poller: Poller, exporter: Exporter) -> None:
        self.view = view
        self.poller = poller
        self.exporter = exporter
        self.port = int(exporter.url.rpartition(":")[2].partition("/")[0])
        self.turns = 0

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(self, *requests: bytes) -> bytes:
        """Send, and return all that comes until the connection ends."""
        with self.connect() as client:
            client.sendall(b"".join(requests))
            return read_all(client)

    def get(self, path: str, *, method: str = "GET") -> tuple[int, str]:
        answer = self.ask(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        head, _, body = answer.decode().partition("\r\n\r\n")
        return int(head.split()[1]), body


def may_be_urgent() -> bool:
    """Whether a process that this one starts may take the best priority, and has the usual one."""
    code = "import os; os.setpriority(os.PRIO_PROCESS, 0, -20)"
    if os.getpriority(os.PRIO_PROCESS, 0) != 0:
        return False
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


def open_files() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


@contextmanager
def running(view=None, **settings) -> Iterator[Running]:
    poller = Poller()
    values = {"metrics": True, "metrics_port": 0, **settings}
    view = view or FakeView()
    exporter = Exporter(Config(**values), poller, view)
    found = Running(view, poller, exporter)
    asleep, awake = os.pipe()
    ended = False

    def end(events: int) -> None:
        nonlocal ended
        ended = True

    def loop() -> None:
        while not ended:
            poller.wait(exporter.next_deadline())
            exporter.manage(time.monotonic())
            found.turns += 1

    poller.register(asleep, end)
    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield found
    finally:
        os.write(awake, b".")
        thread.join(PATIENCE)
        assert not thread.is_alive()
        exporter.close()
        exporter.close()
        os.close(asleep)
        os.close(awake)
