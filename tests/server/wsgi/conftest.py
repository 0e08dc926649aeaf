"""Servers of WSGI: each test runs with one thread and with several."""

from __future__ import annotations

from typing import Any

import pytest

from granite.testing import TestServer
from tests.server.conftest import Serve


@pytest.fixture(params=[1, 4], ids=["one-thread", "threads"])
def threads(request: pytest.FixtureRequest) -> int:
    """How many threads call the application; 1 is the server's own."""
    return request.param


@pytest.fixture
def serve(serve: Serve, threads: int) -> Serve:
    """A function that serves an application of WSGI."""

    def serve_wsgi(app: Any, **settings: Any) -> TestServer:
        return serve(app, **{"interface": "wsgi", "blocking_threads": threads, **settings})

    return serve_wsgi
