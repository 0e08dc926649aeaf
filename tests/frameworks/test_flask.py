"""Flask."""

from __future__ import annotations

from tests.frameworks.contract import Beside, Chunked, Contract, Ranges
from tests.frameworks.sites import Served, served, wsgi


@wsgi("flask_app:app")
class TestFlask(Chunked, Ranges, Contract):
    """What is asked of all frameworks."""


@served(Served("flask_app:app", "WSGI", options=("--threads", "4")))
class TestThreads(Beside):
    """What one thread cannot do."""
