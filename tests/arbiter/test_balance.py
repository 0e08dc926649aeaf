"""How connections are shared out: evenly, whoever accepts them, and none is lost on its way."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arbiter.asking import until
from tests.arbiter.loads import Load
from tests.patience import PATIENCE

APPS = Path(__file__).parent
REQUEST = b"GET /pid HTTP/1.1\r\nHost: test\r\n\r\n"
# What a worker has lost for being idle, nobody would make up for.
KEPT = ("--keep-alive-timeout", "0")

either = pytest.mark.parametrize(
    "options", [("--no-reuse-port",), ("--reuse-port",)], ids=["shared", "divided"]
)


class Client:
    """A connection that is kept, and the process that it was given to."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.sock.sendall(REQUEST)
        head, _, body = self.sock.recv(4096).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        self.worker = int(body)


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    opened: list[Client] = []
    yield opened
    for client in opened:
        client.sock.close()


def share(clients: list[Client]) -> Counter[int]:
    return Counter(client.worker for client in clients)


def is_even(clients: list[Client], workers: int = 4) -> bool:
    found = share(clients)
    return len(found) == workers and max(found.values()) <= 1.3 * min(found.values())


def balanced(clients: list[Client], port: int, workers: int = 4) -> bool:
    """Say whether the connections are even, at the latest some more of them later: what its worker
    does not take in time, for want of a CPU, another one takes, and the next ones make up for it.
    """
    for _ in range(250):
        if is_even(clients, workers):
            return True
        clients.append(Client(port))
        time.sleep(0.04)  # the worker may want its CPU for seconds
    return is_even(clients, workers)


@either
def test_connections_are_even(run_granite, clients: list[Client], options) -> None:
    granite = run_granite("apps:plain", "--workers", "4", *KEPT, *options, cwd=APPS)
    clients += [Client(granite.port) for _ in range(64)]
    assert balanced(clients, granite.port), share(clients)


@either
def test_a_new_worker_gets_its_share(run_granite, clients: list[Client], options) -> None:
    granite = run_granite("apps:plain", "--workers", "4", *KEPT, *options, cwd=APPS)
    clients += [Client(granite.port) for _ in range(64)]
    dead = clients[0].worker
    os.kill(dead, signal.SIGKILL)
    granite.wait_for(r"worker \d+ \(pid \d+\) is ready")
    lost = [client for client in clients if client.worker == dead]
    for client in lost:
        clients.remove(client)
        client.sock.close()
    clients += [Client(granite.port) for _ in lost]
    assert balanced(clients, granite.port), share(clients)


@either
def test_many_at_once(run_granite, clients: list[Client], options) -> None:
    """They come faster than they are accepted; each is answered all the same."""
    granite = run_granite("apps:plain", "--workers", "3", *options, cwd=APPS)
    port = granite.port
    socks = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(200)]
    for sock in socks:
        sock.sendall(REQUEST)
    for sock in socks:
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        sock.close()


def test_nobody_waits_for_a_worker_that_is_busy(run_granite, clients: list[Client]) -> None:
    granite = run_granite("apps:plain", "--workers", "3", *KEPT, cwd=APPS)
    busy = Client(granite.port)
    clients.append(busy)
    os.kill(busy.worker, signal.SIGSTOP)
    try:
        # It has fewer than the others all the time, and so the others leave them to it.
        clients += [Client(granite.port) for _ in range(100)]
        assert share(clients)[busy.worker] == 1
    finally:
        os.kill(busy.worker, signal.SIGCONT)

    def comes_back() -> bool:
        clients.append(Client(granite.port))
        return clients[-1].worker == busy.worker

    until(comes_back)
    clients += [Client(granite.port) for _ in range(60)]
    assert balanced(clients, granite.port, 3), share(clients)


@pytest.mark.slow
@either
def test_nothing_is_lost_between_workers(run_granite, clients: list[Client], options) -> None:
    """Connections change hands all the time while the hands change, too."""
    granite = run_granite("apps:plain", "--workers", "3", *options, cwd=APPS)
    with Load(granite.port, coming=8) as load:
        for reload in range(1, 5):
            # Of those, one worker has too many in a moment.
            clients += [Client(granite.port) for _ in range(30)]
            granite.signal(signal.SIGHUP)
            granite.wait_for(rf"(?s)(reloaded.*){{{reload}}}")
        load.wait_for(50)
    assert load.lost == []
