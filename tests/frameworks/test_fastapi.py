"""Fastapi."""

from __future__ import annotations

from tests.frameworks.contract import Background, Beside, Chunked, Contract, Ranges, Sockets
from tests.frameworks.sites import asgi


@asgi("fastapi_app:app", lifespan=True)
class TestFastApi(Background, Beside, Chunked, Ranges, Sockets, Contract):
    """What is asked of all frameworks."""
