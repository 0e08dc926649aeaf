"""The environ: who asks whom, by which scheme, and where the application is mounted."""

from __future__ import annotations

import json

import pytest

from tests.server.raw import Client
from tests.server.tls import SecureSocket

TRUSTING = {"forwarded_allow_ips": "127.0.0.1"}


def shown(environ, start_response):
    """The environ's strings."""
    start_response("200 OK", [])
    strings = {key: value for key, value in environ.items() if isinstance(value, str)}
    return [json.dumps(strings).encode()]


def ask(client, *fields, target="/"):
    return json.loads(client.ask(target, *fields).body)


def test_tcp(connect, serve):
    server = serve(shown)
    client = connect(server)
    environ = ask(client)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (
        "127.0.0.1",
        str(client.sock.getsockname()[1]),
    )
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", str(server.port))


def test_clients_are_told_apart(connect, serve):
    server = serve(shown)
    ports = []
    for _ in range(5):
        client = connect(server)
        ports.append(client.sock.getsockname()[1])
        assert [ask(client)["REMOTE_PORT"] for _ in range(2)] == [str(ports[-1])] * 2


def test_unix_sockets(serve, tmp_path):
    serve(shown, uds=str(tmp_path / "socket"))
    client = Client.at(str(tmp_path / "socket"))
    environ = ask(client)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("", "")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "80")
    client.close()


def test_a_proxy_at_a_unix_socket_that_speaks_of_https(serve, tmp_path):
    serve(shown, uds=str(tmp_path / "socket"), forwarded_allow_ips="unix:")
    client = Client.at(str(tmp_path / "socket"))
    environ = ask(client, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert (environ["REMOTE_ADDR"], environ["SERVER_PORT"]) == ("192.0.2.1", "443")
    client.close()


def test_tls(connect, authority):
    client = connect(shown, **authority.settings)
    client.sock = SecureSocket(client.sock, authority.trusting())
    environ = ask(client)
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")


def test_no_tls(connect):
    environ = ask(connect(shown), "Https: on")
    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ


def test_what_a_trusted_proxy_tells(connect):
    environ = ask(
        connect(shown, **TRUSTING, forwarded_headers="x-forwarded-for,x-forwarded-proto"),
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
    )
    assert environ["REMOTE_ADDR"] == "192.0.2.1"
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"


def test_what_somebody_else_tells(connect):
    environ = ask(
        connect(shown, forwarded_allow_ips="192.0.2.1"),
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Prefix: /evil",
    )
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert (environ["wsgi.url_scheme"], environ["SCRIPT_NAME"]) == ("http", "")


# where the application is mounted


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/api/users", "/users"),
        ("/api", ""),
        ("/api/", "/"),
        ("/apis", "/apis"),
        ("/users", "/users"),
        ("/%61pi/users", "/users"),
        ("/", "/"),
    ],
)
def test_url_path_prefix(connect, target, path):
    environ = ask(connect(shown, url_path_prefix="/api"), target=target)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/api", path)
    assert environ["RAW_URI"] == target


def test_a_prefix_in_latin_1(connect):
    environ = ask(connect(shown, url_path_prefix="/é"), target="/%C3%A9/%C3%A8")
    assert environ["SCRIPT_NAME"] == "/é".encode().decode("latin-1")
    assert environ["PATH_INFO"] == "/è".encode().decode("latin-1")


@pytest.mark.parametrize(
    ("prefix", "mounted", "target", "path"),
    [
        ("/proxied", "", "/users", "/users"),
        ("/proxied", "", "/proxied/users", "/users"),
        ("/proxied", "/api", "/api/users", "/users"),
        ("/proxied", "/api", "/proxied/api/users", "/users"),
        ("/proxied", "/api", "/users", "/users"),
        ("/proxied/", "", "/users", "/users"),
        ("/caf%C3%A9", "", "/users", "/users"),
    ],
)
def test_a_prefix_that_a_proxy_has_taken_away(connect, prefix, mounted, target, path):
    """What it leaves is behind it, whether it has taken it away or not; as ASGI's root_path."""
    client = connect(
        shown,
        **TRUSTING,
        forwarded_headers="x-forwarded-prefix",
        url_path_prefix=mounted,
    )
    environ = ask(client, f"X-Forwarded-Prefix: {prefix}", target=target)
    shown_prefix = prefix.removesuffix("/").replace("%C3%A9", "\xc3\xa9")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (shown_prefix + mounted, path)
    assert ask(client, target=target)["SCRIPT_NAME"] == mounted
