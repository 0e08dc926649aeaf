"""Limits of a request's head, and the deadlines of a connection."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, answer, echo_body, echo_path, hello
from tests.server.loops import both_loops
from tests.server.raw import request


def refused(client, status):
    response = client.response()
    return (response.status, response.get("connection"), client.gone()) == (status, "close", True)


def test_a_head_within_the_limit_is_served(connect):
    client = connect(hello, max_head_size=2000)
    for _ in range(2):
        assert client.ask("/", "X-Long: " + "x" * 1900).status == 200
        assert client.ask("/" + "x" * 1900).status == 200


@pytest.mark.parametrize("split", ["whole", "pieces"])
@pytest.mark.parametrize(
    "fields",
    [
        ["X-Long: " + "x" * 2000],
        ["X" * 2000 + ": x"],
        [f"X-{number}: 1234567890" for number in range(200)],
        ["a:"] * 1000,
        ["a:" + " " * 200_000 + "b"],
    ],
    ids=["value", "name", "many", "tiny", "white space"],
)
def test_fields_above_the_limit_are_a_431(connect, fields, split):
    client = connect(hello, max_head_size=2000)
    data = request("/", *fields)
    step = len(data) if split == "whole" else 500
    with contextlib.suppress(ConnectionError):  # the answer need not wait for the end
        for at in range(0, len(data), step):
            client.send(data[at : at + step])
    assert refused(client, 431)


def test_a_head_that_never_ends_is_a_431(connect):
    client = connect(hello, max_head_size=2000)
    client.send(b"GET / HTTP/1.1\r\nHost: test\r\nX-Endless: " + b"x" * 3000)
    assert refused(client, 431)


def test_a_target_above_the_limit_is_a_414(connect):
    client = connect(hello, max_head_size=2000)
    client.request("/" + "x" * 2000)
    assert refused(client, 414)


def test_the_limit_is_one_of_each_request(connect):
    client = connect(echo_path, max_head_size=2000)
    paths = [f"/{number}/" + "x" * 700 for number in range(10)]
    client.send(b"".join(map(request, paths)))
    for path in paths:
        assert client.response().body == path.encode()


def test_the_default_limit_is_64_kib(connect, serve):
    server = serve(hello)
    assert connect(server).ask("/", "X-Long: " + "x" * 60_000).status == 200
    client = connect(server)
    client.request("/", "X-Long: " + "x" * 70_000)
    assert refused(client, 431)


def test_a_refused_request_is_logged_in_one_line(connect, log):
    client = connect(hello, max_head_size=2000)
    client.request("/" + "x" * 2000)
    assert refused(client, 414)
    (record,) = log.records
    assert record.name == "granite.error"
    assert record.levelname == "INFO"
    assert "414" in record.getMessage()
    assert "\n" not in record.getMessage()


@both_loops
def test_a_head_that_takes_too_long_is_a_408(connect):
    began = time.monotonic()
    client = connect(hello, request_head_timeout=3)
    client.send(b"GET / HTTP/1.1\r\nHost:")
    assert refused(client, 408)
    assert 2.95 < time.monotonic() - began < PATIENCE


def test_a_trickle_does_not_extend_the_deadline_of_a_head(connect):
    client = connect(hello, request_head_timeout=3)
    began = time.monotonic()
    client.send(b"GET / HTTP/1.1\r\n")
    while client.silent(0.05):
        assert time.monotonic() - began < PATIENCE
        client.send(b"X")
    assert client.response().status == 408


def test_a_connection_without_a_request_ends_silently(connect):
    client = connect(hello, request_head_timeout=0.2)
    assert client.ended()


def test_the_deadline_of_a_head_is_one_of_each_request(connect):
    """A client whose reads always end within a head is not slow."""
    client = connect(echo_path, request_head_timeout=4)
    data = request("/x")
    client.send(data[:9])
    for _ in range(9):
        client.send(data[9:] + data[:9])
        assert client.response().body == b"/x"
        assert client.silent(0.5)


def test_the_deadline_of_a_head_does_not_hold_for_the_body_or_the_answer(connect):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        await echo_body(scope, receive, send)

    client = connect(app, request_head_timeout=3, keep_alive_timeout=0.1)
    client.send(request("/", "Content-Length: 5", method="POST") + b"he")
    assert client.silent(3.5)
    client.send(b"l")
    gate.open()
    assert client.silent(0.1)
    client.send(b"lo")
    assert client.response().body == b"hello"


@both_loops
def test_an_idle_connection_is_closed(connect):
    client = connect(hello, keep_alive_timeout=0.2)
    began = time.monotonic()
    client.ask()
    assert client.ended()
    assert 0.15 < time.monotonic() - began < PATIENCE


def test_the_keep_alive_deadline_begins_anew_after_each_request(connect):
    client = connect(hello, keep_alive_timeout=4)
    for _ in range(9):
        assert client.ask().body == b"hello"
        assert client.silent(0.5)


def test_an_answer_that_takes_longer_than_keep_alive_is_sent(connect):
    async def app(scope, receive, send):
        await asyncio.sleep(3.5)
        await answer(send, b"late")

    client = connect(app, keep_alive_timeout=0.1, request_head_timeout=3)
    assert client.ask().body == b"late"


def test_deadlines_can_be_switched_off(connect, serve):
    server = serve(hello, keep_alive_timeout=0, request_head_timeout=0)
    fresh, slow, idle = (connect(server) for _ in range(3))
    slow.send(b"GET / HTTP/1.1\r\n")
    idle.ask()
    assert fresh.silent(0.7)
    slow.send(b"Host: test\r\n\r\n")
    for client in (fresh, idle):
        client.request()
    for client in (fresh, slow, idle):
        assert client.response().body == b"hello"
