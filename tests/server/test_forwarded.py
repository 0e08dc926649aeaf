"""What proxies tell of their clients: who is believed, and what follows from it.

The peer is 127.0.0.1. Trusted are it, 10.0.0.0/8 and 2001:db8:1::/48, unless a test says otherwise.
"""

from __future__ import annotations

import pytest

from tests.server.apps import Scopes
from tests.server.raw import request

TRUSTED = "127.0.0.1,10.0.0.0/8,2001:db8:1::/48"
ALL = "x-forwarded,x-real-ip"
OWN = ("127.0.0.1", None)  # the peer's own address and port


@pytest.fixture
def scope_of(connect):
    """The scope of a request with these field lines; what the proxies' words left alone is None."""

    def scope_of(*fields: str, path: str = "/p", **settings):
        scopes = Scopes()
        settings = {"forwarded_allow_ips": TRUSTED, "forwarded_headers": ALL} | settings
        client = connect(scopes, **settings)
        client.send(request(path, *fields))
        assert client.response().status == 200
        scope = scopes.get()
        if tuple(scope["client"]) == client.sock.getsockname():
            scope["client"] = OWN
        if tuple(scope["server"]) == client.sock.getpeername():
            scope["server"] = None
        return scope

    return scope_of


FOR = [
    ([""], OWN),
    ([" , ,"], OWN),
    (["1.2.3.4"], ("1.2.3.4", 0)),
    ([" 1.2.3.4\t"], ("1.2.3.4", 0)),
    (["1.2.3.4:5"], ("1.2.3.4", 5)),
    (["1.2.3.4:0"], ("1.2.3.4", 0)),
    (["1.2.3.4:65535"], ("1.2.3.4", 65535)),
    (["1.2.3.4:_port"], ("1.2.3.4", 0)),
    (["2001:db8::1"], ("2001:db8::1", 0)),
    (["2001:DB8:0:0::1"], ("2001:db8::1", 0)),
    (["[2001:db8::1]"], ("2001:db8::1", 0)),
    (["[2001:db8::1]:5"], ("2001:db8::1", 5)),
    (["::ffff:1.2.3.4"], ("1.2.3.4", 0)),
    # who writes on the left is not believed
    (["9.9.9.9, 1.2.3.4"], ("1.2.3.4", 0)),
    (["127.0.0.1, 1.2.3.4"], ("1.2.3.4", 0)),
    (["garbage, 1.2.3.4"], ("1.2.3.4", 0)),
    (['", 1.2.3.4'], ("1.2.3.4", 0)),
    (["9.9.9.9", "1.2.3.4"], ("1.2.3.4", 0)),
    (["9.9.9.9, 8.8.8.8", "1.2.3.4, 10.0.0.1"], ("1.2.3.4", 0)),
    (["9.9.9.9", ""], ("9.9.9.9", 0)),
    # proxies lead on
    (["1.2.3.4, 10.0.0.1"], ("1.2.3.4", 0)),
    (["1.2.3.4:5, 10.0.0.1:6, 10.255.255.255:7"], ("1.2.3.4", 5)),
    (["9.9.9.9, 1.2.3.4, [2001:db8:1::1]:5, ::ffff:10.0.0.1"], ("1.2.3.4", 0)),
    (["1.2.3.4,,10.0.0.1, ,"], ("1.2.3.4", 0)),
    (["9.9.9.9,11.0.0.0,10.0.0.1"], ("11.0.0.0", 0)),
    (["9.9.9.9,2001:db8:2::,10.0.0.1"], ("2001:db8:2::", 0)),
    # all are proxies: the outermost
    (["10.0.0.3, 10.0.0.2:2, 10.0.0.1"], ("10.0.0.3", 0)),
    (["127.0.0.1"], ("127.0.0.1", 0)),
    # what is no address ends the search: the last address counts
    (["garbage"], OWN),
    (["1.2.3.4, garbage"], OWN),
    (["1.2.3.4, garbage, 10.0.0.1:5"], ("10.0.0.1", 5)),
    (["1.2.3.4, unknown, 10.0.0.1"], ("10.0.0.1", 0)),
    (["1.2.3.4, _hidden"], OWN),
    *(
        ([f"1.2.3.4, {wrong}"], OWN)
        for wrong in (
            *("1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:x"),
            *("1.2.3.4:-1", "1.2.3.4 5", "1.2.3.4/32", "[1.2.3.4]", "[::1", "::1]", "[::1]5"),
            *("[::1]:", "[::1]:65536", "[]", ":::", "fe80::1%lo", "host.example", "\xe9", "x" * 99),
        )
    ),
]


@pytest.mark.parametrize(("lines", "client"), FOR, ids=lambda value: repr(value)[:40])
def test_x_forwarded_for(lines, client, scope_of):
    assert scope_of(*(f"X-Forwarded-For: {line}" for line in lines))["client"] == client


@pytest.mark.parametrize(
    ("line", "client"),
    [
        ("1.2.3.4", ("1.2.3.4", 0)),
        ("[::1]:5", ("::1", 5)),
        ("9.9.9.9, 1.2.3.4", ("1.2.3.4", 0)),
        ("10.0.0.1", ("10.0.0.1", 0)),
        ("garbage", OWN),
        ("", OWN),
    ],
)
def test_x_real_ip(line, client, scope_of):
    assert scope_of(f"X-Real-IP: {line}")["client"] == client
    # the list says more
    fields = (f"X-Real-IP: {line}", "X-Forwarded-For: 8.8.8.8")
    assert scope_of(*fields)["client"] == ("8.8.8.8", 0)


@pytest.mark.parametrize(
    ("lines", "scheme"),
    [
        (["https"], "https"),
        (["HTTPS"], "https"),
        (["wss"], "https"),
        (["http"], "http"),
        (["ws"], "http"),
        ([""], "http"),
        (["ftp"], "http"),
        (["httpss"], "http"),
        (["https://"], "http"),
        (["https, http"], "http"),
        (["https", "http"], "http"),
        (["http", "https"], "https"),
        (["https, ftp"], "http"),
    ],
)
def test_x_forwarded_proto(lines, scheme, scope_of):
    assert scope_of(*(f"X-Forwarded-Proto: {line}" for line in lines))["scheme"] == scheme


@pytest.mark.parametrize(
    ("forwarded_for", "proto", "scheme"),
    [
        ("9.9.9.9, 1.2.3.4", "https, http", "http"),  # the client has written the first
        ("1.2.3.4, 10.0.0.1", "https, http", "https"),
        ("9.9.9.9, 1.2.3.4, 10.0.0.1", "http, https, http", "https"),
        ("1.2.3.4, 10.0.0.1, 10.0.0.2", "https", "https"),  # one has put its own in its place
        ("garbage, 10.0.0.1", "https, http", "http"),
        ("garbage", "http, https", "https"),
    ],
)
def test_the_scheme_is_the_one_that_the_proxy_saw_the_client_use(
    forwarded_for, proto, scheme, scope_of
):
    scope = scope_of(f"X-Forwarded-For: {forwarded_for}", f"X-Forwarded-Proto: {proto}")
    assert scope["scheme"] == scheme


@pytest.mark.parametrize(
    ("fields", "server", "host"),
    [
        (["Host: a.example"], ("a.example", 80), "a.example"),
        (["Host: a.example:8080"], ("a.example", 8080), "a.example:8080"),
        (["Host: [::1]:8080"], ("::1", 8080), "[::1]:8080"),
        (["Host: [::1]"], ("::1", 80), "[::1]"),
        (["Host: 1.2.3.4"], ("1.2.3.4", 80), "1.2.3.4"),
        (["Host: x.example, a.example"], ("a.example", 80), "a.example"),
        (["Host: a.example", "Proto: https"], ("a.example", 443), "a.example"),
        (["Host: a.example", "Port: 8443"], ("a.example", 8443), "a.example"),
        (["Host: a.example:1", "Port: 2"], ("a.example", 1), "a.example:1"),
        (["Port: 8443"], ("127.0.0.1", 8443), "test"),
        (["Port: 1, 2"], ("127.0.0.1", 2), "test"),
        (["Port: 0"], None, "test"),
        (["Port: 65536"], None, "test"),
        (["Port: x"], None, "test"),
        *(
            ([f"Host: {wrong}"], None, "test")
            for wrong in (
                *("a b", "a/b", "a@b", "a.example:", "a.example:x", "a.example:0", "[::1", "[x]"),
                *(":80", "a?b", "a#b", 'a"b', "a<b", "a\\b", "\xe9"),
            )
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_host_and_port(fields, server, host, scope_of):
    scope = scope_of(*(f"X-Forwarded-{field}" for field in fields))
    assert scope["server"] == server
    assert [value for name, value in scope["headers"] if name == b"host"] == [host.encode()]


@pytest.mark.parametrize(
    ("line", "root_path", "path"),
    [
        ("/shop", "/shop", "/shop/p"),
        ("/shop/", "/shop", "/shop/p"),
        ("/a/b", "/a/b", "/a/b/p"),
        ("/a%20b/caf%C3%A9", "/a b/café", "/a b/café/p"),
        ("/x, /shop", "/shop", "/shop/p"),
        ("/p", "/p", "/p"),  # the proxy has left it in the path
        ("/", "", "/p"),
        ("", "", "/p"),
        *(
            (wrong, "", "/p")
            for wrong in (
                *("shop", "//host", "/a//b", "/%2F", "/%2fhost", "/a%0d%0aX:1", "/a%00"),
                *(
                    "/../a",
                    "/a/..",
                    "/./",
                    "/%2e%2e/",
                    "/\\host",
                    "/%5Chost",
                    "/%ff",
                    "/\xe9",
                    "/%7f",
                ),
                *("/a b", "https://host/", "/%E2%80%8F"),
            )
        ),
    ],
)
def test_prefix(line, root_path, path, scope_of):
    scope = scope_of(f"X-Forwarded-Prefix: {line}")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == (root_path, path, b"/p")


@pytest.mark.parametrize(
    ("requested", "path"),
    [("/api/p", "/shop/api/p"), ("/p", "/shop/api/p"), ("/shop/api/p", "/shop/api/shop/api/p")],
)
def test_a_prefix_goes_before_the_one_of_the_settings(requested, path, scope_of):
    scope = scope_of("X-Forwarded-Prefix: /shop", path=requested, url_path_prefix="/api")
    assert (scope["root_path"], scope["path"]) == ("/shop/api", path)


FORWARDED = [
    (["for=1.2.3.4"], ("1.2.3.4", 0), "http", None),
    (["For=1.2.3.4;Proto=HTTPS"], ("1.2.3.4", 0), "https", None),
    (['for="1.2.3.4:5";proto="https"'], ("1.2.3.4", 5), "https", None),
    (['for="[2001:db8::1]:5"'], ("2001:db8::1", 5), "http", None),
    (['for="[2001:db8::1]"; by=_me ;proto=https'], ("2001:db8::1", 0), "https", None),
    (["host=a.example;for=1.2.3.4;proto=https"], ("1.2.3.4", 0), "https", ("a.example", 443)),
    (['host="a.example:8080"'], OWN, "http", ("a.example", 8080)),
    (["proto=https"], OWN, "https", None),
    (['x="";for=1.2.3.4;proto=""'], ("1.2.3.4", 0), "http", None),
    (["for=1.2.3.4;;proto=https;"], ("1.2.3.4", 0), "https", None),
    (["for=1.2.3.4;x=,"], OWN, "http", None),
    # to the left is what the client may have written
    (["for=9.9.9.9;proto=https, for=1.2.3.4"], ("1.2.3.4", 0), "http", None),
    (["for=9.9.9.9", "for=1.2.3.4;proto=https"], ("1.2.3.4", 0), "https", None),
    (['for="x, for=1.2.3.4'], ("1.2.3.4", 0), "http", None),
    (['for="x, for="[2001:db8::1]"'], ("2001:db8::1", 0), "http", None),
    (['for="\\, for="[2001:db8::1]:1";proto=https'], ("2001:db8::1", 1), "https", None),
    (['x="\\"", for=1.2.3.4'], ("1.2.3.4", 0), "http", None),
    # the proxies' own
    (["for=1.2.3.4;proto=https, for=10.0.0.1;proto=http"], ("1.2.3.4", 0), "https", None),
    (["for=1.2.3.4, for=10.0.0.1;proto=https"], ("1.2.3.4", 0), "https", None),
    (['for=1.2.3.4;x="a,\\",b", for=10.0.0.1;y=","'], ("1.2.3.4", 0), "http", None),
    (['for="[2001:db8:1::5]:_p", for=10.0.0.1'], ("2001:db8:1::5", 0), "http", None),
    # no address
    (["for=unknown;proto=https"], OWN, "https", None),
    (["for=UNKNOWN, for=10.0.0.1"], ("10.0.0.1", 0), "http", None),
    (['for="_x", for=10.0.0.1;proto=https'], ("10.0.0.1", 0), "https", None),
    *(
        ([f"for=9.9.9.9, {wrong}"], OWN, "http", None)
        for wrong in (
            *("1.2.3.4", "for", "for=", 'for=""', "=1.2.3.4", "for =1.2.3.4", "for= 1.2.3.4"),
            *("for=1.2.3.4;for=1.2.3.5", 'for="1.2.3.4', 'for=1.2.3.4"', 'for="1.2.3.4"x'),
            *("for=1.2.3.4 5", 'for="\\1.2.3.4"', "for=2001:db8::1;proto", "f@r=1.2.3.4"),
            *('for="1.2.3.4\\"', "for=[1.2.3.4]", "for=a.example", "proto=http;;=;"),
        )
    ),
]


@pytest.mark.parametrize(
    ("lines", "client", "scheme", "server"), FORWARDED, ids=lambda value: repr(value)[:40]
)
def test_forwarded(lines, client, scheme, server, scope_of):
    fields = [f"Forwarded: {line}" for line in lines]
    scope = scope_of(*fields, forwarded_headers="forwarded")
    assert (scope["client"], scope["scheme"], scope["server"]) == (client, scheme, server)


def test_forwarded_stands_in_for_the_others(scope_of):
    fields = ("Forwarded: for=1.2.3.4", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https")
    for settings in ("forwarded", "forwarded,x-forwarded"):
        scope = scope_of(*fields, forwarded_headers=settings)
        assert (scope["client"], scope["scheme"]) == (("1.2.3.4", 0), "http")
    scope = scope_of(*fields[1:], forwarded_headers="forwarded,x-forwarded")
    assert (scope["client"], scope["scheme"]) == (("9.9.9.9", 0), "https")


EVERYTHING = (
    "X-Forwarded-For: 1.2.3.4",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Prefix: /evil",
    "X-Real-IP: 5.6.7.8",
    "Forwarded: for=6.7.8.9;host=evil.example;proto=https",
)


@pytest.mark.parametrize(
    "settings",
    [
        {"forwarded_allow_ips": "10.0.0.0/8,128.0.0.0/1,126.0.0.0/8,::1,unix:,::/0"},
        {"forwarded_allow_ips": ""},
        {"forwarded_headers": "none"},
        {"proxy_headers": False, "forwarded_headers": None},
    ],
    ids=repr,
)
def test_who_is_not_believed_changes_nothing(settings, scope_of):
    if "forwarded_headers" not in settings:
        settings["forwarded_headers"] = f"{ALL},forwarded"
    scope = scope_of(*EVERYTHING, **settings)
    assert (scope["client"], scope["scheme"], scope["server"]) == (OWN, "http", None)
    assert (scope["root_path"], scope["path"]) == ("", "/p")
    assert (b"host", b"test") in scope["headers"]
    assert (b"x-forwarded-for", b"1.2.3.4") in scope["headers"]


def test_by_default_only_what_every_proxy_sets_is_believed(scope_of):
    scope = scope_of(*EVERYTHING, forwarded_headers=None, forwarded_allow_ips=None)
    assert (scope["client"], scope["scheme"], scope["server"]) == (("1.2.3.4", 0), "https", None)
    assert (scope["root_path"], scope["path"]) == ("", "/p")
    assert (b"host", b"test") in scope["headers"]


@pytest.mark.parametrize(
    "trusted",
    ["*", "127.0.0.1", "127.0.0.0/8", "0.0.0.0/0", "::ffff:127.0.0.1", "1.1.1.1,127.0.0.1"],
)
def test_who_is_believed(trusted, scope_of):
    scope = scope_of("X-Forwarded-For: 1.2.3.4", forwarded_allow_ips=trusted)
    assert scope["client"] == ("1.2.3.4", 0)


def test_everybody_leads_on_to_the_leftmost(scope_of):
    scope = scope_of("X-Forwarded-For: 9.9.9.9, 1.2.3.4", forwarded_allow_ips="*")
    assert scope["client"] == ("9.9.9.9", 0)


def test_many_networks(scope_of):
    """Of which some overlap, some touch each other, and one is hit at either end."""
    trusted = [f"10.{a}.{b}.0/24" for a in range(20) for b in range(0, 256, 2)]
    trusted += ["127.0.0.1", "10.3.0.0/16", "10.4.0.0/15", "2001:db8::/64", "2001:db8:0:1::/64"]
    for inside in ("10.0.0.0", "10.19.254.255", "10.3.1.1", "10.5.255.255", "2001:db8:0:1::f"):
        scope = scope_of(f"X-Forwarded-For: 9.9.9.9, {inside}", forwarded_allow_ips=trusted)
        assert scope["client"] == ("9.9.9.9", 0), inside
    for outside in ("9.255.255.255", "10.0.1.0", "10.19.255.0", "10.20.0.0", "2001:db8:0:2::"):
        scope = scope_of(f"X-Forwarded-For: 9.9.9.9, {outside}", forwarded_allow_ips=trusted)
        assert scope["client"] == (outside, 0)


def test_each_request_of_a_connection_has_its_own(connect):
    scopes = Scopes()
    client = connect(scopes, forwarded_allow_ips=TRUSTED)
    for fields, expected in [
        (["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"], (("1.2.3.4", 0), "https")),
        ([], (client.sock.getsockname(), "http")),
        (["X-Forwarded-For: 5.6.7.8"], (("5.6.7.8", 0), "http")),
    ]:
        client.send_per_byte(request("/", *fields))
        assert client.response().status == 200
        scope = scopes.get()
        assert (scope["client"], scope["scheme"]) == expected


def test_limits_and_the_log_go_by_the_client(connect, log):
    limits = {"max_requests_per_ip": "1/m", "max_requests_per_ip_burst": 1}
    client = connect(Scopes(), forwarded_allow_ips=TRUSTED, **limits)
    for address, status in [("1.2.3.4", 200), ("1.2.3.5", 200), ("1.2.3.4:80", 429)]:
        assert client.ask("/", f"X-Forwarded-For: {address}").status == status
    assert log.messages == ["1.2.3.4:80: 429, more requests than max_requests_per_ip allows"]


def test_trailers_tell_nothing(connect):
    scopes = Scopes()
    client = connect(scopes, forwarded_allow_ips=TRUSTED)
    client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
    )
    assert client.response().status == 200
    assert scopes.get()["client"] == client.sock.getsockname()


def test_what_is_of_no_use_is_said_once(connect, log):
    client = connect(Scopes(), forwarded_allow_ips=TRUSTED, forwarded_headers=ALL)
    peer = "{}:{}".format(*client.sock.getsockname())
    for _ in range(2):
        client.ask(
            "/",
            "X-Forwarded-For: 1.2.3.4, nonsense",
            "X-Forwarded-Proto: ftp",
            "X-Forwarded-Host: a b",
            "X-Forwarded-Port: none",
            "X-Forwarded-Prefix: //host",
        )
    client.ask("/", "X-Forwarded-For: unknown")
    rest = "; it is left out, and not mentioned again"
    assert log.messages == [
        f"{peer}: x-forwarded-for: expected an address, got 'nonsense'{rest}",
        f"{peer}: x-forwarded-proto: expected http or https, got 'ftp'{rest}",
        f"{peer}: x-forwarded-port: expected a port, got 'none'{rest}",
        f"{peer}: x-forwarded-host: expected a host, got 'a b'{rest}",
        f"{peer}: x-forwarded-prefix: expected an absolute path, got '//host'{rest}",
    ]
