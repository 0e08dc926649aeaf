"""TCP: hosts, names, both families of addresses, and what cannot be had."""

from __future__ import annotations

import _socket
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from granite.testing import TestServer
from tests.arbiter.binding.sockets import Listen, connect, ipv6, message, port_of
from tests.patience import PATIENCE
from tests.ports import unused_port
from tests.server.apps import Seen, hello


def test_host_and_port(listen: Listen) -> None:
    [listener] = listen(port=0)
    assert listener.url.startswith("http://127.0.0.1:")
    assert listener.origin == ""
    assert not os.get_inheritable(listener.fd)
    assert not os.get_blocking(listener.fd)
    connect(listener)
    listener.close()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        connect(listener)


@pytest.mark.parametrize("settings", [{"host": "*"}, {"bind": ":0"}])
def test_every_ipv4_address(listen: Listen, settings: dict[str, Any]) -> None:
    [listener] = listen(port=0, **settings)
    assert listener.url.startswith("http://0.0.0.0:")
    connect(listener, "127.0.0.1")


def test_bind_replaces_the_others(listen: Listen, path: Path) -> None:
    [listener] = listen(bind="127.0.0.1:0", uds=str(path), host="not resolved", port=1)
    assert listener.url.startswith("http://127.0.0.1:")
    assert not path.exists()


def test_the_scheme(listen: Listen, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    [listener] = listen(port=0, ssl_certificate=str(certificate), ssl_keyfile=str(certificate))
    assert listener.url.startswith("https://127.0.0.1:")


@ipv6
def test_both_stacks(listen: Listen) -> None:
    [listener] = listen(bind="[::]:0")
    assert listener.url.startswith("http://[::]:")
    connect(listener, "127.0.0.1")
    connect(listener, "::1")


@ipv6
def test_an_ipv4_client_of_both_stacks() -> None:
    """It has its own address in the scope, not the one that is mapped into IPv6."""
    seen = Seen()

    async def app(scope, receive, send):
        seen.put((scope["client"][0], scope["server"][0]))
        await hello(scope, receive, send)

    with TestServer(app, bind="[::]:0", lifespan="off") as server:
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, server.port), timeout=PATIENCE) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                assert seen.get() == (host, host)
                assert client.recv(15) == b"HTTP/1.1 200 OK"


@ipv6
def test_one_stack_each(listen: Listen) -> None:
    port = unused_port()
    listeners = listen(bind=[f"[::]:{port}", f"0.0.0.0:{port}"])
    for listener, host in zip(listeners, ("::1", "127.0.0.1"), strict=True):
        connect(listener, host)


def test_every_address_of_a_name(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver's answer is given: what this machine's names resolve to is not ours."""
    answer = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0))
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.1", "192.0.2.1")
    ]
    with monkeypatch.context() as resolver:
        resolver.setattr(_socket, "getaddrinfo", lambda *_: answer)
        first, second = listen(bind="name:0")  # 192.0.2.1 is no address of ours
        del answer[:3]
        said = message(bind="name:0")
    assert said == "cannot listen on name:0: cannot assign requested address"
    assert (first.url, second.url) == (
        f"http://127.0.0.1:{port_of(first)}",
        f"http://127.0.0.2:{port_of(first)}",
    )
    connect(first)
    connect(second)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.1:0", "cannot assign requested address"),
        (f"{'a' * 70}.example:0", "the host name cannot be encoded"),
    ],
)
def test_addresses_that_cannot_be_had(address: str, reason: str) -> None:
    assert message(bind=address) == f"cannot listen on {address}: {reason}"


def test_a_port_in_use_leaves_nothing_behind(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = message(bind=[f"unix:{path}", "127.0.0.1:0", address])
    assert said == f"cannot listen on {address}: address already in use"
    assert not path.exists()
