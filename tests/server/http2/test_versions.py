"""Which version of HTTP is spoken: by the setting, by ALPN, by the preface."""

from __future__ import annotations

import contextlib
import ssl

import pytest

from tests.http2.client import Client
from tests.http2.wire import PREFACE, SETTINGS, Wire, settings
from tests.server.apps import Scopes, hello
from tests.server.http2.marks import plain_and_tls
from tests.server.raw import Client as Http1Client
from tests.server.tls import SecureSocket


@pytest.fixture
def http1():
    clients = []

    def open_to(server, context=None):
        client = Http1Client(server.host, server.port)
        clients.append(client)
        if context is not None:
            client.sock = SecureSocket(client.sock, context)  # type: ignore[assignment]
        return client

    yield open_to
    for client in clients:
        client.close()


def negotiated(server, context, *offered):
    """What is chosen of what is offered; None if nothing is."""
    if offered:
        context.set_alpn_protocols(list(offered))
    client = Http1Client(server.host, server.port)
    try:
        with context.wrap_socket(client.sock, server_hostname="127.0.0.1") as sock:
            return sock.selected_alpn_protocol()
    finally:
        client.close()


@pytest.mark.parametrize("transport", ["tls"])
@pytest.mark.parametrize(
    ("http", "offered", "chosen"),
    [
        ("auto", ["h2", "http/1.1"], "h2"),
        ("auto", ["http/1.1", "h2"], "h2"),
        ("auto", ["http/1.1"], "http/1.1"),
        ("auto", ["h2"], "h2"),
        ("auto", ["spdy/3", "h2"], "h2"),
        ("auto", [], None),
        ("1", ["h2", "http/1.1"], "http/1.1"),
        ("1", [], None),
        ("2", ["h2", "http/1.1"], "h2"),
    ],
)
def test_alpn(serve, trusting, http, offered, chosen):
    assert negotiated(serve(hello, http=http), trusting, *offered) == chosen


@pytest.mark.parametrize("transport", ["tls"])
@pytest.mark.parametrize(("http", "offered"), [("2", ["http/1.1"]), ("1", ["h2"])])
def test_alpn_without_a_common_protocol(serve, trusting, http, offered):
    server = serve(hello, http=http)
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        negotiated(server, trusting, *offered)


@pytest.mark.parametrize("transport", ["tls"])
def test_h2_over_tls_1_3(serve, trusting):
    server = serve(hello)
    client = Client(server.host, server.port, context=trusting)
    assert client.ask().body == b"hello"
    assert isinstance(client.sock, ssl.SSLSocket)
    assert client.sock.version() == "TLSv1.3"
    client.close()


@plain_and_tls
def test_auto_serves_both(serve, connect, http1, transport, request):
    server = serve(hello)
    trusting = request.getfixturevalue("trusting") if transport == "tls" else None
    assert connect(server).ask().body == b"hello"
    assert http1(server, trusting).ask().body == b"hello"
    assert connect(server).ask().body == b"hello"


@pytest.mark.parametrize("size", [1, 3, 10, 23, 24, 25, 30])
def test_a_preface_in_pieces(serve, http1, size):
    server = serve(hello)
    data = PREFACE + settings({})
    raw = http1(server)
    for at in range(0, len(data), size):
        raw.send(data[at : at + size])
    head = raw.read(9)
    assert head[3] == SETTINGS


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRINT / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"P / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
@pytest.mark.parametrize("per_byte", [True, False])
def test_what_only_looks_like_a_preface(serve, http1, data, per_byte):
    client = http1(serve(hello))
    with contextlib.suppress(OSError):  # refused before its end
        client.send_per_byte(data) if per_byte else client.send(data)
    assert client.response().status == (400 if data.startswith(b"PRI *") else 200)


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
    ],
)
def test_a_preface_that_is_wrong(serve, http1, data):
    client = http1(serve(hello))
    client.send(data)
    client.rest()


def test_http1_alone_refuses_the_preface(serve, http1, log):
    client = http1(serve(hello, http="1"))
    client.send(PREFACE + settings({}))
    assert client.response().status == 505
    assert client.gone()


def test_http2_alone_refuses_http1(serve, http1, connect):
    server = serve(hello, http="2")
    client = http1(server)
    client.request()
    response = client.response()
    assert response.status in (426, 505)
    assert client.gone()
    assert connect(server).ask().body == b"hello"


@pytest.mark.parametrize("with_body", [True, False])
def test_an_upgrade_to_h2c_is_not_taken(serve, http1, with_body):
    """RFC 9113, 3.1: it is no longer a way into HTTP/2."""
    scopes = Scopes()
    client = http1(serve(scopes))
    fields = "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"
    body = b"hello" if with_body else b""
    for _ in range(2):
        response = client.ask("/", *fields, method="POST", body=body)
        assert response.status == 200
        assert response.get("upgrade") is None
        assert scopes.get()["http_version"] == "1.1"


def test_the_preface_behind_a_request_is_none(serve, http1):
    """A connection speaks one version."""
    client = http1(serve(hello))
    assert client.ask().status == 200
    client.send(PREFACE + settings({}))
    assert client.response().status in (400, 505)
    assert client.gone()


def test_a_preface_without_settings(serve):
    server = serve(hello)
    client = Wire(server.host, server.port, values=None)
    client.send(PREFACE)
    client.request()
    assert client.verdict() != (0, 0)
    client.close()
