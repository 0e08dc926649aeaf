"""What becomes of the connections to the metrics' port when somebody else accepts, or nobody."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest

from granite.arbiter.poller import Poller
from granite.metrics import clients
from granite.metrics.exporter import Exporter
from granite.settings.config import Config
from tests.patience import PATIENCE
from tests.unit.metrics.views import FakeView, read_all

GET = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"


class Turned:
    """An exporter whose loop the test turns."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.exporter = Exporter(Config(metrics_port=0), self.poller, FakeView())
        self.port = int(self.exporter.url.rpartition(":")[2].partition("/")[0])

    def turn(self) -> None:
        """Do what is to be done now, or wait for a moment."""
        self.poller.wait(min(self.exporter.next_deadline(), time.monotonic() + 0.01))
        self.exporter.manage(time.monotonic())

    def connect(self) -> socket.socket:
        """Return a connection that was accepted."""
        before = self.served()
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while all(one in before for one in self.served()):
            assert time.monotonic() < deadline
            self.turn()
        return client

    def served(self) -> list[clients._Client]:
        return list(self.exporter._clients._clients.values())

    def answer(self, client: socket.socket, end: bytes = b"ready\n") -> bytes:
        data = b""
        deadline = time.monotonic() + PATIENCE
        while not data.endswith(end):
            assert time.monotonic() < deadline, data
            self.turn()
            if select.select([client], [], [], 0)[0]:
                part = client.recv(65536)
                assert part, data
                data += part
        return data

    def finish(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.exporter.finish(time.monotonic()):
            assert time.monotonic() < deadline
            self.turn()


@pytest.fixture
def turned() -> Iterator[Turned]:
    turned = Turned()
    yield turned
    turned.exporter.close()


def ages(turned: Turned) -> None:
    """Make all connections ones that have been quiet for long."""
    for client in turned.served():
        client.heard -= 60


def test_who_was_answered_leaves_while_another_process_accepts(turned):
    with turned.connect() as client:
        client.sendall(GET)
        assert b"Connection: keep-alive" in turned.answer(client)
        turned.exporter.hold()
        client.sendall(GET * 2)
        assert b"Connection: close" in turned.answer(client)
        turned.turn()
        assert read_all(client) == b"", "the second one is for whoever accepts now"
    turned.exporter.go_on()
    with turned.connect() as client:
        client.sendall(GET)
        assert b"Connection: keep-alive" in turned.answer(client)


def test_who_has_just_come_is_answered_at_the_end(turned, monkeypatch):
    for name in ("_FINISH_TIME", "_LINGER_TIME"):  # however slow the clients are
        monkeypatch.setattr(clients, name, PATIENCE)
    with turned.connect() as client, turned.connect() as other:
        other.sendall(GET[:10])
        turned.turn()
        assert not turned.exporter.finish(time.monotonic())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", turned.port), timeout=PATIENCE)
        client.sendall(GET)
        assert b"Connection: close" in turned.answer(client)
        other.sendall(GET[10:])
        assert b"Connection: close" in turned.answer(other)
        assert not turned.exporter.finish(time.monotonic()), "they have not closed yet"
        assert (read_all(client), read_all(other)) == (b"", b"")
    turned.finish()


def test_what_lies_in_a_socket_is_answered_at_the_end(turned):
    with turned.connect() as client:
        ages(turned)
        client.sendall(GET)
        assert not turned.exporter.finish(time.monotonic())
        assert b"Connection: close" in turned.answer(client)
    turned.finish()


def test_who_is_quiet_is_not_waited_for(turned):
    with turned.connect() as client:
        ages(turned)
        assert not turned.exporter.finish(time.monotonic())
        turned.turn()
        assert turned.exporter.finish(time.monotonic())
        assert read_all(client) == b""


@pytest.mark.parametrize("sent", [GET[:10], GET])
def test_nobody_is_waited_for_forever(turned, monkeypatch, sent):
    """Neither who goes on sending, nor who does not close."""
    monkeypatch.setattr(clients, "_LINGER_TIME", 60.0)
    with turned.connect() as client:
        client.sendall(sent)
        turned.finish()
        with pytest.raises(OSError):  # noqa: PT012
            for _ in range(1000):
                client.sendall(b"x")
                time.sleep(0.01)
