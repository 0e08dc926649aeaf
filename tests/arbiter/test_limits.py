"""The limit of connections where several workers share an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arbiter.asking import until
from tests.arbiter.measuring import METRICS, Measured
from tests.server.raw import Client

APPS = Path(__file__).parent


@pytest.mark.parametrize("options", [(), ("--reuse-port",)], ids=["shared", "own sockets"])
def test_all_workers_fill_up_before_anybody_waits(run_granite, options):
    """A full worker leaves what comes to the other one, whoever the system has given it to."""
    granite = run_granite(
        *("apps:plain", "--workers", "2", "--max-connections", "4", *options, *METRICS),
        *("--keep-alive-timeout", "0"),  # they stay, however long the rest takes
        cwd=APPS,
    )
    server = Measured(granite)
    until(lambda: server.value("workers", state="ready") == 2)
    clients = [Client("127.0.0.1", granite.port) for _ in range(8)]
    try:
        for client in clients:
            assert client.ask().body == b"plain"
        until(lambda: server.value("connections_active") == 8)
        assert server.value("connections_active", worker="1") == 4
        late = [Client("127.0.0.1", granite.port) for _ in range(3)]
        for client in late:
            client.request()
        assert late[0].silent(0.3)
        until(lambda: server.value("accept_pauses") >= 2)
        for client in clients[:4]:
            client.close()
        for client in late:
            assert client.response().body == b"plain"
        clients += late
    finally:
        for client in clients:
            client.close()
    assert granite.stop() == 0
    assert "max_connections: 4 are open: new ones wait until others have closed" in granite.output
