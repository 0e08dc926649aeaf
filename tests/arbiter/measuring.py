"""Servers whose metrics are read."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.granite_process import ROOT, GraniteProcess
from tests.patience import PATIENCE

METRICS = ("--metrics", "--metrics-port", "0", "--metrics-scrape-interval", "100ms")


class Measured:
    """A server with metrics."""

    def __init__(self, granite: GraniteProcess) -> None:
        self.granite = granite
        self.address = granite.wait_for(r"metrics on (http://\S+:\d+)/metrics").group(1)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.address + path, timeout=PATIENCE, trust_env=False)

    def stats(self) -> dict:
        return self.get("/stats").json()

    def value(self, name: str, **labels: str) -> float:
        """The sum over the series of that name that have these labels."""
        text = self.get("/metrics").text
        found = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in (f"granite_{name}", f"granite_{name}_total")
            and labels.items() <= sample.labels.items()
        ]
        assert found, name
        return sum(found)

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return command(name, "--address", self.address, *arguments)


def command(*arguments: str, cwd: Path | None = None, **variables: str):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GRANITE_")}
    return subprocess.run(
        [sys.executable, "-m", "granite", *arguments],
        cwd=cwd,
        env={**environ, "PYTHONPATH": str(ROOT), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@contextlib.contextmanager
def load(granite: GraniteProcess) -> Iterator[None]:
    """Requests on several connections, as many as the server answers."""
    code = (
        "import socket, sys\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "request = b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' * 50\n"
        "while True:\n"
        "    s.sendall(request)\n"
        "    s.recv(65536)\n"
    )
    arguments = [sys.executable, "-c", code, str(granite.port)]
    clients = [subprocess.Popen(arguments, stderr=subprocess.DEVNULL) for _ in range(4)]
    try:
        yield
    finally:
        for client in clients:
            client.kill()
        for client in clients:
            client.wait()
