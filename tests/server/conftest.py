"""Fixtures of the tests of the core: servers, clients, and what the server logs.

Every test that uses them also checks that the server has no error of its own and nothing left at
its end.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from granite.testing import TestServer
from tests.server.raw import Client


class Serve(Protocol):
    def __call__(self, app: Any, **settings: Any) -> TestServer: ...


class Connect(Protocol):
    def __call__(self, served: Any, *, receive_buffer: int = 0, **settings: Any) -> Client: ...


class Log(logging.Handler):
    """The records of granite.error and asyncio."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def errors(self) -> list[logging.LogRecord]:
        return [record for record in self.records if record.levelno >= logging.ERROR]

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Each server's end collects garbage, which costs as much as there are objects to look at."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def log() -> Iterator[Log]:
    """What granite and asyncio log; the test fails if the server has failed itself."""
    handler = Log()
    loggers = [logging.getLogger(name) for name in ("granite.error", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield handler
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)
    formatter = logging.Formatter()
    unexpected = [
        formatter.format(record)
        for record in handler.errors
        if record.name == "asyncio" or record.getMessage().startswith("unexpected error")
    ]
    assert not unexpected, "\n".join(unexpected)


@pytest.fixture
def loop() -> str:
    """The event loop of the servers; tests for which it matters are marked with `both_loops`."""
    return "asyncio"


@pytest.fixture
def serve(loop: str, log: Log) -> Iterator[Serve]:
    """A function that serves an application, without lifespan unless told otherwise."""
    servers: list[TestServer] = []
    with ExitStack() as stack:

        def serve(app: Any, **settings: Any) -> TestServer:
            settings = {"lifespan": "off", "loop": loop, "graceful_timeout": 1.0, **settings}
            servers.append(stack.enter_context(TestServer(app, **settings)))
            return servers[-1]

        yield serve
    for server in servers:
        left = {name: count for name, count in server.counters().items() if count}
        assert not left, f"left after the end: {left}"


@pytest.fixture
def connect(serve: Serve) -> Iterator[Connect]:
    """A function that opens a connection to a server, or to a new one of the application given."""
    with ExitStack() as stack:

        def connect(served: Any, *, receive_buffer: int = 0, **settings: Any) -> Client:
            server = served if isinstance(served, TestServer) else serve(served, **settings)
            client = Client(server.host, server.port, receive_buffer=receive_buffer)
            stack.callback(client.close)
            return client

        yield connect
