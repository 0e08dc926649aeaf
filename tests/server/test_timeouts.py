"""Deadlines of a request's body, of writes, and of a whole connection, each on both sides of it.

Those of heads and idle connections are in test_limits.py, that of whole requests in
test_timeouts_request.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.patience import PATIENCE
from tests.server.apps import (
    Gate,
    Seen,
    answer,
    body,
    body_of,
    echo_body,
    eventually,
    held_up,
    hello,
    start,
)
from tests.server.inside import counted, wait_for
from tests.server.loops import both_loops
from tests.server.raw import chunked, request

MIB = 1024 * 1024
KERNEL = 16 * MIB  # more than what the sockets of both sides hold


def post(size: int) -> bytes:
    return request("/", f"Content-Length: {size}", method="POST")


def refused(client, status=408):
    response = client.response()
    return (response.status, response.get("connection"), client.gone()) == (status, "close", True)


def cut(client) -> bool:
    """Whether the connection ends, in whichever way."""
    try:
        client.rest()
    except OSError:
        return True
    return True


# bodies


@both_loops
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_that_stops_is_a_408(connect, serve, coding, log):
    seen = Seen()

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            seen.put(message["body"])
        seen.put(message["type"])
        try:
            await send(start())
        except OSError as exc:
            seen.put(type(exc).__name__)

    server = serve(app, request_body_timeout=0.3)
    client = connect(server)
    began = time.monotonic()
    if coding == "length":
        client.send(post(10) + b"12345")
    else:
        client.send(request("/", "Transfer-Encoding: chunked", method="POST") + b"a\r\n12345")
    assert refused(client)
    assert 0.25 < time.monotonic() - began < PATIENCE
    assert [seen.get() for _ in range(3)] == [b"12345", "http.disconnect", "ClientDisconnected"]
    assert [message for message in log.messages if "408" in message and "0.3 s" in message]
    assert counted(server)["rejected_body_timeout"] == 1


def test_a_body_that_stops_is_a_408_for_an_application_that_does_not_read(connect):
    async def app(scope, receive, send):
        await asyncio.sleep(3)

    client = connect(app, request_body_timeout=0.2, graceful_timeout=0.05)
    client.send(post(10) + b"12345")
    assert refused(client)


def test_each_byte_of_a_body_puts_its_deadline_off(connect):
    client = connect(echo_body, request_body_timeout=4, min_body_rate=0)
    client.send(post(9))
    for _ in range(9):
        assert client.silent(0.5)
        client.send(b"x")
    assert client.response().body == b"x" * 9


@pytest.mark.slow
def test_a_pause_that_the_application_makes_does_not_count(connect):
    gate, rest = Gate(), Gate()

    async def app(scope, receive, send):
        data = b""
        await gate.wait()
        while len(data) < 6000:
            data += (await receive())["body"]
        await rest.wait()
        await answer(send, data + await body_of(receive))

    client = connect(app, request_body_timeout=4, min_body_rate_grace=4, body_high_water=1024)
    client.send(post(10_000) + b"x" * 5000)
    assert gate.reached.wait(PATIENCE)
    assert client.silent(5)
    client.send(b"x" * 3000)
    gate.open()
    assert rest.reached.wait(PATIENCE)
    client.send(b"x" * 2000)
    assert client.silent(5)
    rest.open()
    assert client.response().body == b"x" * 10_000


def test_after_such_a_pause_the_client_has_its_time_again(connect):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        await echo_body(scope, receive, send)

    client = connect(app, request_body_timeout=0.4, body_high_water=1024)
    client.send(post(10_000) + b"x" * 5000)
    assert client.silent(0.6)
    began = time.monotonic()
    gate.open()
    assert refused(client)
    assert time.monotonic() - began > 0.3


def test_a_client_that_waits_to_be_asked_for_its_body_is_not_slow(connect):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        await echo_body(scope, receive, send)

    client = connect(app, request_body_timeout=0.3, min_body_rate_grace=0.3)
    client.request("/", "Expect: 100-continue", "Content-Length: 5", method="POST")
    assert client.silent(0.9)
    gate.open()
    assert client.response().status == 100
    assert refused(client)


def test_a_body_below_the_least_rate_is_a_408(connect, log):
    client = connect(echo_body, min_body_rate=1000, min_body_rate_grace=0.5)
    began = time.monotonic()
    client.send(post(100_000))
    with contextlib.suppress(OSError):
        while client.silent(0.05):
            client.send(b"x" * 10)
            assert time.monotonic() - began < PATIENCE
    assert client.response().status == 408
    assert time.monotonic() - began > 0.45
    assert [message for message in log.messages if "1000 bytes per second" in message]


def test_a_body_above_the_least_rate_is_served(connect):
    client = connect(echo_body, min_body_rate=200, min_body_rate_grace=0.3)
    client.send(post(15 * 2000) + b"x" * 2000)
    for _ in range(14):
        assert client.silent(0.1)
        client.send(b"x" * 2000)
    assert client.response().body == b"x" * 30_000


def test_a_client_that_was_fast_may_pause(connect):
    client = connect(echo_body, min_body_rate=1000, min_body_rate_grace=0.2, request_body_timeout=9)
    client.send(post(9000) + b"x" * 8999)
    assert client.silent(1.2)
    client.send(b"x")
    assert client.response().body == b"x" * 9000


def test_a_client_that_was_fast_may_not_be_slow_for_ever(connect):
    """What it has sent in advance counts for no more than the longest pause."""
    client = connect(
        echo_body, min_body_rate=1000, min_body_rate_grace=0.2, request_body_timeout=0.5
    )
    began = time.monotonic()
    client.send(post(100_000) + b"x" * 60_000)
    with contextlib.suppress(OSError):
        while client.silent(0.1):
            client.send(b"x")
            assert time.monotonic() - began < PATIENCE
    assert client.response().status == 408


def test_the_rate_is_one_of_each_body(connect):
    client = connect(echo_body, min_body_rate=1000, min_body_rate_grace=5)
    for _ in range(4):
        client.send(post(10) + b"12345")
        assert client.silent(1.5)
        client.send(b"67890")
        assert client.response().body == b"1234567890"


def test_deadlines_of_bodies_can_be_switched_off(connect):
    client = connect(echo_body, request_body_timeout=0, min_body_rate=0)
    client.send(post(10) + b"12345")
    assert client.silent(0.8)
    client.send(b"67890")
    assert client.response().body == b"1234567890"


def test_a_body_that_stops_cuts_a_response_that_has_begun(connect):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"begun", more=True))
        await body_of(receive)

    client = connect(app, request_body_timeout=0.3)
    client.send(post(10) + b"12345")
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert client.rest() == b"5\r\nbegun\r\n"


def test_a_body_that_stops_cuts_a_response_that_only_the_end_would_end(connect):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"begun", more=True))
        await body_of(receive)

    client = connect(app, request_body_timeout=0.3)
    client.send(b"POST / HTTP/1.0\r\nContent-Length: 10\r\n\r\n12345")
    client.until(b"begun")
    with pytest.raises(OSError):
        client.rest()


def test_the_rest_of_a_body_that_nobody_reads_does_not_keep_the_connection(connect):
    client = connect(hello, keep_alive_timeout=0, request_body_timeout=0.3)
    client.send(post(10) + b"12345")
    assert client.response().body == b"hello"
    assert client.gone()


# writes


@both_loops
@pytest.mark.parametrize("piece", [65536, KERNEL])
def test_a_client_that_takes_nothing_is_cut(connect, serve, log, piece):
    seen = Seen()

    async def app(scope, receive, send):
        await send(start())
        try:
            for _ in range(KERNEL // piece):
                await send(body(b"x" * piece, more=True))
            await send(body(b"x", more=True))
        except OSError as exc:
            seen.put(type(exc).__name__)

    server = serve(app, write_timeout=0.5)
    client = connect(server, receive_buffer=4096)
    began = time.monotonic()
    client.request()
    assert seen.get() == "ClientDisconnected"
    assert time.monotonic() - began > 0.45
    eventually(lambda: not server.counters()["buffers"])
    eventually(lambda: not server.counters()["connections"])
    assert [message for message in log.messages if "0.5 s" in message]
    assert counted(server)["rejected_write_timeout"] == 1
    assert cut(client)


@pytest.mark.parametrize("field", ["Connection: keep-alive", "Connection: close"])
def test_a_client_that_takes_nothing_of_a_complete_response_is_cut(connect, serve, field):
    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"%d" % KERNEL)))
        await send(body(b"x" * KERNEL))

    server = serve(app, write_timeout=0.5, keep_alive_timeout=0.2)
    client = connect(server, receive_buffer=4096)
    client.request("/", field)
    wait_for(server, requests_handled=1)
    eventually(lambda: not server.counters()["connections"])
    assert cut(client)


def test_a_client_that_pipelines_and_takes_nothing_is_cut(connect, serve):
    """Whatever it sends: that does not count as taking."""

    async def app(scope, receive, send):
        await answer(send, b"x" * KERNEL)

    server = serve(app, write_timeout=0.5)
    client = connect(server, receive_buffer=4096)
    client.request()
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(OSError):
        while server.counters()["connections"]:
            assert time.monotonic() < deadline
            client.send(b"GET / HTTP/1.1\r\n")
            time.sleep(0.1)


@pytest.mark.slow
def test_a_client_that_takes_little_is_served(connect):
    """However little: the kernel's buffers do not hide it."""

    async def app(scope, receive, send):
        await answer(send, b"x" * KERNEL)

    client = connect(app, receive_buffer=4096, write_timeout=5, keep_alive_timeout=0.2)
    client.request()
    began = time.monotonic()
    while time.monotonic() - began < 7:
        client.read(4000)
        time.sleep(0.05)
    client.until(b"x" * 1000)
    while len(client.sock.recv(MIB)) > 0:
        pass


def test_a_response_that_has_not_left_is_not_idle(connect):
    async def app(scope, receive, send):
        await answer(send, b"x" * KERNEL)

    client = connect(app, receive_buffer=4096, keep_alive_timeout=0.2)
    client.request()
    time.sleep(1)
    assert len(client.response().body) == KERNEL
    assert client.ended()


def test_the_deadline_of_writes_can_be_switched_off(connect):
    async def app(scope, receive, send):
        await answer(send, b"x" * KERNEL)

    client = connect(app, receive_buffer=4096, write_timeout=0)
    client.request()
    time.sleep(1)
    assert len(client.response().body) == KERNEL


# connections


@both_loops
def test_a_connection_of_age_is_closed_when_it_is_idle(connect, serve):
    server = serve(hello, connection_timeout=3)
    began = time.monotonic()
    fresh, used = connect(server), connect(server)
    assert used.ask().get("connection") is None
    assert used.ended()
    assert fresh.ended()
    assert time.monotonic() - began > 2.95


def test_a_connection_of_age_ends_with_the_request_in_progress(connect):
    gate = Gate()
    app = held_up(gate, b"late")
    client = connect(app, connection_timeout=3)
    client.send(request("/") + request("/behind"))
    assert client.silent(3.6)
    gate.open()
    response = client.response()
    assert (response.body, response.get("connection")) == (b"late", "close")
    assert client.gone()


def test_a_connection_of_age_ends_with_the_head_in_progress(connect):
    client = connect(hello, connection_timeout=3)
    client.send(b"GET / HTTP/1.1\r\n")
    assert client.silent(3.6)
    client.send(b"Host: test\r\n\r\n")
    assert client.response().get("connection") == "close"
    assert client.ended()


def test_a_connection_of_age_completes_its_response(connect):
    gate = Gate()

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"first", more=True))
        await gate.wait()
        await send(body(b"last"))

    client = connect(app, connection_timeout=3)
    client.request()
    time.sleep(3.6)
    gate.open()
    assert client.response().body == b"firstlast"
    assert client.ended()


def test_a_busy_connection_ends_at_its_age(connect, serve):
    server = serve(hello, connection_timeout=0.5)
    told = None
    for _ in range(20):  # until this client never stands still for half a second
        began = asked = time.monotonic()
        client = connect(server)
        try:
            while told is None:
                before, asked = asked, time.monotonic()
                told = client.ask().get("connection")
            break
        except (AssertionError, OSError):
            assert time.monotonic() - before > 0.45
    assert told == "close"
    assert time.monotonic() - began > 0.45
    assert client.ended()


def test_chunked_bodies_are_counted_with_their_framing(connect, serve):
    """Here that is 600 bytes, enough for six seconds, and not 100."""
    server = serve(echo_body, min_body_rate=100, min_body_rate_grace=3)
    client = connect(server)
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    wait_for(server, requests_active=1)  # what comes with the head counts without it
    client.send(b"1\r\nx\r\n" * 100)
    assert client.silent(4.5)
    client.send(chunked())
    assert client.response().body == b"x" * 100
