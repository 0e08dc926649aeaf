"""Overload of a real server: its own endpoints answer even then, and a stop serves what waits."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.arbiter.asking import until
from tests.arbiter.measuring import METRICS, Measured
from tests.server.raw import Client, request

APPS = Path(__file__).parent
UPLOAD = request("/", "Content-Length: 2", method="POST")


class Overloaded:
    """A server with one place, which `first` has until it sends the rest of its body."""

    def __init__(self, run_granite, *options: str) -> None:
        self.granite = run_granite(
            *("apps:upload", "--backpressure", "1", *METRICS, *options), cwd=APPS
        )
        self.server = Measured(self.granite)
        self.clients: list[Client] = []
        self.first = self.connect()
        self.first.send(UPLOAD + b"x")
        self.granite.wait_for("request begun")

    def connect(self) -> Client:
        self.clients.append(Client("127.0.0.1", self.granite.port))
        return self.clients[-1]

    def answers(self) -> bool:
        return all(
            self.server.get(path).status_code == 200 for path in ("/healthz", "/readyz", "/metrics")
        )


@pytest.fixture
def overload(run_granite) -> Iterator:
    made: list[Overloaded] = []

    def start(*options: str) -> Overloaded:
        made.append(Overloaded(run_granite, *options))
        return made[-1]

    yield start
    for overloaded in made:
        for client in overloaded.clients:
            client.close()


def test_what_waits_is_served_at_the_stop(overload):
    overloaded = overload()
    second = overloaded.connect()
    second.send(UPLOAD + b"xx")
    until(lambda: overloaded.server.value("requests_waiting") == 1)
    assert overloaded.server.value("requests_active") == 1
    assert overloaded.answers()
    overloaded.granite.signal(signal.SIGTERM)
    overloaded.first.send(b"x")
    for client in (overloaded.first, second):
        assert client.response().body == b"uploaded"
    assert overloaded.granite.wait() == 0


def test_what_is_rejected_is_counted(overload):
    overloaded = overload("--overload", "reject")
    client = overloaded.connect()
    for _ in range(20):
        assert client.ask().status == 503
    until(lambda: overloaded.server.value("rejections", reason="overload") == 20)
    assert overloaded.server.value("requests_handled") == 1
    assert overloaded.answers()
    overloaded.first.send(b"x")
    assert overloaded.first.response().status == 200
    client.send(UPLOAD + b"xx")
    assert client.response().status == 200


def test_settings_that_need_backpressure(run_granite):
    granite = run_granite("apps:plain", "--overload", "reject", "--max-queue-time", "1s", cwd=APPS)
    assert granite.stop() == 0
    for name in ("overload", "max_queue_time"):
        assert f"{name}: has no effect without backpressure" in granite.output
