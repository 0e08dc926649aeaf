"""start_response(): when it may be called, and when it must be; early hints, and the context."""

from __future__ import annotations

import contextvars
import sys

import pytest

from granite.request_id import current
from tests.server.apps import Seen, eventually
from tests.server.wsgi.apps import PLAIN, returning


def told(server, client):
    """What the only exception of an application says, whose request got a 500."""
    assert client.ask().status == 500
    [exc] = server.exceptions
    return f"{type(exc).__name__}: {exc}"


# more than one call, none, late ones


def test_it_is_called_twice(connect, serve):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        start_response("202 Accepted", PLAIN)
        return [b"x"]

    server = serve(app)
    assert "a second call needs exc_info" in told(server, connect(server))


def failing():
    try:
        raise KeyError("asked for")
    except KeyError:
        return sys.exc_info()


def test_another_call_before_the_head_has_left_replaces_the_first(connect, serve):
    def app(environ, start_response):
        start_response("200 OK", [("X-First", "1"), ("Content-Length", "100")])
        start_response("500 Oops", [("X-Second", "2")], failing())
        return [b"sorry"]

    server = serve(app)
    response = connect(server).ask()
    assert (response.status, response.body, response.get("content-length")) == (500, b"sorry", "5")
    assert (response.get("x-first"), response.get("x-second")) == (None, "2")
    assert server.exceptions == []


def test_another_call_in_a_generator_before_the_head_has_left(connect, serve):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b""
        start_response("503 Later", PLAIN, failing())
        yield b"sorry"

    response = connect(app).ask()
    assert (response.status, response.body) == (503, b"sorry")


def test_another_call_when_the_head_has_left_raises_what_it_is_given(connect, serve):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"begun"
        start_response("500 Oops", PLAIN, failing())
        yield b"never"

    server = serve(app)
    client = connect(server)
    client.request()
    rest = client.rest()
    assert rest.endswith(b"5\r\nbegun\r\n")  # visibly incomplete
    [exc] = server.exceptions
    assert isinstance(exc, KeyError)
    assert exc.__traceback__ is not None


def test_a_body_that_was_refused_is_replaced(connect, serve):
    """Nothing of the head has left then, either."""

    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "3")])
        try:
            write(b"too long")
        except RuntimeError:
            start_response("500 Oops", PLAIN, sys.exc_info())
        return [b"sorry"]

    response = connect(app).ask()
    assert (response.status, response.body) == (500, b"sorry")


def test_a_call_that_is_refused_may_be_followed_by_another(connect):
    def app(environ, start_response):
        for arguments in [("20 OK", PLAIN), ("200 OK", [("a b", "c")]), (200, PLAIN)]:
            with pytest.raises((TypeError, ValueError)):
                start_response(*arguments)
        start_response("202 Accepted", PLAIN)
        return [b"x"]

    assert connect(app).ask().status == 202


@pytest.mark.parametrize("result", [[], [b""], [b"x"], [b"x"] * 5, (b"x",)], ids=repr)
def test_it_is_never_called(connect, serve, result):
    server = serve(lambda environ, start_response: result)
    assert "has not called start_response()" in told(server, connect(server))


def test_it_is_never_called_by_a_generator(connect, serve):
    def app(environ, start_response):
        yield b"x"

    server = serve(app)
    assert "has not called start_response()" in told(server, connect(server))


def test_it_is_never_called_and_a_file_is_returned(connect, serve, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100_000)

    def app(environ, start_response):
        return environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))

    server = serve(app)
    assert "start_response()" in told(server, connect(server))


def test_it_is_called_when_the_first_piece_is_asked_for(connect):
    def app(environ, start_response):
        yield b""
        start_response("202 Accepted", PLAIN)
        yield b"late"

    response = connect(app).ask()
    assert (response.status, response.body) == (202, b"late")


def test_it_is_called_after_the_first_piece(connect, serve):
    def app(environ, start_response):
        yield b"too early"
        start_response("200 OK", PLAIN)

    server = serve(app)
    assert "has not called start_response()" in told(server, connect(server))


def test_it_is_kept_and_called_when_the_call_is_over(connect, serve):
    kept = Seen()

    def app(environ, start_response):
        kept.put((start_response, start_response("200 OK", PLAIN)))
        return [b"x"]

    server = serve(app)
    client = connect(server)
    assert client.ask().body == b"x"
    eventually(lambda: server.counters()["running"] == 0)
    start_response, write = kept.get()
    for call in (
        lambda: start_response("200 OK", PLAIN),
        lambda: start_response("200 OK", PLAIN, failing()),
        lambda: write(b"y"),
        lambda: write(b""),
    ):
        with pytest.raises(RuntimeError, match="call was over"):
            call()
    assert client.ask().body == b"x"
    kept.get()


def test_no_application_is_the_same_object_twice(connect):
    """What is remembered of headers is not taken for another's."""
    made = iter(range(1000))

    def app(environ, start_response):
        number = next(made)
        start_response("200 OK", [("X-Number", f"{number}"), ("Content-Length", f"{number % 7}")])
        return [bytes(number % 7)]

    client = connect(app)
    for number in range(300):
        response = client.ask()
        assert (response.get("x-number"), len(response.body)) == (str(number), number % 7)


def test_early_hints(connect):
    def app(environ, start_response):
        hint = environ["wsgi.early_hints"]
        hint([("Link", "</a.css>; rel=preload")])
        hint([("Link", "</b.css>; rel=preload"), ("X-A", "b")])
        with pytest.raises((TypeError, ValueError)):
            hint([("a", "b\r\n")])
        start_response("200 OK", PLAIN)
        hint([("Link", "</c.css>")])
        yield b"begun"
        hint([("Link", "</too-late.css>")])

    client = connect(app)
    links = []
    client.request()
    while (response := client.response()).status == 103:
        links += response.all("link")
    assert links == ["</a.css>; rel=preload", "</b.css>; rel=preload", "</c.css>"]
    assert response.body == b"begun"
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.response().status == 200


def test_early_hints_say_nothing_of_the_connection(connect):
    """Nor how a message is framed, which has no body."""
    left_out = ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade"]
    left_out += ["Content-Length", "Transfer-Encoding"]

    def app(environ, start_response):
        environ["wsgi.early_hints"]([*((name, "1") for name in left_out), ("Link", " </a> \t")])
        start_response("200 OK", PLAIN)
        return [b"done"]

    client = connect(app)
    client.request()
    hint = client.response()
    assert hint.status == 103
    assert [(name.lower(), value) for name, value in hint.fields] == [("link", "</a>")]
    assert client.response().body == b"done"


def test_context_variables_are_a_requests_own(connect):
    variable = contextvars.ContextVar("variable", default="unset")

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        before = variable.get()
        variable.set(environ["PATH_INFO"])
        yield before.encode()
        yield variable.get().encode()

    client = connect(app)
    assert [client.ask(f"/{n}").body for n in range(4)] == [b"unset/%d" % n for n in range(4)]


def test_request_ids_are_in_the_context(connect):
    app = returning(lambda environ: [current().encode(), environ["granite.request_id"].encode()])
    response = connect(app, request_id_header="X-Id").ask()
    given = response.get("x-id")
    assert response.body == (given * 2).encode()
