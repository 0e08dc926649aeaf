"""Litestar."""

from __future__ import annotations

from tests.frameworks.contract import Background, Chunked, Contract
from tests.frameworks.sites import asgi


@asgi("litestar_app:app", lifespan=True)
class TestLitestar(Background, Chunked, Contract):
    """What is asked of all frameworks."""
