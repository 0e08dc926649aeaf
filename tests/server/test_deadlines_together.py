"""Deadlines where one thing that is waited for gives way to another, and where the loop was busy.

Each of them for itself: test_timeouts.py, test_limits.py.
"""

from __future__ import annotations

import threading
import time

import pytest

from tests.patience import PATIENCE
from tests.server.apps import answer, body_of, eventually, hello
from tests.server.inside import inside, wait_for
from tests.server.raw import request

KERNEL = 16 * 1024 * 1024  # more than what the sockets of both sides hold


async def much(scope, receive, send):
    await answer(send, b"x" * KERNEL)


# responses that leave late


@pytest.mark.parametrize("write_timeout", [0, 600])
def test_a_drain_ends_when_a_slow_client_has_its_last_response(connect, serve, write_timeout):
    """The response had left the application, and its head the server, before the drain began."""
    server = serve(much, write_timeout=write_timeout)
    client = connect(server, receive_buffer=4096)
    client.request()
    wait_for(server, requests_handled=1, requests_active=0)
    idle = threading.Event()
    inside(server, lambda core: core.drain(idle.set, 2.0))
    assert not idle.is_set()
    assert len(client.response().body) == KERNEL
    assert client.ended()
    assert idle.wait(PATIENCE)


def test_a_head_behind_a_response_that_leaves_late_has_its_deadline(connect, logged):
    """Also where the access log waits for the response's last byte."""
    server = logged(much, request_head_timeout=3, keep_alive_timeout=600, write_high_water=KERNEL)
    client = connect(server, receive_buffer=4096)
    client.request()
    wait_for(server, requests_handled=1, requests_active=0)
    client.send(b"GET / HTTP/1.1\r\nHost:")
    eventually(lambda: server.counters()["heads"] == 1)
    assert len(client.response().body) == KERNEL
    assert client.response().status == 408
    assert client.ended()


# one request after another


@pytest.mark.slow
def test_the_rest_of_each_body_has_its_own_deadline(connect):
    """Although the next request's head comes together with the end of the rest."""
    client = connect(hello, keep_alive_timeout=6, request_body_timeout=6)
    post = request("/", "Content-Length: 10", method="POST")
    client.send(post + b"12345")
    for _ in range(4):
        assert client.response().body == b"hello"
        time.sleep(2)
        client.send(b"67890" + post + b"12345")
    client.send(b"67890")
    assert client.response().body == b"hello"


# a loop that was busy


class Blocking:
    """Answers, but for /block: there it keeps the event loop until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["path"] == "/block":
            self.entered.set()
            assert self.leave.wait(PATIENCE)
        await answer(send, await body_of(receive) or b"empty")

    def hold(self, client, seconds: float, meanwhile) -> None:
        """Keep the loop so long, by a request of this client; `meanwhile` does something."""
        client.request("/block")
        assert self.entered.wait(PATIENCE)
        meanwhile()
        time.sleep(seconds)
        self.leave.set()


@pytest.mark.slow
def test_what_came_in_time_is_served_though_the_loop_was_busy(connect, serve):
    """Deadlines are judged by what has come, not by what the loop had time to read."""
    app = Blocking()
    server = serve(
        app,
        keep_alive_timeout=5,
        request_head_timeout=5,
        request_body_timeout=5,
        min_body_rate=1000,
        min_body_rate_grace=5,
    )
    busy, idle, in_head, in_body = (connect(server) for _ in range(4))
    in_body.send(request("/", "Content-Length: 10", method="POST") + b"12345")
    in_head.send(b"GET / HTTP/1.1\r\n")
    assert idle.ask().body == b"empty"
    wait_for(server, requests_active=1)
    eventually(lambda: server.counters()["heads"] == 1)

    def go_on() -> None:
        idle.request()
        in_head.send(b"Host: test\r\n\r\n")
        in_body.send(b"67890")

    app.hold(busy, 7, go_on)
    assert busy.response().body == b"empty"
    assert idle.response().body == b"empty"
    assert in_head.response().body == b"empty"
    assert in_body.response().body == b"1234567890"
