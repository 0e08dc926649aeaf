"""Plain HTTP that is sent to the same place over TLS (`ssl_redirect_port`)."""

from __future__ import annotations

import os
import random

import httpx
import pytest

from granite import log as granite_log
from tests.ports import unused_port
from tests.server.apps import hello
from tests.server.inside import counted
from tests.server.logged import Logged
from tests.server.raw import Client


async def unwanted(scope, receive, send):
    raise AssertionError("the application was called")


@pytest.fixture
def transport() -> str:
    return "tls"


@pytest.fixture
def plain():
    """Connect to the port of plain HTTP of a server."""
    clients = []

    def plain(server, host="127.0.0.1"):
        clients.append(Client(host, server.config.ssl_redirect_port))
        return clients[-1]

    yield plain
    for client in clients:
        client.close()


@pytest.fixture
def redirecting(serve):
    return lambda app=unwanted, **settings: serve(app, ssl_redirect_port=unused_port(), **settings)


@pytest.fixture
def server(redirecting):
    return redirecting()


def message(host: str | None, target: str = "/", version: str = "1.1", *fields: str) -> bytes:
    hosts = [] if host is None else [f"Host: {host}"]
    lines = [f"GET {target} HTTP/{version}", *hosts, *fields, "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("host", "target", "place"),
    [
        ("a.example", "/", "a.example{}/"),
        ("a.example:80", "/b/c?d=e", "a.example{}/b/c?d=e"),
        ("A.example:", "/b%2Fc?%20", "A.example{}/b%2Fc?%20"),
        ("[::1]:8080", "/", "[::1]{}/"),
        ("[::1]", "/?", "[::1]{}/?"),
        ("127.0.0.1:1", '/"<>?\\^`|', '127.0.0.1{}/"<>?\\^`|'),
        ("a.example", "//evil.example/..", "a.example{}//evil.example/.."),
        ("a.example", "http://b.example:81/c?d", "b.example{}/c?d"),
        ("a.example", "http://b.example?d", "b.example{}/?d"),
        ("a.example", "http://b.example", "b.example{}/"),
    ],
)
def test_where_to(server, plain, host, target, place):
    client = plain(server)
    for _ in range(2):
        client.send(message(host, target))
        response = client.response()
        assert (response.status, response.reason) == (308, "Permanent Redirect")
        assert response.get("location") == f"https://{place.format(f':{server.port}')}"
        assert response.get("connection") is None


def test_everything_else_of_the_host_stays_out_of_the_place(server, plain):
    for host in ("a@b", "a/b", "a\\b", "a?b", "a#b", "a,b", "a b", "[a]", "a:b"):
        client = plain(server)
        client.send(message(host))
        assert client.response().status == 400, host
        assert client.gone()


@pytest.mark.parametrize(
    "request_", [message(None, version="1.0"), message(None), message(""), message(":80")]
)
def test_no_host(server, plain, request_):
    client = plain(server)
    client.send(request_)
    response = client.response()
    assert (response.status, response.get("location")) == (400, None)
    assert client.gone()


def test_http_1_0(server, plain):
    client = plain(server)
    client.send(message("a", "/b", "1.0"))
    response = client.response()
    assert response.get("location") == f"https://a:{server.port}/b"
    assert response.get("connection") == "close"
    assert client.ended()
    client = plain(server)
    client.send(message(None, "http://a/b", "1.0"))
    assert client.response().get("location") == f"https://a:{server.port}/b"


def test_methods_bodies_and_pipelining(server, plain):
    client = plain(server)
    head = b"HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n"
    post = b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"PUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    asterisk = b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    client.send(head + post + chunked + asterisk)
    for target in ("1", "2", "3", ""):
        response = client.response(head_only=target == "1")
        assert response.get("location") == f"https://a:{server.port}/{target}"
        assert response.get("content-length") == "18"
    assert client.ended()


def test_a_client_that_waits_to_send_its_body_is_not_asked_for_it(server, plain):
    client = plain(server)
    client.send(message("a", "/", "1.1", "Content-Length: 5", "Expect: 100-continue"))
    response = client.response()
    assert (response.status, response.get("connection")) == (308, "close")
    assert client.gone()


def test_a_head_in_pieces(server, plain):
    client = plain(server)
    client.send_per_byte(message("a", "/b"))
    assert client.response().get("location") == f"https://a:{server.port}/b"


def test_a_head_that_is_late(redirecting, plain):
    client = plain(redirecting(request_head_timeout=3))
    client.send(b"GET / HTTP/1.1\r\n")
    assert client.response().status == 408
    assert client.gone()


def test_large_targets_and_what_is_too_large(server, plain):
    target = "/" + "a" * 40_000
    client = plain(server)
    client.send(message("a", target))
    assert client.response().get("location") == f"https://a:{server.port}{target}"
    client.send(message("a", "/" + "a" * 70_000))
    assert client.response().status == 414


def test_the_port_is_the_first_one_of_tls(redirecting, plain):
    server = redirecting(bind=["127.0.0.1:0", "127.0.0.1:0"])
    client = plain(server)
    client.send(message("a"))
    assert client.response().get("location") == f"https://a:{server.port}/"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may have such ports")
def test_the_standard_port_is_left_out(serve, plain):
    host = f"127.{random.randrange(1, 255)}.{random.randrange(255)}.1"  # of this test alone
    client = plain(serve(unwanted, bind=f"{host}:443", ssl_redirect_port=80), host)
    client.send(message("a", "/b"))
    assert client.response().get("location") == "https://a/b"


def test_no_hsts_over_plain_http_and_everywhere_over_tls(redirecting, plain, connect):
    rate = {"max_requests_per_ip": "1/m", "max_requests_per_ip_burst": 1}
    server = redirecting(hello, ssl_hsts="max-age=1", forwarded_allow_ips="", **rate)
    client = plain(server)
    client.send(message("a"))
    response = client.response()
    assert (response.status, response.get("strict-transport-security")) == (308, None)
    client.send(message("a"))
    response = client.response()  # of both ports, as it is one client
    assert (response.status, response.get("strict-transport-security")) == (429, None)
    client = connect(server)
    response = client.ask("/")
    assert (response.status, response.get("strict-transport-security")) == (429, "max-age=1")
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    response = client.response()
    assert (response.status, response.get("strict-transport-security")) == (400, "max-age=1")


def test_limits_of_connections(redirecting, plain):
    server = redirecting(max_connections_per_ip=1, forwarded_allow_ips="")
    first = plain(server)
    first.send(message("a"))
    assert first.response().status == 308
    assert plain(server).response().status == 429


def test_it_is_counted_and_logged(serve, tmp_path, plain, authority):
    logged = Logged(serve, tmp_path / "access.log")
    try:
        server = logged(
            unwanted,
            ssl_redirect_port=unused_port(),
            access_log_fmt="%(r)s %(s)s %(scheme)s",
            **authority.settings,
        )
        client = plain(server)
        client.send(message("a", "/b?c"))
        client.response()
        assert logged.line() == "GET /b?c HTTP/1.1 308 http"
        assert counted(server)["responses_http1_3xx"] == 1
    finally:
        logged.restore()
        granite_log.close()


def test_a_client_that_follows(redirecting, trusting):
    server = redirecting(hello)
    url = f"http://127.0.0.1:{server.config.ssl_redirect_port}/a?b"
    response = httpx.post(url, content=b"x", verify=trusting, follow_redirects=True)
    assert (response.status_code, response.text) == (200, "hello")
    assert str(response.url) == server.url("/a?b")
    assert response.request.method == "POST"


def test_tls_is_not_spoken_there(server, plain):
    client = plain(server)
    client.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03")
    assert client.response().status == 400


def test_drain(server, plain):
    client = plain(server)
    client.send(message("a"))
    client.response()
    server.stop()
    assert client.gone()
    with pytest.raises(ConnectionRefusedError):
        plain(server)
