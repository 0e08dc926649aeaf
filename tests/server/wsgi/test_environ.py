"""The environ: what PEP 3333 has in it, of the request and of the server."""

from __future__ import annotations

import io
from wsgiref.validate import validator

import pytest

from granite import __version__
from tests.server.apps import Seen
from tests.server.raw import request
from tests.server.wsgi.apps import PLAIN, answering


@pytest.fixture
def ask(connect):
    """The environ of a request."""
    seen = Seen()

    def app(environ, start_response):
        seen.put(environ)
        start_response("200 OK", PLAIN)
        return [b""]

    clients = {}

    def ask_with(data=None, target="/", *fields, method="GET", body=b"", **settings):
        key = tuple(settings.items())
        if key not in clients:
            clients[key] = connect(app, **settings)
        client = clients[key]
        client.send(data or request(target, *fields, method=method, body=body))
        assert client.response(head_only=method == "HEAD").status == 200
        return seen.get()

    return ask_with


def test_what_every_environ_has(ask, threads):
    environ = ask()
    fixed = {key: environ[key] for key in environ if key not in {"wsgi.input", "wsgi.errors"}}
    for key in ("REMOTE_PORT", "SERVER_PORT"):
        assert int(fixed.pop(key)) > 0
    assert callable(fixed.pop("wsgi.file_wrapper"))
    assert callable(fixed.pop("wsgi.early_hints"))
    assert not fixed.pop("granite.stopping").is_set()
    assert fixed == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "RAW_URI": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": f"granite/{__version__}",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "test",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
        "wsgi.multithread": threads > 1,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def test_types(ask):
    """It is a plain dictionary of the request's own, with plain strings of Latin-1."""
    environ = ask(None, "/a%C3%A9?%C3", "X-Latin: \xe9", method="POST", body=b"abc")
    assert type(environ) is dict
    for key, value in environ.items():
        assert type(key) is str
        if key.isupper():
            assert type(value) is str, key
            value.encode("latin-1")
    environ["PATH_INFO"] = environ["HTTP_HOST"] = "changed"
    environ["of.its.own"] = 1
    environ["wsgi.version"] = None
    after = ask()
    assert (after["PATH_INFO"], after["HTTP_HOST"]) == ("/", "test")
    assert "of.its.own" not in after
    assert after["wsgi.version"] == (1, 0)
    assert {"HTTP_X_LATIN", "CONTENT_LENGTH"}.isdisjoint(after)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"])
def test_methods(ask, method):
    assert ask(method=method)["REQUEST_METHOD"] == method


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a%20b", "/a b"),
        ("/a%2Fb", "/a/b"),
        ("/%c3%a9", "/\xc3\xa9"),
        ("/%C3%A9%2525", "/\xc3\xa9%25"),
        ("/%e9", "/\xe9"),
        ("/%ff%00%80", "/\xff\x00\x80"),
        ("//a//b/../c/.", "//a//b/../c/."),
        ("/a;b=c", "/a;b=c"),
        ("/+", "/+"),
    ],
)
def test_paths(ask, target, path):
    environ = ask(None, target)
    assert environ["PATH_INFO"] == path
    assert environ["RAW_URI"] == target
    assert environ["SCRIPT_NAME"] == ""


@pytest.mark.parametrize(
    ("target", "query", "raw"),
    [
        ("/?a=b&c=%20+d", "a=b&c=%20+d", "/?a=b&c=%20+d"),
        ("/a?b?c", "b?c", "/a?b?c"),
        ("http://other/a?b", "b", "/a?b"),
        ("http://other", "", "/"),
    ],
)
def test_queries(ask, target, query, raw):
    environ = ask(None, target)
    assert environ["QUERY_STRING"] == query
    assert environ["RAW_URI"] == raw


def test_options_of_the_server(ask):
    environ = ask(None, "*", method="OPTIONS")
    assert environ["PATH_INFO"] in ("*", "/")
    assert environ["RAW_URI"] == "*"


def test_fields(ask):
    environ = ask(
        None,
        "/",
        "User-Agent: one (two; three)",
        "X-Empty:",
        "X-Blank:   \t around \t ",
        "X-Latin: caf\xe9",
        "X-A-B-C: letters",
        "x-1.2~3: other signs",
    )
    assert environ["HTTP_USER_AGENT"] == "one (two; three)"
    assert environ["HTTP_X_EMPTY"] == ""
    assert environ["HTTP_X_BLANK"] == "around"
    assert environ["HTTP_X_LATIN"] == "caf\xe9"
    assert environ["HTTP_X_A_B_C"] == "letters"
    assert environ["HTTP_X_1.2~3"] == "other signs"


def test_fields_that_come_several_times(ask):
    environ = ask(
        None, "/", "X-A: 1", "Cookie: a=1", "X-B: b", "X-A: 2", "Cookie: b=2", "x-a:", "X-A: 3, 4"
    )
    assert environ["HTTP_X_A"] == "1,2,,3, 4"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_X_B"] == "b"
    again = ask(None, "/", "Cookie: c=3")
    assert again["HTTP_COOKIE"] == "c=3"


def test_content_type_and_length(ask):
    environ = ask(None, "/", "Content-Type: a/b; c=d", method="POST", body=b"12345")
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("a/b; c=d", "5")
    assert {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}.isdisjoint(environ)
    assert {"CONTENT_TYPE", "CONTENT_LENGTH"}.isdisjoint(ask())
    assert ask(None, "/", "Content-Length: 0")["CONTENT_LENGTH"] == "0"


def test_a_chunked_body_has_no_length(ask):
    data = request("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\n\r\n"
    environ = ask(data)
    assert "CONTENT_LENGTH" not in environ
    assert environ["wsgi.input_terminated"] is True
    assert environ["HTTP_TRANSFER_ENCODING"] == "chunked"


def test_clients_do_not_set_the_proxy_of_programs(ask):
    """What is known as httpoxy."""
    environ = ask(None, "/", "Proxy: http://evil", "Proxy-Connection: close", "X-Proxy: a")
    assert "HTTP_PROXY" not in environ
    assert environ["HTTP_X_PROXY"] == "a"


def test_names_with_underscores_are_not_taken_for_others(ask):
    environ = ask(None, "/", "X_A: evil", "X-A: good", "Content_Length: 5")
    assert environ["HTTP_X_A"] == "good"
    assert {"CONTENT_LENGTH", "HTTP_CONTENT_LENGTH"}.isdisjoint(environ)


def test_fields_with_names_and_values_of_their_own_every_time(ask):
    """More than are remembered, so that their places are taken again and again."""
    for round_ in range(3):
        fields = [f"X-{round_}-{n}: {round_} {n}" for n in range(90)]
        environ = ask(None, "/", *fields, "X-Same: same", f"X-Other: {round_}")
        for n in range(90):
            assert environ[f"HTTP_X_{round_}_{n}"] == f"{round_} {n}"
        assert (environ["HTTP_X_SAME"], environ["HTTP_X_OTHER"]) == ("same", str(round_))


def test_http_1_0(ask):
    environ = ask(b"GET /a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in environ
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a", "b")


def test_request_ids(ask):
    environ = ask(None, "/", "X-Request-Id: from-the-client", request_id_header="X-Request-Id")
    other = ask(None, "/", request_id_header="X-Request-Id")
    assert environ["granite.request_id"] == environ["HTTP_X_REQUEST_ID"]
    assert len(other["granite.request_id"]) > 8
    assert other["HTTP_X_REQUEST_ID"] == other["granite.request_id"]


def test_errors_go_to_the_log(connect, log):
    def app(environ, start_response):
        errors = environ["wsgi.errors"]
        errors.write("begun, ")
        errors.write("ended\nunfinished")
        errors.writelines([" line", "\n"])
        errors.flush()
        print("printed", file=errors)
        start_response("200 OK", PLAIN)
        return []

    connect(app).ask()
    assert log.messages == ["begun, ended", "unfinished line", "printed"]


@pytest.mark.parametrize("body", [b"", b"a\nb\nc"])
@pytest.mark.parametrize("way", ["list", "generator", "write", "file"])
def test_the_validator_of_the_standard_library(connect, serve, way, body):
    """It looks at both sides of the interface."""

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        read = stream.read(1) + stream.readline() + b"".join(stream.readlines())
        read += b"".join(stream)
        assert read == body
        write = start_response("200 OK", PLAIN)
        if way == "write":
            write(b"written ")
        return {
            "list": lambda: [b"one"],
            "generator": lambda: (piece for piece in [b"o", b"", b"ne"]),
            "write": lambda: [b"one"],
            "file": lambda: environ["wsgi.file_wrapper"](io.BytesIO(b"one"), 2),
        }[way]()

    server = serve(validator(app))
    client = connect(server)
    for _ in range(2):
        response = client.ask("/a%20b?c", "X-A: b", method="POST" if body else "GET", body=body)
        assert server.exceptions == []
        assert response.body == (b"written one" if way == "write" else b"one")
    assert client.ask(method="HEAD", body=body).status == 200
    assert server.exceptions == []


def test_an_environ_that_is_kept(connect):
    kept = []

    def app(environ, start_response):
        kept.append(environ)
        start_response("200 OK", PLAIN)
        return [b"x"]

    client = connect(app)
    for number in range(3):
        client.ask(f"/{number}", f"X-A: {number}")
    assert [environ["PATH_INFO"] for environ in kept] == ["/0", "/1", "/2"]
    assert [environ["HTTP_X_A"] for environ in kept] == ["0", "1", "2"]
    kept.clear()


def test_answers_are_told_by_the_same_headers_again_and_again(connect):
    """Constants are known by their place in memory, which another may have afterwards."""
    client = connect(answering(b"x", headers=[("X-A", "1"), ("X-B", "2")]))
    for _ in range(3):
        response = client.ask()
        assert (response.get("x-a"), response.get("x-b")) == ("1", "2")
