"""Memory stays flat under the floods of HTTP/2, each of which ends its connection."""

from __future__ import annotations

import pytest

from granite.testing import TestServer
from tests.http2.wire import Wire
from tests.leaks import test_memory
from tests.leaks.test_memory import ALLOWED, private_bytes
from tests.server.apps import eventually
from tests.server.http2.floods import ENDED, Flood
from tests.server.http2.test_abuse import app, flooded

pytestmark = test_memory.pytestmark

WARM_UP, CONNECTIONS = 4, 12


@pytest.mark.parametrize("flood", ENDED, ids=lambda flood: flood.__name__)
def test_a_flood_leaves_memory_flat(flood: Flood) -> None:
    with TestServer(app, lifespan="off") as server:
        before = 0
        for number in range(WARM_UP + CONNECTIONS):
            if number == WARM_UP:
                before = private_bytes()
            client = Wire(server.host, server.port)
            flooded(client, flood)
            client.close()
            eventually(lambda: server.counters()["connections"] == 0)
        assert private_bytes() - before <= ALLOWED
