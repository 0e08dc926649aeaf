"""The port whose requests are redirected to TLS: where it is opened, and what it is told by."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.arbiter.binding.sockets import Listen, connect, ipv6, message
from tests.ports import unused_port

SECURE = {"ssl_certificate": "cert.pem"}


def test_it_comes_last_at_each_host(listen: Listen) -> None:
    port = unused_port()
    bind = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"]
    opened = listen(bind=bind, ssl_redirect_port=port, **SECURE)
    urls = [listener.url for listener in opened]
    assert [url.partition(":")[0] for url in urls] == ["https"] * 3 + ["http"] * 2
    assert urls[3:] == [f"http://127.0.0.1:{port}", f"http://127.0.0.2:{port}"]
    for listener in opened[3:]:
        connect(listener)
        assert listener.divisible()
        assert listener.name == f"tcp:{listener.tcp[0] if listener.tcp else ''}:{port}"


@ipv6
def test_both_families(listen: Listen) -> None:
    port = unused_port()
    opened = listen(bind=["0.0.0.0:0", "[::]:0"], ssl_redirect_port=port, **SECURE)
    assert [one.url for one in opened[2:]] == [f"http://0.0.0.0:{port}", f"http://[::]:{port}"]


def test_a_socket_that_was_handed_over_is_told_by_its_port(listen: Listen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        port = parent.getsockname()[1]
        bind = [f"fd://{os.dup(parent.fileno())}", "127.0.0.1:0"]
        opened = listen(bind=bind, ssl_redirect_port=port, **SECURE)
    assert [one.url.partition(":")[0] for one in opened] == ["https", "http"]
    assert opened[1].origin == "inherited"


def test_refused(path: Path) -> None:
    settings = {"ssl_redirect_port": 80, **SECURE}
    assert message(uds=str(path), **settings).startswith("ssl_redirect_port: expected a TCP addr")
    assert not path.exists()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = message(port=0, ssl_redirect_port=port, **SECURE)
    assert said.startswith(f"cannot listen on 127.0.0.1:{port}: ")
