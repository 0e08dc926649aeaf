"""Ports for tests that need the number before anybody listens, or while nobody does."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PROCESSES = 64  # of pytest, at most, among which the ports are shared out


def unused_port() -> int:
    """Return a port that is free, and stays so: the system gives it to none of the other tests,
    as it would one of those that it chooses from itself, nor does another process of pytest.
    """
    lowest = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
    while True:
        port = random.randrange(10_000 + process, max(lowest, 20_000), _PROCESSES)
        try:
            socket.create_server(("", port)).close()
        except OSError:
            continue
        return port
