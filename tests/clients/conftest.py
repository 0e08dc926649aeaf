"""A server for real clients, and the clients, as far as they are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from granite.testing import TestServer
from tests.clients import chromium, node
from tests.clients.apps import app
from tests.patience import PATIENT
from tests.ports import unused_port
from tests.server.tls import Authority

# The versions of HTTP that servers speak, and the setting of each.
VERSIONS = {"HTTP/1.1": "1", "HTTP/2": "auto"}


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """The version of HTTP that clients are served by, if they have it."""
    return str(request.param)


@pytest.fixture
def serve(authority: Authority, version: str) -> Iterator[Callable[..., TestServer]]:
    """A function that serves the application over TLS, and redirects to it."""
    with ExitStack() as stack:

        def serve(**settings: Any) -> TestServer:
            given = {
                **authority.settings,
                "host": "localhost",
                "lifespan": "off",
                "http": VERSIONS[version],
                **PATIENT,
                "ssl_redirect_port": unused_port(),
                **settings,
            }
            return stack.enter_context(TestServer(app, **given))

        yield serve


@pytest.fixture
def server(serve: Callable[..., TestServer]) -> TestServer:
    return serve()


@pytest.fixture
def run_node(authority: Authority) -> Callable[..., Any]:
    if node.find() is None:
        pytest.skip("Node is not installed")
    return partial(node.node, authority.file)


@pytest.fixture(scope="session")
def browser(authority: Authority) -> Iterator[chromium.Browser]:
    if chromium.find() is None:
        pytest.skip("Chromium is not installed")
    browser = chromium.Browser(authority.chain)
    yield browser
    browser.close()


@pytest.fixture
def visit(browser: chromium.Browser) -> Iterator[Callable[[str], chromium.Page]]:
    """A function that opens a page."""
    with ExitStack() as stack:

        def visit(url: str) -> chromium.Page:
            page = browser.open(url)
            stack.callback(page.close)
            return page

        yield visit
