"""Django, by both of its interfaces."""

from __future__ import annotations

from tests.frameworks.contract import Beside, Chunked, Contract, Large
from tests.frameworks.sites import asgi, wsgi


@wsgi("django_app:wsgi")
class TestOverWsgi(Large, Contract):
    """What is asked of all frameworks."""


@asgi("django_app:asgi", lifespan=False)
class TestOverAsgi(Beside, Large, Chunked, Contract):
    """What is asked of all frameworks."""

    cancels_streams = True  # where that meets one that sends, its end is left to the collector
