"""The response's body: how long it is and was said to be, and what has none."""

from __future__ import annotations

import pytest

from tests.server.apps import Seen, eventually
from tests.server.wsgi.apps import PLAIN, Closing, Gate, answering, returning

# Content-Length


def of_length(length, *pieces):
    return lambda make: returning(lambda environ: make([*pieces]), ("Content-Length", str(length)))


WAYS = pytest.mark.parametrize("make", [list, iter], ids=["list", "iterator"])


@WAYS
def test_a_length_that_is_right(connect, make):
    client = connect(of_length(6, b"one", b"two")(make))
    for _ in range(2):
        response = client.ask()
        assert (response.body, response.framing) == (b"onetwo", "length")


@WAYS
def test_a_body_that_is_too_short_ends_visibly(connect, log, make):
    client = connect(of_length(10, b"one", b"two")(make))
    client.request()
    rest = client.rest()
    assert b"content-length: 10\r\n" in rest.lower()
    assert rest.endswith(b"\r\n\r\nonetwo")
    eventually(lambda: log.errors)
    assert "shorter than its content-length" in log.errors[0].getMessage()


def test_a_body_that_is_too_long_is_refused(connect, serve):
    server = serve(of_length(5, b"one", b"two")(list))
    assert connect(server).ask().status == 500
    assert "longer than its content-length" in str(server.exceptions[0])


def test_a_piece_that_is_too_long_ends_the_response_visibly(connect, serve):
    server = serve(of_length(5, b"one", b"two")(iter))
    client = connect(server)
    client.request()
    assert client.rest().endswith(b"\r\n\r\none")
    assert "longer than its content-length" in str(server.exceptions[0])


def test_what_comes_behind_the_length_reaches_nobody(connect, serve):
    """The client has a complete response; the application is told."""
    server = serve(of_length(6, b"one", b"two", b"three")(iter))
    client = connect(server)
    assert client.ask().body == b"onetwo"
    eventually(lambda: server.exceptions)
    assert "longer than its content-length" in str(server.exceptions[0])


def test_the_client_has_the_response_when_its_length_is_reached(connect):
    """Whatever the application does behind it."""
    gate = Gate()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        yield b"one"
        gate.wait()
        yield b""

    client = connect(app)
    assert client.ask().body == b"one"
    gate.reach()
    gate.open()


@pytest.mark.parametrize("length", ["0", "00", "3"])
def test_empty_bodies_with_a_length(connect, length):
    client = connect(
        answering(*([b"abc"] if length == "3" else []), headers=[("Content-Length", length)])
    )
    for _ in range(2):
        assert len(client.ask().body) == int(length)


# no content


@pytest.mark.parametrize("make", [list, iter, Closing])
@pytest.mark.parametrize("length", [None, 6, 100])
def test_head(connect, make, length):
    headers = [] if length is None else [("Content-Length", str(length))]
    client = connect(returning(lambda environ: make([b"one", b"two"]), *headers))
    for _ in range(2):
        response = client.ask(method="HEAD")
        assert (response.status, response.get("transfer-encoding")) == (200, None)
        if length is not None:
            assert response.get("content-length") == str(length)
    if length != 100:
        assert client.ask().body == b"onetwo"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "205 Reset Content"])
@pytest.mark.parametrize("make", [list, iter])
def test_statuses_without_content(connect, status, make):
    def app(environ, start_response):
        start_response(status, [("ETag", '"a"')])
        return make([b"not", b"sent"])

    client = connect(app)
    for _ in range(2):
        response = client.ask()
        assert (response.status, response.body) == (int(status[:3]), b"")
        assert response.get("etag") == '"a"'


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "304 Not Modified")])
def test_an_endless_body_of_which_nothing_leaves(connect, method, status):
    """It ends with the first piece, as nothing would ever hold it back."""
    closed = Seen()

    def app(environ, start_response):
        start_response(status, PLAIN)
        try:
            while True:
                yield b"tick"
        finally:
            closed.put(True)

    client = connect(app)
    for _ in range(2):
        assert client.ask(method=method).status == int(status[:3])
        assert closed.get()


# what is no body


@pytest.mark.parametrize("result", [None, 5, "text", ["text"], [None], [b"x", 5], object()])
def test_what_is_none(connect, serve, result):
    server = serve(returning(lambda environ: result))
    client = connect(server)
    for _ in range(2):
        assert client.ask().status == 500
    assert [type(exc) for exc in server.exceptions] == [TypeError] * 2


@pytest.mark.parametrize("piece", ["text", None, 5, [b"x"]], ids=repr)
def test_pieces_that_are_none(connect, serve, piece):
    def pieces():
        yield b"one"
        yield piece

    result = Closing(pieces())
    server = serve(returning(lambda environ: result))
    client = connect(server)
    client.request()
    assert client.rest().endswith(b"3\r\none\r\n")
    [exc] = server.exceptions
    assert isinstance(exc, TypeError)
    assert "expected bytes" in str(exc)
    eventually(lambda: result.closed)
    assert result.closed == 1
