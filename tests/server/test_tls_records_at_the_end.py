"""Records that end a connection, of TLS 1.3 and 1.2."""

from __future__ import annotations

import contextlib

import pytest

from tests.server.apps import answer, eventually, hello
from tests.server.records import CLOSE_NOTIFY, GET, INTERNAL_ERROR, USER_CANCELED, until_the_end
from tests.server.tls import ALERT, DATA, HANDSHAKE

pytestmark = pytest.mark.c_alone


def test_user_canceled_announces_the_end(forger):
    """What Java's clients send before close_notify (RFC 8446, 6.1)."""
    gone = []

    async def app(scope, receive, send):
        await receive()
        gone.append((await receive())["type"])

    _, client = forger(app)
    client.sock.sendall(client.seal(DATA, GET) + client.seal(ALERT, USER_CANCELED))
    client.sock.sendall(client.seal(ALERT, CLOSE_NOTIFY))
    eventually(lambda: gone == ["http.disconnect"])


def test_the_clients_alert_ends_the_connection(forger, log, tls_version):
    server, client = forger(until_the_end)
    client.sock.sendall(client.seal(DATA, GET) + client.seal(ALERT, bytes([2, INTERNAL_ERROR])))
    eventually(lambda: server.counters()["connections"] == 0)
    said = "the client sent the alert 80" + (" (internal error)" if tls_version == "1.2" else "")
    assert any(said in line for line in log.messages)


def test_what_comes_after_the_clients_end_is_not_read(forger):
    server, client = forger(hello)
    client.sock.sendall(client.seal(ALERT, CLOSE_NOTIFY) + client.seal(DATA, GET))
    assert client.open() == (ALERT, CLOSE_NOTIFY)
    with contextlib.suppress(ConnectionResetError):
        assert client.open() == (0, b"")
    assert server.counters()["exchanges"] == 0


def test_nothing_follows_an_alert(forger):
    """What waits for a slow client is not sent behind the alert that ends the connection."""

    async def app(scope, receive, send):
        await answer(send, bytes(20_000_000))

    _, client = forger(app)
    client.sock.sendall(client.seal(DATA, GET))
    kinds = [client.open()[0]]
    client.sock.sendall(client.seal(HANDSHAKE, b"\x14\0\0\x04abcd"))
    with contextlib.suppress(ConnectionResetError):
        while kinds[-1]:
            kinds.append(client.open()[0])
    assert ALERT not in kinds or kinds.index(ALERT) == len(kinds) - 2
    assert len(kinds) < 1000
