"""start_response(): what it takes and refuses, and what becomes of status and headers."""

from __future__ import annotations

import pytest

from tests.server.wsgi.apps import PLAIN, answering


def told(server, client):
    """What the only exception of an application says, whose request got a 500."""
    assert client.ask().status == 500
    [exc] = server.exceptions
    return f"{type(exc).__name__}: {exc}"


@pytest.mark.parametrize("status", ["200 Fine", "299 Own", "500 two words", "999 x"])
def test_statuses(connect, status):
    response = connect(answering(status=status)).ask()
    assert f"{response.status} {response.reason}" == status


def test_a_status_without_words(connect):
    client = connect(answering(status="404"))
    assert [client.ask().status for _ in range(2)] == [404, 404]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, "TypeError"),
        (b"200 OK", "TypeError"),
        (None, "TypeError"),
        ("", "ValueError"),
        ("OK", "ValueError"),
        ("20 OK", "ValueError"),
        ("2000 OK", "ValueError"),
        ("200OK", "ValueError"),
        ("-20 OK", "ValueError"),
        (" 200 OK", "ValueError"),
        ("²00 OK", "ValueError"),
        ("100 Continue", "ValueError"),
        ("101 Switching Protocols", "ValueError"),
        ("200 OK\r\nSet-Cookie: a=b", "ValueError"),
        ("200 O\nK", "ValueError"),
        ("200 O\0K", "ValueError"),
        ("200 ☃", "ValueError"),
    ],
)
def test_statuses_that_are_none(connect, serve, status, error):
    server = serve(answering(status=status))
    assert told(server, connect(server)).startswith(error)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {"a": "b"},
        "ab",
        iter([("a", "b")]),
        [("a",)],
        [("a", "b", "c")],
        ["ab"],
        [None],
        [("a", 5)],
        [("a", None)],
        [(b"a", b"b")],
        [("a", b"b")],
        [("", "b")],
        [("a b", "c")],
        [("a:", "b")],
        [("a\n", "b")],
        [("é", "b")],
        [("a", "b\r\nc: d")],
        [("a", "b\nc")],
        [("a", "b\0c")],
        [("a", "☃")],
        [("content-length", "1"), ("content-length", "1")],
        [("content-length", "one")],
        [("content-length", "-1")],
        [("content-length", "")],
        [("transfer-encoding", "chunked")],
    ],
)
def test_headers_that_are_none(connect, serve, headers):
    server = serve(answering(b"x", headers=headers))
    message = told(server, connect(server))
    assert "header" in message or "Latin-1" in message
    assert message.split(":")[0] in ("TypeError", "ValueError", "RuntimeError")


class Text(str):
    """A string of somebody's own."""

    __slots__ = ()

    def partition(self, sep):
        return "100", "", ""

    def __str__(self):
        return "not this"


@pytest.mark.parametrize(
    "headers",
    [
        [("X-A", "b"), ("X-Latin", "caf\xe9")],
        (("X-A", "b"), ("X-Latin", "caf\xe9")),
        [["X-A", "b"], ["X-Latin", "caf\xe9"]],
        [(Text("X-A"), Text("b")), ("X-Latin", Text("caf\xe9"))],
        type("List", (list,), {})([("X-A", "b"), ("X-Latin", "caf\xe9")]),
    ],
    ids=["list", "tuple", "lists", "subclasses", "list's subclass"],
)
def test_headers_that_may_be_given_otherwise(connect, headers):
    client = connect(answering(b"x", status=Text("202 Accepted"), headers=headers))
    for _ in range(3):
        response = client.ask()
        assert (response.status, response.reason) == (202, "Accepted")
        assert (response.get("x-a"), response.get("x-latin")) == ("b", "caf\xe9")


def test_headers_of_hops_are_the_servers(connect):
    response = connect(
        answering(
            b"x",
            headers=[("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("X-A", "b")],
        )
    ).ask()
    assert [response.get(name) for name in ("connection", "keep-alive", "x-a")] == [None, None, "b"]


def test_the_applications_server_and_date_stand(connect):
    response = connect(answering(b"x", headers=[("Server", "own"), ("Date", "today")])).ask()
    assert (response.get("server"), response.get("date")) == ("own", "today")


def test_the_same_field_several_times(connect):
    cookies = [("Set-Cookie", f"{name}=1") for name in "abc"]
    assert connect(answering(headers=cookies)).ask().all("set-cookie") == ["a=1", "b=1", "c=1"]


def test_a_list_that_changes_afterwards(connect):
    """What counts is what it was in the call."""

    def app(environ, start_response):
        headers: list[object] = [("X-A", "before")]
        start_response("200 OK", headers)
        headers[:] = [("X-B", "after"), 5]
        return [b"x"]

    response = connect(app).ask()
    assert (response.get("x-a"), response.get("x-b")) == ("before", None)


def test_keywords(connect):
    def app(environ, start_response):
        start_response(headers=PLAIN, status="202 Accepted", exc_info=None)
        return [b"x"]

    assert connect(app).ask().status == 202


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), {}),
        (("200 OK",), {}),
        (("200 OK", [], None, None), {}),
        ((), {"status": "200 OK"}),
        ((), {"status": "200 OK", "headers": [], "other": 1}),
        (("200 OK", []), {"status": "200 OK"}),
    ],
)
def test_arguments_that_are_none(connect, serve, arguments, named):
    def app(environ, start_response):
        start_response(*arguments, **named)
        return [b"x"]

    server = serve(app)
    assert "expected start_response(status, headers, exc_info=None)" in told(
        server, connect(server)
    )
