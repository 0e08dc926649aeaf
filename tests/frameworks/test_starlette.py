"""Starlette."""

from __future__ import annotations

from tests.frameworks.contract import Background, Beside, Chunked, Contract, Ranges, Sockets
from tests.frameworks.sites import Site, asgi


@asgi("starlette_app:app", lifespan=True)
class TestStarlette(Background, Beside, Chunked, Ranges, Sockets, Contract):
    """What is asked of all frameworks."""

    def test_mounted_routes(self, site: Site):
        assert site.client.get("/within/inside").text == site.url("/within/inside")
