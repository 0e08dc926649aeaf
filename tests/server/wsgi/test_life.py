"""What goes on around calls: limits, deadlines, the drain, the access log, and the counters."""

from __future__ import annotations

import contextlib
import threading

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Seen, eventually
from tests.server.inside import counted
from tests.server.logged import Logged
from tests.server.raw import request
from tests.server.wsgi.apps import PLAIN, Closing, Gate, answering, returning

# the access log


@pytest.fixture
def logged(serve, tmp_path):
    logged = Logged(serve, tmp_path / "log")
    yield logged
    logged.restore()


def test_access_log(connect, logged):
    form = "%(m)s %(U)s %(q)s %(s)s %(B)s %({x-a}i)s %({x-b}o)s"
    server = logged(answering(b"one", headers=[("X-B", "two")]), access_log_fmt=form)
    connect(server).ask("/path?query", "X-A: a")
    assert logged.line() == "GET /path query 200 3 a two"


def test_the_access_log_of_failures(connect, logged):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/before":
            raise ValueError("asked for")
        start_response("200 OK", PLAIN)
        yield b"one"
        raise ValueError("asked for")

    server = logged(app, access_log_fmt="%(U)s %(s)s %(B)s")
    client = connect(server)
    client.ask("/before")
    client.request("/behind")
    client.rest()
    assert logged.lines(2) == ["/before 500 21", "/behind 200 3"]


# limits


def test_what_finds_no_place_waits(connect, serve):
    gate = Gate()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/stands":
            gate.wait()
        start_response("200 OK", PLAIN)
        return [environ["PATH_INFO"].encode()]

    server = serve(app, backpressure=1)
    first, second = connect(server), connect(server)
    first.request("/stands")
    gate.reach()
    second.request("/waits")
    if server.config.blocking_threads != 1:
        eventually(lambda: server.counters()["waiting"] == 1)
    gate.open()
    assert first.response().body == b"/stands"
    assert second.response().body == b"/waits"


def test_what_finds_no_place_is_turned_away(connect, serve):
    """With one thread those that suspend are in their places, and the reactor is free."""
    pieces = Closing([bytes(65536)] * 1000)
    server = serve(
        returning(lambda environ: pieces),
        backpressure=1,
        overload="reject",
        write_high_water=65536,
    )
    slow = connect(server, receive_buffer=4096)
    slow.request()
    slow.until(b"\r\n\r\n")
    assert connect(server).ask().status == 503
    slow.close()
    eventually(lambda: server.counters()["running"] == 0)


# request_timeout


def test_a_call_that_takes_too_long(connect, serve, log, threads):
    """Its client gets a 504. Nothing can end the call: it goes on, and what it makes is dropped."""
    gate = Gate()
    result = Closing([b"too late"])

    def app(environ, start_response):
        body = environ["wsgi.input"].read(1024)  # with one thread, the reactor gets its turns
        try:
            body += environ["wsgi.input"].read()
        except OSError:
            gate.wait()
            raise
        start_response("200 OK", PLAIN)
        return result

    server = serve(app, request_timeout=3, request_timeout_grace=0.1, body_high_water=1024)
    client = connect(server)
    client.send(request("/", "Content-Length: 2000", method="POST") + bytes(1024))
    assert client.response().status == 504
    gate.reach()
    if threads > 1:
        eventually(lambda: any("goes on" in message for message in log.messages))
        assert not any("is cancelled" in message for message in log.messages)
    gate.open()
    eventually(lambda: server.counters()["running"] == 0)
    assert server.exceptions == []
    assert counted(server)["rejected_request_timeout"] == 1


@pytest.mark.parametrize("threads", [4], indirect=True)
def test_a_call_that_answers_too_late(connect, serve, log):
    """What it raises behind the 504 is logged; what it answers reaches nobody."""
    gate = Gate()
    result = Closing([b"too late"])

    def app(environ, start_response):
        gate.wait()
        start_response("200 OK", PLAIN)
        return result

    server = serve(app, request_timeout=3, request_timeout_grace=0.1)
    client = connect(server)
    client.request()
    gate.reach()
    assert client.response().status == 504
    assert client.ended()
    gate.open()
    eventually(lambda: server.counters()["running"] == 0)
    assert result.closed == 1
    assert server.exceptions == []


def test_a_suspended_response_that_takes_too_long(connect, serve):
    pieces = Closing([bytes(65536)] * 1000)
    server = serve(returning(lambda environ: pieces), request_timeout=3, write_high_water=65536)
    client = connect(server, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    eventually(lambda: pieces.closed)
    eventually(lambda: server.counters()["running"] == 0)
    assert pieces.closed == 1
    assert server.exceptions == []


# the end of the server


def stopping(server):
    """A thread that stops the server."""
    thread = threading.Thread(target=server.stop)
    thread.start()
    return thread


def test_a_drain_waits_for_calls(connect, serve, threads):
    """And tells applications that ask, which takes a thread besides theirs."""
    gate = Gate()

    def app(environ, start_response):
        gate.wait()
        if threads > 1:
            assert environ["granite.stopping"].wait(PATIENCE)
        start_response("200 OK", PLAIN)
        yield b"one "
        yield b"two"

    server = serve(app, graceful_timeout=60.0)
    client = connect(server)
    client.request()
    gate.reach()
    ended = stopping(server)
    gate.open()
    response = client.response()
    assert response.body == b"one two"
    assert client.ended()
    ended.join(PATIENCE)


@pytest.mark.parametrize("way", ["suspended", "body"])
def test_a_drain_that_takes_too_long_ends_what_waits_for_a_client(connect, serve, way):
    seen = Seen()
    pieces = Closing([bytes(65536)] * 1000)

    def app(environ, start_response):
        if way == "suspended":
            start_response("200 OK", PLAIN)
            seen.put("called")
            return pieces
        environ["wsgi.input"].read(1024)
        seen.put("called")
        try:
            environ["wsgi.input"].read()
        except OSError as exc:
            seen.put(str(exc))
            raise
        return []

    server = serve(app, graceful_timeout=0.5, body_high_water=1024, write_high_water=65536)
    client = connect(server, receive_buffer=4096)
    client.send(request("/", "Content-Length: 2000", method="POST") + bytes(1024))
    if way == "suspended":
        client.until(b"\r\n\r\n")
    assert seen.get() == "called"
    server.stop()
    if way == "suspended":
        eventually(lambda: pieces.closed)
        assert pieces.closed == 1
    else:
        assert "disconnected" in seen.get()


@pytest.mark.parametrize("threads", [4], indirect=True)
@pytest.mark.parametrize("way", ["application", "write", "body"])
def test_the_server_ends_while_threads_are_busy(connect, serve, way):
    """Those that wait for a client are told; one that runs the application's code is let go."""
    gate, seen = Gate(), Seen()

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        seen.put("called")
        try:
            if way == "application":
                gate.wait()
            elif way == "body":
                environ["wsgi.input"].read()
            else:
                while True:
                    write(bytes(65536))
            write(b"more")
        except OSError:
            seen.put("told")
            raise
        finally:
            seen.put("ended")
        return []

    server = serve(app, graceful_timeout=0.5, body_high_water=1024, write_high_water=65536)
    clients = [connect(server, receive_buffer=4096) for _ in range(4)]
    for client in clients:
        client.send(request("/", "Content-Length: 2000", method="POST") + bytes(1024))
    assert [seen.get() for _ in clients] == ["called"] * 4
    if way == "application":
        for _ in clients:
            gate.reach()
        ended = stopping(server)
        for client in clients:
            with contextlib.suppress(ConnectionResetError):
                client.rest()
        for _ in clients:
            gate.open()
        ended.join(PATIENCE)
    else:
        server.stop()
    assert sorted(seen.get() for _ in range(8)) == ["ended"] * 4 + ["told"] * 4
    assert server.exceptions == []


def test_a_server_that_ends_with_calls_that_have_not_begun(connect, serve, threads):
    """Their clients are cut off, as the drain's time is up, and nothing is left of them."""
    gate = Gate()

    def app(environ, start_response):
        gate.wait()
        start_response("200 OK", PLAIN)
        return [b"one"]

    server = serve(app, graceful_timeout=0.3)
    clients = [connect(server) for _ in range(threads + 3)]
    for client in clients:
        client.request()
    for _ in range(threads):
        gate.reach()
    ended = stopping(server)
    for _ in clients:
        gate.open()
    ended.join(PATIENCE)
