"""Django's Channels."""

from __future__ import annotations

import pytest

from tests.frameworks.contract import Sockets
from tests.frameworks.sites import Served, served

pytest.importorskip("channels")


@served(Served("channels_app:app", "ASGI"))
class TestChannels(Sockets):
    """What is asked of all frameworks that have WebSockets."""
