"""How calls end: clients that leave, and close(), which is called exactly once."""

from __future__ import annotations

import gc
import socket
import weakref

import pytest

from granite._core.exchange import ClientDisconnected
from tests.server.apps import Seen, eventually
from tests.server.raw import request
from tests.server.wsgi.apps import PLAIN, Closing, Gate, returning

# close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("pieces", [[], [b""], [b"one", b"two"]], ids=repr)
@pytest.mark.parametrize("length", [None, "6"])
def test_close_is_called_once(connect, method, pieces, length):
    made = []

    def app(environ, start_response):
        made.append(Closing(pieces))
        complete = length is not None and len(pieces) == 2
        start_response("200 OK", [("Content-Length", length)] if complete else PLAIN)
        return made[-1]

    client = connect(app)
    for _ in range(3):
        assert client.ask(method=method).status == 200
        eventually(lambda: made[-1].closed)
    assert [result.closed for result in made] == [1] * 3


def test_close_is_called_when_the_response_is_over(connect):
    """And before the next call begins, with one thread."""
    seen = Seen()

    class Result(Closing):
        def close(self):
            super().close()
            seen.put(("closed", self.given))

    client = connect(returning(lambda environ: Result([b"one", b"two"])))
    client.ask()
    assert seen.get() == ("closed", 2)


def test_close_of_a_generator(connect):
    seen = Seen()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        try:
            yield b"one"
            yield b"never asked for" if environ["REQUEST_METHOD"] == "HEAD" else b""
            seen.put("ended")
        except GeneratorExit:
            seen.put("closed")
            raise

    client = connect(app)
    assert client.ask().body == b"one"
    assert seen.get() == "ended"
    client.ask(method="HEAD")
    assert seen.get() == "closed"


def test_what_can_be_iterated_over_but_not_closed_twice(connect, serve):
    """What is closed is what was returned, not what iter() has made of it."""

    class Both:
        def __init__(self):
            self.closed = 0
            self.iterator = Closing([b"one"])

        def __iter__(self):
            return self.iterator

        def close(self):
            self.closed += 1

    result = Both()
    assert connect(returning(lambda environ: result)).ask().body == b"one"
    eventually(lambda: result.closed)
    assert (result.closed, result.iterator.closed) == (1, 0)


# clients that leave


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_leaves_while_it_is_waited_for(connect, serve, leave):
    """The response is suspended: it ends at once."""
    result = Closing([bytes(65536)] * 1000)
    server = serve(returning(lambda environ: result), write_high_water=65536)
    client = connect(server, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    getattr(client, leave)()
    eventually(lambda: result.closed)
    eventually(lambda: server.counters()["running"] == 0)
    assert result.closed == 1
    assert result.given < 1000
    assert server.exceptions == []


def test_a_client_that_leaves_between_two_pieces(connect, serve):
    gate = Gate()

    def pieces():
        for number in range(100_000):
            if number == 1:
                gate.wait()
            yield bytes(1000)

    result = Closing(pieces())
    server = serve(returning(lambda environ: result))
    client = connect(server)
    client.request()
    client.until(b"\r\n\r\n")
    gate.reach()
    client.reset()
    gate.open()
    eventually(lambda: result.closed)
    assert result.closed == 1
    assert server.exceptions == []


def test_a_client_that_leaves_while_write_waits(connect, serve):
    seen = Seen()

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        try:
            while True:
                write(bytes(65536))
        except OSError as exc:
            seen.put(type(exc))
            with pytest.raises(OSError, match="disconnected"):
                write(b"more")
            raise

    server = serve(app, write_high_water=65536)
    client = connect(server, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    client.close()
    assert seen.get() is ClientDisconnected
    eventually(lambda: server.counters()["running"] == 0)
    assert server.exceptions == []


@pytest.mark.parametrize("threads", [1], indirect=True)
def test_a_client_that_leaves_while_its_call_waits_for_its_turn(connect, serve):
    """Nobody is called for it."""
    called = Seen()

    def app(environ, start_response):
        called.put(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/first":
            environ["wsgi.input"].read()
        start_response("200 OK", PLAIN)
        return []

    server = serve(app, body_high_water=1024)
    first, second, third = (connect(server) for _ in range(3))
    first.send(request("/first", "Content-Length: 2000", method="POST") + bytes(1024))
    assert called.get() == "/first"
    second.request("/second")
    eventually(lambda: server.counters()["running"] == 2)
    second.reset()
    eventually(lambda: server.counters()["connections"] == 2)
    first.send(bytes(976))
    assert first.response().status == 200
    assert third.ask("/third").status == 200
    assert called.get() == "/third"
    assert server.exceptions == []


# what is left


def test_nothing_is_left_of_a_request(connect, serve):
    """Once its call is over; while the server goes on."""

    class Big:
        pass

    left = []

    def app(environ, start_response):
        big = environ["big"] = Big()
        left.append(weakref.ref(big))
        start_response("200 OK", PLAIN)(b"zero")
        return iter([b"one"]) if environ["PATH_INFO"] == "/iterate" else [b"one"]

    server = serve(app)
    client = connect(server)
    for path in ("/", "/iterate", "/"):
        client.ask(path)

    def is_over():
        gc.collect()
        return [ref() for ref in left] == [None] * 3

    eventually(is_over)
    eventually(lambda: server.counters()["exchanges"] == 0)


def test_a_client_that_only_ends_its_half_is_answered(connect):
    gate = Gate()

    def app(environ, start_response):
        gate.wait()
        start_response("200 OK", PLAIN)
        yield b"one"
        gate.wait()
        yield b"two"

    client = connect(app)
    client.request()
    gate.reach()
    client.sock.shutdown(socket.SHUT_WR)
    gate.open()
    client.until(b"\r\n\r\n")
    gate.reach()
    gate.open()
    assert client.rest() == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
