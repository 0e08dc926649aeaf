"""Starlette."""

from __future__ import annotations

from tests.frameworks.contract import Background, Chunked, Contract, Ranges
from tests.frameworks.sites import asgi


@asgi("starlette_app:app", lifespan=True)
class TestStarlette(Background, Chunked, Ranges, Contract):
    """What is asked of all frameworks."""
