"""wsgi.input: clients that wait to be asked for the body, and those that leave in its middle."""

from __future__ import annotations

import threading

import pytest

from granite._core.exchange import ClientDisconnected
from tests.patience import PATIENCE
from tests.server.apps import Seen, eventually
from tests.server.raw import chunked, request
from tests.server.wsgi.apps import PLAIN, Closing, Gate, echo

EXPECT = request("/", "Expect: 100-continue", "Content-Length: 3", method="POST")


# Expect: 100-continue


@pytest.mark.parametrize("way", ["read", "readline", "readlines", "iteration"])
def test_the_client_is_asked_at_the_first_read(connect, way):
    seen, gate = Seen(), Gate()

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        stream.read(0)
        gate.wait()
        body = {
            "read": stream.read,
            "readline": stream.readline,
            "readlines": lambda: stream.readlines()[0],
            "iteration": lambda: next(iter(stream)),
        }[way]()
        seen.put(stream.read())
        start_response("200 OK", PLAIN)
        return [body]

    client = connect(app)
    client.send(EXPECT)
    gate.reach()
    assert client.silent()
    gate.open()
    assert client.response().status == 100
    client.send(b"abc")
    assert client.response().body == b"abc"
    assert seen.get() == b""


def test_the_client_is_asked_once(connect):
    client = connect(echo, body_high_water=1024)
    for _ in range(2):
        client.send(
            request("/", "Expect: 100-continue", "Transfer-Encoding: chunked", method="POST")
        )
        assert client.response().status == 100
        client.send(chunked(*[bytes(1000)] * 20))
        assert client.response().body == bytes(20_000)


def test_the_client_is_not_asked_by_an_application_that_does_not_read(connect):
    """Then it must know that its body is not wanted: the connection ends."""

    def app(environ, start_response):
        start_response("413 Content Too Large", PLAIN)
        return [b"no"]

    client = connect(app)
    client.send(EXPECT)
    response = client.response()
    assert (response.status, response.body, response.get("connection")) == (413, b"no", "close")
    assert client.ended()


def test_a_client_that_does_not_wait_is_not_asked(connect):
    client = connect(echo)
    client.send(EXPECT + b"abc")
    response = client.response()
    assert (response.status, response.body) == (200, b"abc")


def test_a_client_that_does_not_know_of_it_is_not_asked(connect):
    client = connect(echo)
    client.send(EXPECT.replace(b"HTTP/1.1", b"HTTP/1.0") + b"abc")
    assert client.response().status == 200


def test_the_client_is_asked_behind_the_response_that_has_begun_by_none(connect):
    """A 100 makes no sense in the middle of a response: the body is read without."""
    seen = Seen()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"begun"
        seen.put(environ["wsgi.input"].read())
        yield b"ended"

    client = connect(app)
    client.send(EXPECT)
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert client.read(10) == b"5\r\nbegun\r\n"
    client.send(b"abc")
    assert client.read(15) == b"5\r\nended\r\n0\r\n\r\n"
    assert seen.get() == b"abc"


# clients that leave


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_leaves_before_its_body_has_come(connect, serve, leave):
    """Nobody is called for it."""
    called = Seen()

    def app(environ, start_response):
        called.put(environ["PATH_INFO"])
        return echo(environ, start_response)

    server = serve(app)
    client = connect(server)
    client.send(request("/gone", "Content-Length: 100", method="POST") + b"some")
    eventually(lambda: server.counters()["exchanges"] == 1)
    getattr(client, leave)()
    eventually(lambda: server.counters()["exchanges"] == 0)
    assert connect(server).ask("/next").status == 200
    assert called.get() == "/next"
    assert server.exceptions == []


@pytest.mark.parametrize("leave", ["close", "reset", "end"])
@pytest.mark.parametrize("way", ["read", "iteration"])
def test_a_client_that_leaves_while_its_body_is_read(connect, serve, leave, way):
    seen = Seen()

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        seen.put(len(stream.read(2048)))
        try:
            b"".join(stream) if way == "iteration" else stream.read()
        except OSError as exc:
            seen.put(type(exc))
            for again in (stream.read, stream.readline):
                with pytest.raises(OSError, match="disconnected"):
                    again()
            raise
        return []

    server = serve(app, body_high_water=2048)
    client = connect(server)
    client.send(request("/", "Content-Length: 4000", method="POST") + bytes(2048))
    assert seen.get() == 2048
    getattr(client, leave)()
    assert seen.get() is ClientDisconnected
    eventually(lambda: server.counters()["running"] == 0)
    assert server.exceptions == []  # it is not the application's fault
    if leave == "end":
        assert client.response().status == 400


def test_a_client_that_leaves_while_it_is_asked(connect, serve):
    seen = Seen()

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except OSError as exc:
            seen.put(type(exc))
            raise
        return []

    server = serve(app)
    client = connect(server)
    client.send(EXPECT)
    assert client.response().status == 100
    client.close()
    assert seen.get() is ClientDisconnected
    eventually(lambda: server.counters()["running"] == 0)


def test_a_body_that_is_malformed_in_its_middle(connect, serve):
    seen = Seen()

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        seen.put(len(stream.read(2048)))
        try:
            stream.read()
        except OSError as exc:
            seen.put(type(exc))
            raise
        return []

    client = connect(app, body_high_water=2048)
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    client.send(b"800\r\n" + bytes(2048) + b"\r\n")
    assert seen.get() == 2048
    client.send(b"nonsense\r\n")
    assert client.response().status == 400
    assert seen.get() is ClientDisconnected


def test_what_the_application_makes_of_it(connect, serve):
    """An answer to a client that has ended its half can't be told from one to somebody who has
    left: it is not sent, and is no error.
    """
    seen = Seen()

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        seen.put(len(stream.read(2048)))
        try:
            stream.read()
        except OSError:
            start_response("400 Bad Request", PLAIN)
            seen.put("answered")
            return result
        return []

    result = Closing([b"sorry"])
    server = serve(app, body_high_water=2048)
    client = connect(server)
    client.send(request("/", "Content-Length: 4000", method="POST") + bytes(2048))
    assert seen.get() == 2048
    client.close()
    assert seen.get() == "answered"
    eventually(lambda: server.counters()["running"] == 0)
    assert result.closed == 1
    assert server.exceptions == []


# reading when the call is over


def test_the_input_when_the_call_is_over(connect, serve):
    kept = []

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        if environ["PATH_INFO"] == "/read":
            stream.read()
        kept.append(stream)
        start_response("200 OK", PLAIN)
        return []

    server = serve(app)
    client = connect(server)
    for path in ("/read", "/unread"):
        client.ask(path, method="POST", body=b"abc")
    eventually(lambda: server.counters()["running"] == 0)
    read, unread = kept
    for _ in range(2):
        assert read.read() == read.readline() == b""
        assert read.readlines() == list(read) == []
    for call in (unread.read, unread.readline, unread.readlines, unread.__next__):
        with pytest.raises(OSError, match="was not read"):
            call()
    kept.clear()
    del read, unread, call


@pytest.mark.parametrize("threads", [1], indirect=True)
def test_what_has_to_be_waited_for_is_waited_for_on_the_thread_of_the_call(connect):
    """With one thread, which is the reactor's; what has come can be read anywhere."""
    seen = Seen()

    def read(stream):
        seen.put(stream.read(2048))
        try:
            seen.put(stream.read())
        except RuntimeError as exc:
            seen.put(str(exc))

    def app(environ, start_response):
        thread = threading.Thread(target=read, args=(environ["wsgi.input"],))
        thread.start()
        thread.join(PATIENCE)
        start_response("200 OK", PLAIN)
        return []

    client = connect(app, body_high_water=2048)
    client.send(request("/", "Content-Length: 4000", method="POST") + bytes(2048))
    assert seen.get() == bytes(2048)
    assert "on the thread of the call" in seen.get()
    assert client.response().status == 200
