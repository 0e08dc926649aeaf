"""Live objects are counted, and nothing stays: after requests that end well, after connections that
are aborted in each phase, and after reference cycles in the application.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from granite.testing import TestServer
from tests.patience import PATIENCE

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD_BEGUN = GET[:20]
BODY_BEGUN = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegun"
CHUNK_BEGUN = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbeg"
TRAILER_BEGUN = CHUNK_BEGUN + b"un\r\n0\r\nx-one: 1\r\nx-tw"
LARGE = Path(sys.executable).resolve()  # a file that no socket buffer holds


def connect(server: TestServer) -> socket.socket:
    sock = socket.create_connection((server.host, server.port))
    sock.settimeout(PATIENCE)
    return sock


def reset(sock: socket.socket) -> None:
    """Close with a RST in place of a FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def finish(sock: socket.socket) -> None:
    """Close with a FIN, if everything that came was read."""
    sock.close()


def wait_for(server: TestServer, **wanted: int) -> None:
    """Return when the counters have the values, AssertionError if they never do."""
    deadline = time.monotonic() + PATIENCE
    while True:
        counters = server.counters()
        if all(counters[name] == value for name, value in wanted.items()):
            return
        assert time.monotonic() < deadline, counters


def wait_until_quiet(server: TestServer) -> None:
    gc.collect()
    gone = ("connections", "sessions", "buffers", "files", "timers", "exchanges", "running")
    wait_for(server, **dict.fromkeys(gone, 0))


async def hello(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def reads(scope, receive, send) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
    await hello(scope, receive, send)


async def waits_for_disconnect(scope, receive, send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def streams(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})


async def streams_small(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": bytes(100), "more_body": True})
        await asyncio.sleep(0)


async def streams_a_file(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    with LARGE.open("rb") as file:
        while True:
            message = {"type": "http.response.zerocopysend", "file": file, "offset": 0}
            await send({**message, "more_body": True})


async def answers_with_a_file(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": str(LARGE)})


async def hints(scope, receive, send) -> None:
    while True:
        await send({"type": "http.response.early_hint", "links": [b"</a>" * 100]})
        await asyncio.sleep(0)


async def owes_its_trailers(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "trailers": True})
    await send({"type": "http.response.body", "body": b"ok"})
    more = {"type": "http.response.trailers", "headers": [(b"a", b"b")], "more_trailers": True}
    await send(more)
    await waits_for_disconnect(scope, receive, send)


async def head_only(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await waits_for_disconnect(scope, receive, send)


@pytest.fixture(params=["asyncio", "uvloop"])
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., TestServer]]:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    servers: list[TestServer] = []

    def start(app, **settings) -> TestServer:
        server = TestServer(app, lifespan="off", loop=request.param, **settings)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
        assert {name: count for name, count in server.counters().items() if count} == {}


def test_two_thousand_connections(serve) -> None:
    server = serve(hello)
    for number in range(2000):
        with connect(server) as sock:
            if number % 2:
                sock.sendall(GET)
                assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    wait_until_quiet(server)


def test_idle_connections_hold_nothing_but_themselves(serve) -> None:
    server = serve(hello)
    socks = [connect(server) for _ in range(50)]
    for sock in socks:
        sock.sendall(GET)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    wait_for(server, connections=50, sessions=0, buffers=0, exchanges=0, running=0)
    for sock in socks:
        sock.close()
    wait_until_quiet(server)


@pytest.mark.parametrize("leave", [reset, finish])
@pytest.mark.parametrize(
    ("app", "sent"),
    [
        pytest.param(hello, b"", id="before-the-head"),
        pytest.param(hello, HEAD_BEGUN, id="inside-the-head"),
        pytest.param(reads, BODY_BEGUN, id="inside-the-body"),
        pytest.param(reads, CHUNK_BEGUN, id="inside-a-chunk"),
        pytest.param(hello, BODY_BEGUN, id="inside-a-body-that-nobody-reads"),
        pytest.param(waits_for_disconnect, BODY_BEGUN, id="inside-the-body-of-one-who-waits"),
        pytest.param(waits_for_disconnect, GET, id="while-the-application-waits"),
        pytest.param(waits_for_disconnect, GET * 3, id="with-more-requests-behind"),
        pytest.param(head_only, GET, id="with-a-response-head-held-back"),
        pytest.param(streams, GET, id="inside-a-response-that-is-not-read"),
        pytest.param(streams, GET * 2, id="inside-a-pipelined-response"),
        pytest.param(streams_small, GET, id="inside-small-chunks"),
        pytest.param(streams_a_file, GET, id="inside-a-file"),
        pytest.param(answers_with_a_file, GET, id="inside-a-file-that-is-the-answer"),
        pytest.param(answers_with_a_file, GET * 50, id="inside-files-that-are-the-answers"),
        pytest.param(hints, GET, id="inside-early-hints"),
        pytest.param(owes_its_trailers, GET, id="before-the-trailers"),
        pytest.param(reads, TRAILER_BEGUN, id="inside-a-trailer"),
    ],
)
def test_aborted(serve, app, sent: bytes, leave) -> None:
    server = serve(app)
    for _ in range(2):
        socks = [connect(server) for _ in range(20)]
        for sock in socks:
            sock.sendall(sent)
        wait_for(server, connections=20)
        if app in (streams, streams_small, streams_a_file, answers_with_a_file, hints):
            for sock in socks:
                sock.recv(1000)
        for sock in socks:
            leave(sock)
        wait_until_quiet(server)
    assert all(isinstance(exception, OSError) for exception in server.exceptions)


@pytest.mark.parametrize("sent", [b"", HEAD_BEGUN, GET, GET * 3, BODY_BEGUN])
@pytest.mark.parametrize(
    "app", [hello, waits_for_disconnect, streams, streams_a_file, answers_with_a_file, head_only]
)
def test_stopped_in_flight(serve, app, sent: bytes) -> None:
    server = serve(app, graceful_timeout=0.05)
    socks = [connect(server) for _ in range(10)]
    for sock in socks:
        sock.sendall(sent)
    wait_for(server, connections=10)
    server.stop()
    for sock in socks:
        sock.close()


def test_cycles_of_the_application(serve) -> None:
    """What only a reference cycle keeps is counted out when the collector frees it."""

    async def app(scope, receive, send) -> None:
        cycle: list = [receive, send]
        try:
            raise ValueError
        except ValueError as exc:
            cycle.append(exc)
        cycle.append(cycle)
        await hello(scope, receive, send)

    server = serve(app)
    with connect(server) as sock:
        for _ in range(20):
            sock.sendall(GET)
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    wait_until_quiet(server)


def test_tasks_and_callables_that_outlive_the_request(serve) -> None:
    kept: list = []

    async def app(scope, receive, send) -> None:
        kept.append((receive, send, asyncio.current_task(), scope))
        await hello(scope, receive, send)

    server = serve(app)
    with connect(server) as sock:
        for _ in range(20):
            sock.sendall(GET)
            assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    wait_for(server, connections=0, running=0, sessions=0)
    kept.clear()
    wait_until_quiet(server)


def test_messages_after_the_end(serve) -> None:
    """receive() and send() of a request that is over are harmless."""
    kept: list = []
    outcomes: list = []

    async def app(scope, receive, send) -> None:
        if kept:
            old_receive, old_send = kept.pop()
            outcomes.append(await old_receive())
            for kind in ("http.response.start", "http.response.body"):
                with pytest.raises((RuntimeError, OSError)) as caught:
                    await old_send({"type": kind, "status": 200, "body": b"late"})
                outcomes.append(caught.value)
        else:
            kept.append((receive, send))
        await hello(scope, receive, send)

    server = serve(app)
    with connect(server) as sock:
        for _ in range(20):
            sock.sendall(GET)
            data = sock.recv(1000)
            assert data.count(b"HTTP/1.1 200 ") == 1
            assert b"late" not in data
    assert len(outcomes) == 30
    outcomes.clear()
    wait_until_quiet(server)


def test_receive_that_is_cancelled_again_and_again(serve) -> None:
    grown: list[int] = []

    async def app(scope, receive, send) -> None:
        await receive()
        for number in range(2000):
            if number == 100:
                before = futures()
            task = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        grown.append(futures() - before)
        await hello(scope, receive, send)

    server = serve(app)
    with connect(server) as sock:
        sock.sendall(GET)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert grown[0] < 10
    wait_until_quiet(server)


def futures() -> int:
    gc.collect()
    return sum(isinstance(found, asyncio.Future) for found in gc.get_objects())


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="before-the-first-request"),
        pytest.param(GET, id="between-requests"),
        pytest.param(HEAD_BEGUN, id="inside-the-head"),
        pytest.param(BODY_BEGUN, id="inside-a-body-that-nobody-reads"),
    ],
)
def test_deadlines(serve, sent: bytes) -> None:
    """A connection whose deadline has passed goes at once, though nothing else happens."""
    server = serve(hello, keep_alive_timeout=0.3, request_head_timeout=0.3)
    begun = time.monotonic()
    with connect(server) as sock:
        sock.sendall(sent)
        # Who sends later than that may meet a connection that has ended, which is a reset.
        late = time.monotonic() - begun >= 0.3
        with contextlib.suppress(*[ConnectionError] * late):
            while sock.recv(1000):
                pass
        wait_for(server, connections=0, handles=2, sessions=0, timers=0)


def test_half_closed_client_of_an_application_that_waits_for_its_end(
    serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Who returns after http.disconnect has done nothing wrong."""
    server = serve(waits_for_disconnect)
    with connect(server) as sock:
        sock.sendall(GET * 3)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1000):
            pass
    wait_until_quiet(server)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
