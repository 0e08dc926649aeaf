"""Fixtures of the tests of the core: servers, clients, and what the server logs.

Every test that uses them also checks that the server has no error of its own and nothing left at
its end.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from granite import log as granite_log
from granite.testing import TestServer
from tests.patience import PATIENT
from tests.server.logged import Logged
from tests.server.over_http2 import HTTP1_ONLY, OverHttp2
from tests.server.over_rsgi import OverRsgi
from tests.server.over_wsgi import ASGI_ONLY, OverWsgi
from tests.server.raw import Client
from tests.server.tls import Authority, Forger, Records, SecureSocket
from tests.server.tls12 import Forger12

# The modules whose tests run over TLS too: those about how bytes flow and connections end.
OVER_TLS = {
    *("test_back_pressure", "test_closing", "test_files", "test_files_content"),
    *("test_files_delivery", "test_files_refused", "test_timeouts", "test_transfer"),
}


# Those that run over TLS 1.2 as well as 1.3: about what both engines have in common.
OVER_TLS_1_2 = {
    *("test_back_pressure", "test_certificates_by_name", "test_client_certificates"),
    *("test_closing", "test_tls", "test_tls_handshakes", "test_tls_records_at_the_end"),
    *("test_tls_tickets", "test_transfer"),
}

# Those that run over HTTP/2 too: about what applications send, and what becomes of their calls.
OVER_HTTP2 = {
    *("test_applications", "test_context", "test_early_hints", "test_failures", "test_headers"),
    *("test_files_content", "test_lengths", "test_odd", "test_request_id", "test_rsgi_life"),
    *("test_rsgi_responses", "test_send", "test_start_response", "test_tasks"),
    *("test_websocket_closing", "test_websocket_flow", "test_websocket_messages"),
    "test_websocket_rsgi",
}

# Those that run over RSGI too: about what all interfaces have in common.
OVER_RSGI = {
    *("test_back_pressure", "test_cut_short", "test_overload_rejecting", "test_overload_waiting"),
    "test_timeouts_request",
}

# And those that run over WSGI, in threads.
OVER_WSGI = {
    *("test_absolute_form", "test_connections", "test_cut_short", "test_heads_in_pieces"),
    *("test_hop_by_hop", "test_overload_rejecting", "test_overload_waiting", "test_transfer"),
    "test_upgrade_offers",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module = metafunc.module.__name__.rpartition(".")[2]
    others = [name for name, over in (("rsgi", OVER_RSGI), ("wsgi", OVER_WSGI)) if module in over]
    if others and {"serve", "connect"} & set(metafunc.fixturenames):
        metafunc.parametrize("interface", ["asgi", *others])
    carriers = [
        *(["tls"] if module in OVER_TLS else []),
        *(["tls1.2"] if module in OVER_TLS & OVER_TLS_1_2 else []),
        *(["http2"] if module in OVER_HTTP2 else []),
    ]
    if "connect" in metafunc.fixturenames and carriers:
        metafunc.parametrize("transport", ["plain", *carriers])
        return
    given = [str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize")]
    is_for_both = module in OVER_TLS_1_2 and "tls_version" not in given
    if is_for_both and "authority" in metafunc.fixturenames:
        metafunc.parametrize("tls_version", ["1.3", "1.2"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """TLS knows nothing of the loop, nor does HTTP/2 or WSGI: one is enough. TLS 1.2 differs below
    all interfaces.
    """
    left_out = [item for item in items if _is_left_out(item)]
    if left_out:
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)


def _is_left_out(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return False
    params = item.callspec.params
    given = {str(params.get(name)) for name in ("transport", "loop", "interface")}
    if "uvloop" in given:
        return (
            not given.isdisjoint({"tls", "tls1.2", "http2", "wsgi"})
            or params.get("tls_version") == "1.2"
        )
    if "tls1.2" in given and not given.isdisjoint({"rsgi", "wsgi"}):
        return True
    if "http2" in given and item.originalname in HTTP1_ONLY:
        return True
    return "wsgi" in given and item.originalname in ASGI_ONLY


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
def tls_version(transport: str) -> str:
    """The version of TLS that clients of `authority` speak."""
    return "1.2" if transport == "tls1.2" else "1.3"


@pytest.fixture
def authority(authority: Authority, tls_version: str) -> Authority:
    return authority.of(tls_version)


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    """What a client needs that trusts the servers' certificate."""
    return authority.trusting()


@pytest.fixture
def loop() -> str:
    """The event loop of the servers; tests for which it matters are marked with `both_loops`."""
    return "asyncio"


@pytest.fixture
def transport() -> str:
    """What carries the tests' connections: "plain" TCP, "tls" or "tls1.2"."""
    return "plain"


@pytest.fixture
def interface() -> str:
    """The interface by which the servers call the tests' applications, which are of ASGI."""
    return "asgi"


@pytest.fixture
def serve(
    loop: str,
    log: Log,
    transport: str,
    tls_version: str,
    interface: str,
    request: pytest.FixtureRequest,
) -> Iterator[Serve]:
    """A function that serves an application, without lifespan unless told otherwise."""
    servers: list[TestServer] = []
    secured = request.getfixturevalue("authority").settings if transport.startswith("tls") else {}
    with ExitStack() as stack:

        def serve(app: Any, **settings: Any) -> TestServer:
            if interface == "rsgi":
                app = OverRsgi(app)
            elif interface == "wsgi":
                app = OverWsgi(app)
                settings = {"blocking_threads": 16, **settings}
            settings = {
                "lifespan": "off",
                "loop": loop,
                "graceful_timeout": 5.0,
                **PATIENT,
                "ssl_protocol_min": f"tls{tls_version}",
                **secured,
                **settings,
            }
            servers.append(stack.enter_context(TestServer(app, **settings)))
            return servers[-1]

        yield serve
    for server in servers:
        left = {name: count for name, count in server.counters().items() if count}
        assert not left, f"left after the end: {left}"


@pytest.fixture
def connect(serve: Serve, transport: str, request: pytest.FixtureRequest) -> Iterator[Connect]:
    """A function that opens a connection to a server, or to a new one of the application given."""
    secured = (
        request.getfixturevalue("authority").trusting() if transport.startswith("tls") else None
    )
    with ExitStack() as stack:

        def connect(served: Any, *, receive_buffer: int = 0, **settings: Any) -> Client:
            server = served if isinstance(served, TestServer) else serve(served, **settings)
            kind: Any = OverHttp2 if transport == "http2" else Client
            client: Client = kind(server.host, server.port, receive_buffer=receive_buffer)
            stack.callback(client.close)
            if secured is not None:
                client.sock = SecureSocket(client.sock, secured)  # type: ignore[assignment]
            return client

        yield connect


@pytest.fixture
def certificate(authority):
    """The settings of a server with a certificate for 127.0.0.1 and localhost."""
    return authority.settings


@pytest.fixture
def secured(serve, certificate):
    """A function that serves an application over TLS."""
    return lambda app, **settings: serve(app, **{**certificate, **settings})


@pytest.fixture
def records(trusting, request):
    """A function that opens a connection whose records the test moves."""

    def open_records(server: TestServer, context: ssl.SSLContext = trusting) -> Records:
        client = Records(server.host, server.port, context)
        request.addfinalizer(client.sock.close)
        return client

    return open_records


@pytest.fixture
def forger(authority, serve, tls_version):
    """A function that serves an application and takes over a connection to it."""
    # A ticket would be a record more to count; of TLS 1.2 the client takes none.
    kind, own = (Forger12, {}) if tls_version == "1.2" else (Forger, {"ssl_ticket_lifetime": 0})
    with ExitStack() as stack:

        def open_forger(app, **settings):
            server = serve(app, **{**own, **authority.settings, **settings})
            client = kind(server.host, server.port, authority)
            stack.callback(client.sock.close)
            return server, client

        yield open_forger


@pytest.fixture
def logged(serve, tmp_path):
    """A function that serves an application whose requests are logged in a file."""
    logged = Logged(serve, tmp_path / "access.log")
    yield logged
    logged.restore()
    granite_log.close()
