"""Falcon, by both of its interfaces."""

from __future__ import annotations

from tests.frameworks.contract import Beside, Chunked, Contract, Ranges
from tests.frameworks.sites import asgi, wsgi


@wsgi("falcon_app:wsgi")
class TestOverWsgi(Ranges, Contract):
    """What is asked of all frameworks."""


@asgi("falcon_app:asgi", lifespan=True)
class TestOverAsgi(Beside, Chunked, Ranges, Contract):
    """What is asked of all frameworks."""
