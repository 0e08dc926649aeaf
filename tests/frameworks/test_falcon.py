"""Falcon."""

from __future__ import annotations

from tests.frameworks.contract import Chunked, Contract, Ranges
from tests.frameworks.sites import asgi


@asgi("falcon_app:asgi", lifespan=True)
class TestOverAsgi(Chunked, Ranges, Contract):
    """What is asked of all frameworks."""
