"""Quart."""

from __future__ import annotations

from tests.frameworks.contract import Background, Beside, Chunked, Contract, Ranges
from tests.frameworks.sites import asgi


@asgi("quart_app:app", lifespan=True)
class TestQuart(Background, Beside, Chunked, Ranges, Contract):
    """What is asked of all frameworks."""
