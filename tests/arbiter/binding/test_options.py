"""The options of TCP sockets: on the listener, on what it accepts, and where there are none."""

from __future__ import annotations

import _socket
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from granite.testing import TestServer
from tests.arbiter.binding.sockets import Listen, ipv6, linux, message
from tests.patience import PATIENCE
from tests.server.apps import hello

OPTIONS: dict[str, tuple[dict[str, Any], int]] = {
    "TCP_NODELAY": ({}, 1),
    "SO_KEEPALIVE": ({"tcp_keepalive_idle": 60}, 1),
    "TCP_KEEPIDLE": ({"tcp_keepalive_idle": 60}, 60),
    "TCP_KEEPINTVL": ({"tcp_keepalive_idle": 60, "tcp_keepalive_interval": 7}, 7),
    "TCP_KEEPCNT": ({"tcp_keepalive_idle": 60, "tcp_keepalive_count": 3}, 3),
    "TCP_USER_TIMEOUT": ({"tcp_user_timeout": 2.5}, 2500),
    "TCP_FASTOPEN": ({"tcp_fastopen": 16}, 16),
    # The kernel keeps it as a number of retransmissions: after 1 s, 3 s, 7 s.
    "TCP_DEFER_ACCEPT": ({"tcp_defer_accept": 7}, 7),
}


def option(sock: socket.socket, name: str) -> int:
    level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
    return sock.getsockopt(level, getattr(socket, name))


@linux
@pytest.mark.parametrize("address", ["127.0.0.1:0", pytest.param("[::1]:0", marks=ipv6), "fd"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options_reach_the_connections(listen: Listen, name: str, address: str) -> None:
    settings, value = OPTIONS[name]
    if address == "fd":
        with socket.create_server(("127.0.0.1", 0)) as inherited:
            address = f"fd://{os.dup(inherited.fileno())}"
    [listener] = listen(bind=address, **settings)
    with socket.socket(fileno=os.dup(listener.fd)) as server:
        assert option(server, name) == value
        if name in ("TCP_FASTOPEN", "TCP_DEFER_ACCEPT"):  # of the listening socket alone
            return
        server.settimeout(PATIENCE)
        with socket.create_connection(server.getsockname()[:2], timeout=PATIENCE):
            connection, _ = server.accept()
            with connection:
                assert option(connection, name) == value


@linux
@pytest.mark.parametrize("inherited", [True, False])
@pytest.mark.parametrize("nodelay", [True, False])
def test_the_server_keeps_the_options(inherited: bool, nodelay: bool) -> None:
    """What the core accepts has the listener's options, and none of its own."""
    with socket.create_server(("127.0.0.1", 0)) as parent:
        settings: dict[str, Any] = {"port": 0}
        if inherited:
            settings = {"bind": f"fd://{os.dup(parent.fileno())}"}
        with TestServer(hello, lifespan="off", tcp_nodelay=nodelay, **settings) as server:
            with socket.create_connection((server.host, server.port), timeout=PATIENCE) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                assert client.recv(15) == b"HTTP/1.1 200 OK"
                with connection_of(client.getsockname()) as connection:
                    assert bool(option(connection, "TCP_NODELAY")) is nodelay


def connection_of(peer: Any) -> socket.socket:
    """A duplicate of this process's socket that is connected to `peer`."""
    for entry in Path("/proc/self/fd").iterdir():
        if not entry.is_socket():
            continue
        try:
            sock = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:  # closed just now
            continue
        try:
            if sock.getpeername() == peer:
                return sock
        except OSError:
            pass
        sock.close()
    raise AssertionError(f"no socket is connected to {peer}")


@linux
@pytest.mark.parametrize(
    "name", sorted(set(OPTIONS) - {"TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"})
)
def test_options_that_are_off(listen: Listen, name: str) -> None:
    [listener] = listen(port=0, tcp_nodelay=False)
    with socket.socket(fileno=os.dup(listener.fd)) as server:
        assert option(server, name) == 0


@pytest.mark.parametrize("name", [name for name in OPTIONS if name.startswith("TCP_")])
def test_options_that_the_system_does_not_have(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings, _ = OPTIONS[name]
    monkeypatch.delattr(_socket, name)
    if settings:
        listen(port=0)
    assert name in message(port=0, **settings)
