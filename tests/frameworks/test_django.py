"""Django."""

from __future__ import annotations

from tests.frameworks.contract import Chunked, Contract, Large
from tests.frameworks.sites import asgi


@asgi("django_app:asgi", lifespan=False)
class TestOverAsgi(Large, Chunked, Contract):
    """What is asked of all frameworks."""
