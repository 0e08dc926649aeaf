"""The pytest plugin that the package registers: the fixture `granite_server`.

Owns starting and stopping test servers around a test. Imports the server only when a test asks for
it, since pytest loads this module in every run of every project that has granite installed. Runs on
the test's thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from granite.testing import TestServer

__all__ = ["GraniteServer", "granite_server"]


class GraniteServer(Protocol):
    """The type of the fixture `granite_server`."""

    def __call__(self, app: Any, **settings: Any) -> TestServer:
        """Serve `app` with `settings`; return the started server."""


@pytest.fixture
def granite_server() -> Iterator[GraniteServer]:
    """A function `granite_server(app, **settings)` that returns a started TestServer, stopped after
    the test.

    It may be called several times in one test; see `granite.testing.TestServer` for the arguments.
    """
    from granite.testing import TestServer

    with ExitStack() as stack:

        def serve(app: Any, **settings: Any) -> TestServer:
            return stack.enter_context(TestServer(app, **settings))

        yield serve
