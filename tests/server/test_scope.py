"""The scope of a request: every key, its type and its value."""

from __future__ import annotations

import socket
import sys

import pytest

from tests.server.apps import Scopes, Seen, answer, with_lifespan
from tests.server.raw import Client, request


@pytest.fixture
def scopes() -> Scopes:
    return Scopes()


@pytest.fixture
def scope_of(connect, scopes):
    """The scope that a request has, given as its bytes."""
    client: list[Client] = []

    def scope_of(data: bytes):
        client.append(client[0] if client else connect(scopes))
        client[0].send(data)
        assert client[0].response(head_only=data.startswith(b"HEAD")).status == 200
        return scopes.get()

    return scope_of


def test_every_key_and_type(connect, scopes):
    client = connect(scopes)
    assert client.ask("/a%20b?c=%20&d", "Accept: */*", "X-Two: 2").status == 200
    scope = scopes.get()
    assert isinstance(scope.pop("extensions", {}), dict)
    assert type(scope["headers"]) is list
    assert {type(part) for field in scope["headers"] for part in field} == {bytes}
    assert [type(field) for field in scope["headers"]] == [tuple, tuple, tuple]
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=%20&d",
        "root_path": "",
        "headers": [(b"host", b"test"), (b"accept", b"*/*"), (b"x-two", b"2")],
        "client": client.sock.getsockname(),
        "server": client.sock.getpeername(),
    }
    for key in ("type", "http_version", "method", "scheme", "path", "root_path"):
        assert type(scope[key]) is str, key


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/", "/"),
        ("/%2F", "//"),
        ("/a%2fb%2Fc", "/a/b/c"),
        ("/a%20b+c", "/a b+c"),
        ("/caf%C3%A9", "/café"),
        ("/caf%c3%a9", "/café"),
        ("/%F0%9F%8D%B5", "/🍵"),
        ("/%25", "/%"),
        ("/%2525", "/%25"),
        ("/%252F", "/%2F"),
        ("/%00", "/\0"),
        ("/%3Fno=query", "/?no=query"),
        ("/%ff", "/\ufffd"),
        ("/%C3", "/\ufffd"),
        ("/%C3/x", "/\ufffd/x"),
        ("/%80abc", "/\ufffdabc"),
        ("/%ED%A0%80", "/\ufffd\ufffd\ufffd"),
        ("//a//b/", "//a//b/"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("/a;b=c,d:e@f!$&'()*~-._", "/a;b=c,d:e@f!$&'()*~-._"),
    ],
)
def test_the_path_is_percent_decoded_and_raw_path_is_not(scope_of, raw, path):
    scope = scope_of(request(raw))
    assert scope["path"] == path
    assert scope["raw_path"] == raw.encode()
    assert scope["query_string"] == b""


def test_a_long_path_is_decoded_like_a_short_one(scope_of):
    raw = "/" + "%C3%A9" * 5000
    scope = scope_of(request(raw))
    assert scope["path"] == "/" + "é" * 5000
    assert scope["raw_path"] == raw.encode()


@pytest.mark.parametrize(
    ("target", "query"),
    [("/?", b""), ("/?a", b"a"), ("/?a=%2F%ff+", b"a=%2F%ff+"), ("/?a?b=?", b"a?b=?")],
)
def test_the_query_string_is_kept_as_it_came(scope_of, target, query):
    scope = scope_of(request(target))
    assert scope["query_string"] == query
    assert scope["path"] == "/"
    assert scope["raw_path"] == b"/"


@pytest.mark.parametrize(
    ("target", "raw_path", "query"),
    [
        ("http://test/a%20b?c", b"/a%20b", b"c"),
        ("http://test:8000/a", b"/a", b""),
        ("http://test", b"/", b""),
        ("http://test?q=/x", b"/", b"q=/x"),
        ("HTTP://test/a:b//c", b"/a:b//c", b""),
        ("http://[::1]:80/a", b"/a", b""),
    ],
)
def test_an_absolute_form_target_is_cut_to_its_path(scope_of, target, raw_path, query):
    scope = scope_of(request(target))
    assert scope["raw_path"] == raw_path
    assert scope["query_string"] == query
    assert scope["path"] == raw_path.decode().replace("%20", " ")


def test_the_asterisk_form_is_the_path(scope_of):
    scope = scope_of(request("*", method="OPTIONS"))
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("OPTIONS", "*", b"*")


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW-1"]
)
def test_the_method_is_in_upper_case(scope_of, method):
    assert scope_of(request(method=method))["method"] == method


def test_http_1_0_is_told(scope_of):
    assert scope_of(b"GET / HTTP/1.0\r\n\r\n")["http_version"] == "1.0"


def test_header_names_are_lower_cased_and_keep_order_and_duplicates(scope_of):
    scope = scope_of(
        b"GET / HTTP/1.1\r\nHOST: test\r\nCookie: a=1\r\nX-Thing: One\r\nx-thing: two\r\n"
        b"COOKIE: b=2\r\nX-THING: One\r\n\r\n"
    )
    assert scope["headers"] == [
        (b"host", b"test"),
        (b"cookie", b"a=1"),
        (b"x-thing", b"One"),
        (b"x-thing", b"two"),
        (b"cookie", b"b=2"),
        (b"x-thing", b"One"),
    ]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"X-Empty:", (b"x-empty", b"")),
        (b"X-Blank:   ", (b"x-blank", b"")),
        (b"X-Trim: \t a b \t ", (b"x-trim", b"a b")),
        (b"X-Tight:v", (b"x-tight", b"v")),
        (b"X-Bytes: \xe9\xff\x80", (b"x-bytes", b"\xe9\xff\x80")),
        (b"X-Inner: a\tb", (b"x-inner", b"a\tb")),
        (b"x!#$%&'*+-.^`|~9: v", (b"x!#$%&'*+-.^`|~9", b"v")),
        (b"X-" + b"N" * 300 + b": v", (b"x-" + b"n" * 300, b"v")),
        (b"X-Long: " + b"v" * 30000, (b"x-long", b"v" * 30000)),
        (b"User-Agent: " + b"v" * 3000, (b"user-agent", b"v" * 3000)),
    ],
)
def test_header_values_are_the_bytes_between_the_white_space(scope_of, line, field):
    scope = scope_of(b"GET / HTTP/1.1\r\nHost: test\r\n" + line + b"\r\n\r\n")
    assert scope["headers"] == [(b"host", b"test"), field]


def test_fields_and_paths_that_differ_in_their_middle_are_told_apart(scope_of):
    for number in range(300):
        fields = [
            (f"x-aaaaaaaa{number:03}bbbbbbbb", "1"),
            ("user-agent", f"aaaaaaaa{number % 7:03}bbbbbbbb"),
            ("x-forwarded-host", f"aaaaaaaa{number % 5:03}bbbbbbbb"),
        ]
        path = f"/aaaaaaaa/{number:03}/bbbbbbbb"
        scope = scope_of(request(path, *(f"{name}: {value}" for name, value in fields)))
        assert scope["path"] == path
        assert scope["raw_path"] == path.encode()
        assert scope["headers"][1:] == [(name.encode(), value.encode()) for name, value in fields]


def test_client_and_server_over_ipv6(connect, scopes):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    client = connect(scopes, host="::1")
    client.ask()
    scope = scopes.get()
    assert scope["client"] == client.sock.getsockname()[:2]
    assert scope["server"] == client.sock.getpeername()[:2]
    assert scope["server"][0] == "::1"


def test_the_server_is_the_address_that_the_client_reached(connect, serve, scopes):
    server = serve(scopes, host="0.0.0.0")
    client = Client("127.0.0.2", server.port)
    client.ask()
    client.close()
    assert scopes.get()["server"] == ("127.0.0.2", server.port)


def test_clients_have_their_own_addresses(connect, serve, scopes):
    server = serve(scopes)
    clients = [connect(server) for _ in range(3)]
    for client in [*clients, *clients]:
        client.ask()
        assert scopes.get()["client"] == client.sock.getsockname()


@pytest.mark.parametrize("target", ["/there", "/api/there"])
def test_the_url_path_prefix_is_the_root_path(connect, scopes, target):
    client = connect(scopes, url_path_prefix="/api")
    client.ask(target)
    scope = scopes.get()
    assert scope["root_path"] == "/api"
    assert scope["path"] == "/api/there"  # which holds the root path, as the specification wants
    assert scope["raw_path"] == target.encode()


def test_a_path_that_only_begins_like_the_prefix_is_not_under_it(connect, scopes):
    client = connect(scopes, url_path_prefix="/api")
    client.ask("/apiary")
    assert scopes.get()["path"] == "/api/apiary"


def test_starlette_routes_below_the_url_path_prefix(connect):
    starlette = pytest.importorskip("starlette.applications")
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def there(request):
        return PlainTextResponse(str(request.url_for("there").path))

    app = starlette.Starlette(routes=[Route("/there", there)])
    client = connect(app, url_path_prefix="/api")
    assert client.ask("/there").body == b"/api/there"
    assert client.ask("/api/there").body == b"/api/there"


NAMES = (
    "Accept Accept-Encoding Accept-Language Authorization Cache-Control Connection Content-Type "
    "Cookie DNT If-Modified-Since If-None-Match Keep-Alive Origin Pragma Priority Range Referer "
    "Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site "
    "Sec-Fetch-User Sec-GPC Sec-WebSocket-Extensions Sec-WebSocket-Key Sec-WebSocket-Protocol "
    "Sec-WebSocket-Version TE Traceparent Tracestate Upgrade Upgrade-Insecure-Requests User-Agent "
    "Via Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Proto "
    "X-Forwarded-Prefix X-Real-IP X-Request-ID X-Requested-With"
)


def test_requests_share_the_names_of_their_fields(scope_of):
    """And the fields themselves, where nothing in them is a secret."""
    fields = [f"{name}: a" for name in NAMES.split()]
    first, second = (scope_of(request("/", *fields))["headers"] for _ in range(2))
    assert len(first) == len(fields) + 1
    assert [
        name for (name, _), (other, _) in zip(first, second, strict=True) if name is not other
    ] == []
    shared = {one[0] for one, other in zip(first, second, strict=True) if one is other}
    assert {b"host", b"upgrade", b"user-agent", b"sec-websocket-version"} <= shared
    assert not shared & {
        b"cookie",
        b"authorization",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
    }


def test_a_scope_is_no_larger_than_a_dictionary_with_its_keys(scope_of):
    scope = scope_of(request())
    assert sys.getsizeof(scope) <= sys.getsizeof(dict(scope.items()))


def test_without_lifespan_there_is_no_state(scope_of):
    assert "state" not in scope_of(request())


def test_the_state_is_a_shallow_copy_per_request(connect, scopes):
    shared: list[int] = []

    def startup(state):
        state.update(shared=shared, kept=1)

    client = connect(with_lifespan(scopes, startup), lifespan="on")
    client.ask()
    first = scopes.get()["state"]
    assert type(first) is dict
    assert first == {"shared": [], "kept": 1}
    assert first["shared"] is shared
    first["kept"] = 2
    first["new"] = 3
    first["shared"].append(4)
    client.ask()
    assert scopes.get()["state"] == {"shared": [4], "kept": 1}


def test_what_is_done_to_one_scope_is_not_seen_in_the_next(connect):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(repr(sorted(scope.items())))
        scope["headers"].append((b"x-more", b"1"))
        scope["asgi"]["version"] = "9"
        if "extensions" in scope:
            scope["extensions"]["more"] = {}
        scope["state"] = {}
        for key in list(scope):
            del scope[key]
        await answer(send)

    client = connect(app)
    client.ask("/same")
    first = seen.get()
    client.ask("/same")
    assert seen.get() == first
