"""Applications that fail: what their clients see, and the log."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.apps import eventually
from tests.server.raw import request
from tests.server.wsgi.apps import PLAIN, Closing, returning


class Failing(Exception):  # noqa: N818
    """The application's."""


def fails(*pieces):
    """An iterator that raises behind these pieces."""
    yield from pieces
    raise Failing("asked for")


# exceptions


def test_an_exception_before_anything(connect, serve, log):
    def app(environ, start_response):
        raise Failing("asked for")

    server = serve(app)
    client = connect(server)
    for _ in range(2):
        response = client.ask("/a%20b")
        assert (response.status, response.body) == (500, b"Internal Server Error")
    assert [type(exc) for exc in server.exceptions] == [Failing] * 2
    assert log.messages.count("exception in the application: GET /a%20b") == 2


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_exceptions_that_are_none(connect, serve, kind):
    """They end the call, not the server."""

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/raise":
            raise kind("asked for")
        start_response("200 OK", PLAIN)
        return [b"fine"]

    server = serve(app)
    client = connect(server)
    assert client.ask("/raise").status == 500
    assert client.ask().body == b"fine"
    assert [type(exc) for exc in server.exceptions] == [kind]


def test_an_exception_behind_start_response(connect, serve):
    def app(environ, start_response):
        start_response("200 OK", [("X-A", "b")])
        raise Failing("asked for")

    response = connect(app).ask()
    assert (response.status, response.get("x-a")) == (500, None)


def test_an_exception_before_the_first_piece(connect, serve):
    result = Closing(fails(b"", b""))
    response = connect(returning(lambda environ: result)).ask()
    assert (response.status, response.body) == (500, b"Internal Server Error")
    eventually(lambda: result.closed)
    assert result.closed == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_exception_behind_the_first_piece(connect, serve, version):
    """The client can tell that the response is not whole."""
    result = Closing(fails(b"one"))
    server = serve(returning(lambda environ: result))
    client = connect(server)
    client.send(request(version=version))
    if version == "1.1":
        assert client.rest().endswith(b"\r\n\r\n3\r\none\r\n")
    else:
        with pytest.raises(ConnectionResetError):
            client.rest()
    eventually(lambda: result.closed)
    assert result.closed == 1
    assert [type(exc) for exc in server.exceptions] == [Failing]


def test_an_exception_behind_the_last_byte(connect, serve):
    """The client has everything: it is not told, the log is."""
    server = serve(returning(lambda environ: fails(b"one"), ("Content-Length", "3")))
    client = connect(server)
    assert client.ask().body == b"one"
    eventually(lambda: server.exceptions)
    assert client.ask().body == b"one"


def test_an_exception_after_write(connect, serve):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)(b"one")
        raise Failing("asked for")

    client = connect(app)
    client.request()
    assert client.rest().endswith(b"\r\n\r\n3\r\none\r\n")


def test_an_exception_of_close(connect, serve):
    """The client has the response already."""

    class Odd(Closing):
        def close(self):
            super().close()
            raise Failing("asked for")

    result = Odd([b"one"])
    server = serve(returning(lambda environ: result))
    assert connect(server).ask().body == b"one"
    eventually(lambda: server.exceptions)
    assert result.closed == 1
    assert [type(exc) for exc in server.exceptions] == [Failing]


def test_exceptions_of_both(connect, serve):
    class Odd(Closing):
        def close(self):
            super().close()
            raise KeyError("close")

    result = Odd(fails(b"one"))
    server = serve(returning(lambda environ: result))
    client = connect(server)
    client.request()
    client.rest()
    eventually(lambda: len(server.exceptions) == 2)
    assert [type(exc) for exc in server.exceptions] == [Failing, KeyError]
    assert result.closed == 1


def test_what_is_no_close(connect, serve):
    class Odd(Closing):
        close: Any = None

    class Looked(Closing):
        @property
        def close(self):
            raise Failing("asked for")

    results = iter([Odd([b"one"]), Looked([b"two"])])
    server = serve(returning(lambda environ: next(results)))
    client = connect(server)
    assert [client.ask().body for _ in range(2)] == [b"one", b"two"]
    eventually(lambda: server.exceptions)
    assert [type(exc) for exc in server.exceptions] == [Failing]
