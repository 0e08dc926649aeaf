"""Litestar."""

from __future__ import annotations

from tests.frameworks.contract import Background, Beside, Chunked, Contract
from tests.frameworks.sites import asgi


@asgi("litestar_app:app", lifespan=True)
class TestLitestar(Background, Beside, Chunked, Contract):
    """What is asked of all frameworks."""
