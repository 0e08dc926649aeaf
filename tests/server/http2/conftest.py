"""Clients of HTTP/2 for the servers of the tests of the core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar

import pytest

from granite.testing import TestServer
from tests.http2.client import Client
from tests.http2.wire import Wire
from tests.server.conftest import Serve

T = TypeVar("T", Client, Wire)

OF_CLIENTS = {"values", "receive_buffer", "stalls"}


class Open(Protocol[T]):  # type: ignore[misc]
    def __call__(self, served: Any, **settings: Any) -> T: ...


def _opened(
    kind: Callable[..., T], serve: Serve, transport: str, request: pytest.FixtureRequest
) -> Iterator[Open[T]]:
    authority = request.getfixturevalue("authority") if transport == "tls" else None
    with ExitStack() as stack:

        def open_to(served: Any, **settings: Any) -> T:
            options = {name: settings.pop(name) for name in OF_CLIENTS & settings.keys()}
            server = served if isinstance(served, TestServer) else serve(served, **settings)
            context = authority.trusting() if authority else None
            client = kind(server.host, server.port, context=context, **options)
            stack.callback(client.close)
            return client

        yield open_to


@pytest.fixture
def connect(serve: Serve, transport: str, request: pytest.FixtureRequest) -> Iterator[Open[Client]]:
    """A function that opens a connection to a server, or to a new one of the application given;
    what is no option of the client is a setting of the server.
    """
    yield from _opened(Client, serve, transport, request)


@pytest.fixture
def wire(serve: Serve, transport: str, request: pytest.FixtureRequest) -> Iterator[Open[Wire]]:
    """The same, for a client that sends its frames itself."""
    yield from _opened(Wire, serve, transport, request)
