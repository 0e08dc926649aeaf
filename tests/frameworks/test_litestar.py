"""Litestar."""

from __future__ import annotations

from tests.frameworks.contract import Background, Beside, Chunked, Contract, Sockets
from tests.frameworks.sites import asgi


@asgi("litestar_app:app", lifespan=True)
class TestLitestar(Background, Beside, Chunked, Sockets, Contract):
    """What is asked of all frameworks."""

    failure = 4500  # Litestar has a code of its own
