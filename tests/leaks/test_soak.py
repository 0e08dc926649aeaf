"""A server under everything at once, for a while: memory stays flat, and nothing is kept.

Clients that ask as fast as they can, slow ones, ones that reset their connections in the middle of
something, uploads of both framings, readers that stop reading, and nonsense. `GRANITE_SOAK` is the
number of seconds for which that goes on.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from granite._core import buf
from tests.granite_process import ROOT
from tests.patience import PATIENCE

pytestmark = [
    pytest.mark.no_sanitizer,
    pytest.mark.skipif(
        not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's smaps_rollup"
    ),
    pytest.mark.skipif(buf.DEBUG, reason="debug builds keep more"),
]

SECONDS = float(os.environ.get("GRANITE_SOAK", "6"))
# The share of the time after which memory has to stay what it is. Buffers that the server keeps for
# reuse have been made by then.
WARM_UP = 0.3
ALLOWED = 8 * 1024 * 1024  # bytes: at the first look the server is busy, and has not seen it all
# Seconds of the deadlines: those who mean well must never be as slow as that.
DEADLINE = 5.0
SETTINGS = {
    "request_head_timeout": DEADLINE,
    "request_body_timeout": DEADLINE,
    "keep_alive_timeout": DEADLINE,
    "write_timeout": DEADLINE,
    "backpressure": 4,
    "max_connections_per_ip": 1000,
    "access_log": True,
    "access_log_file": "/dev/null",
}
PATHS = ["/", "/", "/", "/later", "/wrong", "/large", "/file", "/trailed"]
BUSY = ("connections", "sessions", "exchanges", "running")  # what ends when the clients have left
RESET = struct.pack("ii", 1, 0)
PIECES = [
    b"",
    b"GET /large HTTP/1.1\r\nHo",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
    b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n" * 2,
    b"GET /trailed HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n",
    b"PURGE /hinted HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n\r\n",
    b"GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nGET",
    b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + bytes(2000),
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"\x00\xff" * 50,
]


class Soaked:
    """The server, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.leaks.soak_server", json.dumps(SETTINGS)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback for each request that goes wrong
            text=True,
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def look(self) -> dict:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def end(self) -> dict:
        assert self._process.stdin is not None
        self._process.stdin.close()
        left = json.loads(self._line())["left"]
        assert self._process.wait(PATIENCE) == 0
        return left

    def destroy(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


@pytest.fixture
def soaked() -> Iterator[Soaked]:
    soaked = Soaked()
    yield soaked
    soaked.destroy()


def asks(port: int, done: threading.Event, chance: random.Random) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    asked = time.monotonic()
    while not done.is_set():
        path, before, asked = chance.choice(PATHS), asked, time.monotonic()
        try:
            client.request("GET", path)
            response = client.getresponse()
        except ConnectionError:
            if time.monotonic() - before < DEADLINE - 1:  # this thread has not stood still
                raise
            client.close()
            continue
        response.read()
        assert response.status == (500 if path == "/wrong" else 200)
        if chance.random() < 0.02:
            client.close()
    client.close()


def uploads(port: int, done: threading.Event, chance: random.Random) -> None:
    while not done.is_set():
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = bytes(chance.randrange(1 << 20))
        pieces = (body[at : at + 10_000] for at in range(0, len(body), 10_000))
        chunked = chance.random() < 0.5
        client.request("POST", "/", pieces if chunked else body, encode_chunked=chunked)
        assert client.getresponse().read() == str(len(body)).encode()
        client.close()


def leaves(port: int, done: threading.Event, chance: random.Random) -> None:
    """Say some of something, perhaps look at what comes, and reset the connection."""
    while not done.wait(0.002):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(chance.choice(PIECES))
            if chance.random() < 0.5:
                client.settimeout(0.01)
                with contextlib.suppress(OSError):
                    client.recv(chance.choice([1, 1000, 100_000]))
            if chance.random() < 0.7:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def dawdles(port: int, done: threading.Event, chance: random.Random) -> None:
    """Send requests letter by letter on many connections, of which few get to an end."""
    message = b"GET / HTTP/1.1\r\nHost: " + b"x" * 200 + b"\r\n\r\n"
    open_ones: list[tuple[socket.socket, int]] = []
    while not done.wait(0.001):
        if len(open_ones) < 100:
            client = socket.create_connection(("127.0.0.1", port), timeout=60)
            open_ones.append((client, 0))
        client, at = open_ones.pop(chance.randrange(len(open_ones)))
        try:
            client.sendall(message[at : at + 5])
        except OSError:  # it took too long
            client.close()
        else:
            open_ones.append((client, at + 5))
    for client, _ in open_ones:
        client.close()


def stops_reading(port: int, done: threading.Event, chance: random.Random) -> None:
    while not done.is_set():
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(1000)
            done.wait(chance.random() * 0.3)


CLIENTS: list[Callable] = [asks, asks, uploads, leaves, leaves, dawdles, stops_reading]


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 180)
def test_soak(soaked: Soaked) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def run(client: Callable, seed: int) -> None:
        try:
            client(soaked.port, done, random.Random(seed))
        except BaseException as exc:  # the test's thread tells of it
            failures.append(exc)
            done.set()

    threads = [
        threading.Thread(target=run, args=(client, seed)) for seed, client in enumerate(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    wrk = shutil.which("wrk")
    load = None
    if wrk is not None and SECONDS > 60:  # by far the most requests
        address = f"http://127.0.0.1:{soaked.port}/"
        load = subprocess.Popen(
            [wrk, "-t1", "-c32", f"-d{SECONDS:.0f}s", address], stdout=subprocess.DEVNULL
        )
    try:
        done.wait(SECONDS * WARM_UP)
        before = soaked.look()
        done.wait(SECONDS * (1 - WARM_UP))
    finally:
        done.set()
        for thread in threads:
            thread.join(PATIENCE)
        if load is not None:
            load.terminate()
            load.wait(30)
    assert not failures, failures
    deadline = time.monotonic() + PATIENCE
    while any((after := soaked.look())["counters"][name] for name in BUSY):
        assert time.monotonic() < deadline, after
        time.sleep(0.05)
    growth = after["memory"] - before["memory"]
    print(f"{SECONDS:g} s: from {before['memory']:,} to {after['memory']:,} bytes")
    assert growth <= ALLOWED, (before, after)
    assert soaked.end() == {}
