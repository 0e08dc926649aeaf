"""What an application is told of a request over HTTP/2."""

from __future__ import annotations

import pytest

from tests.server.apps import Scopes, Seen, answer, body_of, echo_body, hello
from tests.server.http2.marks import every_interface, plain_and_tls


@pytest.fixture
def scopes():
    return Scopes()


def fields_of(scope):
    return [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]


@plain_and_tls
@every_interface
def test_an_answer(connect, interface):
    client = connect(hello)
    for _ in range(3):
        response = client.ask()
        assert (response.status, response.body) == (200, b"hello")


@plain_and_tls
def test_the_scope(connect, scopes, transport):
    client = connect(scopes)
    client.ask("/caf%C3%A9/a%2Fb?q=1&r=%20", "x-one: 1", "accept: */*", authority="example.com:81")
    scope = scopes.get()
    assert scope["type"] == "http"
    assert scope["http_version"] == "2"
    assert scope["method"] == "GET"
    assert scope["scheme"] == ("http" if transport == "plain" else "https")
    assert scope["path"] == "/café/a/b"
    assert scope["raw_path"] == b"/caf%C3%A9/a%2Fb"
    assert scope["query_string"] == b"q=1&r=%20"
    assert scope["client"] == client.sock.getsockname()
    assert scope["server"] == client.sock.getpeername()
    assert fields_of(scope) == [("host", "example.com:81"), ("x-one", "1"), ("accept", "*/*")]


def test_requests_of_a_connection_are_told_apart(connect, scopes):
    client = connect(scopes)
    for number in range(5):
        client.ask(f"/{number}", f"x-number: {number}", authority=f"host{number}")
        scope = scopes.get()
        assert scope["path"] == f"/{number}"
        assert fields_of(scope) == [("host", f"host{number}"), ("x-number", str(number))]


@pytest.mark.parametrize(
    ("authority", "hosts"),
    [
        ("test", ()),
        (None, ("test",)),
        ("test", ("test",)),
        ("test:80", ("test:80",)),
        ("test", ("TEST:80",)),
        ("test:80", ("test",)),
    ],
)
def test_authority_and_host_are_one(connect, scopes, authority, hosts):
    lines = [f"host: {host}" for host in hosts]
    connect(scopes).ask("/", "a: b", *lines, authority=authority)
    expected = authority or hosts[0]
    assert sorted(fields_of(scopes.get())) == [("a", "b"), ("host", expected)]


@pytest.mark.parametrize(
    ("cookies", "joined"),
    [
        (["a=b"], "a=b"),
        (["a=b", "c=d"], "a=b; c=d"),
        (["a=b; c=d", "e=f", "g"], "a=b; c=d; e=f; g"),
    ],
)
def test_cookies_are_joined(connect, scopes, cookies, joined):
    lines = [f"cookie: {cookie}" for cookie in cookies]
    client = connect(scopes)
    for _ in range(2):
        client.ask("/", lines[0], "x-between: 1", *lines[1:])
        found = fields_of(scopes.get())
        assert [value for name, value in found if name == "cookie"] == [joined]
        assert ("x-between", "1") in found


def test_cookies_are_one_field(connect):
    """Whatever pieces clients take it to."""

    async def app(scope, receive, send):
        await answer(send, dict(scope["headers"])[b"cookie"])

    crumbs = [f"c{number}=x" for number in range(150)]
    full = "; ".join(crumbs)
    client = connect(app, max_fields=3, max_field_size=len("cookie: ") + len(full))
    lines = [f"cookie: {crumb}" for crumb in crumbs]
    assert client.ask("/", "a: b", *lines, "c: d").body == full.encode()
    assert client.ask("/", "a: b", *lines, "c: d", "e: f").status == 431
    assert client.ask("/", *lines, "cookie: x").status == 431


def test_fields_as_they_came(connect, scopes):
    lines = ["x-empty: ", "x-twice: 1", "x-other: \xe4\xff", "x-twice: 2", "x!#$%&'*+.^`|~: t"]
    connect(scopes).ask("/", *lines)
    assert fields_of(scopes.get())[1:] == [tuple(line.split(": ")) for line in lines]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH", "PROPFIND", "M-SEARCH", "BREW"])
def test_methods(connect, scopes, method):
    connect(scopes).ask(method=method)
    assert scopes.get()["method"] == method


def test_options_for_the_server(connect, scopes):
    connect(scopes).ask("*", method="OPTIONS")
    assert scopes.get()["raw_path"] == b"*"


@plain_and_tls
@every_interface
@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 300_000])
@pytest.mark.parametrize("length", [True, False])
def test_a_body(connect, size, length, interface):
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    client = connect(echo_body)
    lines = [f"content-length: {size}"] if length else []
    for _ in range(2):
        response = client.ask("/", *lines, method="POST", body=data)
        assert (response.status, response.body) == (200, data)


def test_a_body_in_pieces(connect):
    client = connect(echo_body)
    stream = client.request(method="POST", end=False)
    for number in range(20):
        client.data(stream, b"%d," % number)
        client.ping()
    client.data(stream, b"", end=True)
    assert client.response(stream).body == b"".join(b"%d," % number for number in range(20))


def test_an_empty_data_frame_ends_a_body(connect):
    client = connect(echo_body)
    stream = client.request(method="POST", end=False)
    client.data(stream, b"hello")
    client.data(stream, b"", end=True)
    assert client.response(stream).body == b"hello"


def test_padding_is_no_body(connect):
    client = connect(echo_body)
    stream = client.request(method="POST", end=False)
    client.h2.send_data(stream, b"hello", pad_length=200)
    client.h2.send_data(stream, b"", end_stream=True, pad_length=7)
    client.flush()
    assert client.response(stream).body == b"hello"


TRAILERS = "granite.request.trailers"


async def echo_trailers(scope, receive, send):
    found = scope["extensions"].get(TRAILERS)
    data = await body_of(receive)
    await answer(send, repr((data, found)).encode())


@pytest.mark.parametrize("data", [b"", b"hello", b"x" * 40_000])
def test_trailers_of_a_request(connect, data):
    client = connect(echo_trailers)
    stream = client.request(method="POST", end=False)
    client.data(stream, data)
    client.trailers(stream, [("x-sum", "5"), ("x-two", "a b")])
    expected = (data, [(b"x-sum", b"5"), (b"x-two", b"a b")])
    assert client.response(stream).body == repr(expected).encode()


def test_what_may_be_no_trailer_is_not_seen(connect):
    client = connect(echo_trailers)
    stream = client.request(method="POST", end=False)
    client.trailers(stream, [("host", "evil"), ("x", "1"), ("cookie", "a"), ("authorization", "b")])
    assert client.response(stream).body == repr((b"", [(b"x", b"1")])).encode()


def test_a_request_without_a_body_has_no_list_of_trailers(connect):
    assert connect(echo_trailers).ask().body == repr((b"", None)).encode()


def test_names_with_underscores_are_dropped(connect, scopes):
    connect(scopes).ask("/", "x_real_user: root", "x-real-user: me")
    assert fields_of(scopes.get())[1:] == [("x-real-user", "me")]


def test_names_with_underscores_are_passed_on(connect, scopes):
    connect(scopes, header_map="dangerous").ask("/", "x_real_user: root")
    assert fields_of(scopes.get())[1:] == [("x_real_user", "root")]


def test_the_environ_of_wsgi(serve, connect):
    seen = Seen()

    def app(environ, start_response):
        seen.put(dict(environ))
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    client = connect(serve(app, interface="wsgi"))
    response = client.ask("/a%20b?c=d", "x-one: 1", method="POST", body=b"hello")
    assert response.body == b"hello"
    environ = seen.get()
    assert environ["SERVER_PROTOCOL"] == "HTTP/2"
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["PATH_INFO"] == "/a b"
    assert environ["QUERY_STRING"] == "c=d"
    assert environ["HTTP_HOST"] == "test"
    assert environ["HTTP_X_ONE"] == "1"
    assert not [name for name in environ if name.startswith("HTTP_:")]


def test_the_scope_of_rsgi(serve, connect):
    seen = Seen()

    class App:
        async def __rsgi__(self, scope, protocol):
            seen.put((scope.http_version, scope.authority, scope.headers.get("host")))
            protocol.response_bytes(200, [], await protocol())

    client = connect(serve(App(), interface="rsgi"))
    assert client.ask(method="POST", body=b"hello").body == b"hello"
    assert seen.get() == ("2", "test", "test")
