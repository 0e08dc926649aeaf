"""Clients that want to be expensive: their connections end, the others are served meanwhile, and
the server has kept nothing of it.
"""

from __future__ import annotations

import threading

import pytest

from tests.http2.client import Client
from tests.http2.wire import (
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    INITIAL_WINDOW,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    Wire,
    window_update,
)
from tests.server.apps import answer, eventually
from tests.server.http2 import floods
from tests.server.http2.marks import plain_and_tls
from tests.server.inside import counted, wait_for

ENOUGH = 400  # portions, of which each would be enough by far
MIB = 1024 * 1024
FLOODS = pytest.mark.parametrize("flood", floods.ENDED, ids=lambda flood: flood.__name__)


async def app(scope, receive, send):
    more = scope["method"] == "POST"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
    await answer(send, b"hello")


class Reader(threading.Thread):
    """Reads everything that comes on a connection, so that nobody waits for its client."""

    def __init__(self, client: Wire) -> None:
        super().__init__(daemon=True)
        self.client, self.codes, self.frames = client, set[int](), 0
        self.start()

    def run(self) -> None:
        try:
            for found in self.client.frames():
                self.frames += 1
                if found.kind == GOAWAY:
                    self.codes.add(found.code)
        except (OSError, AssertionError):
            pass


def flooded(client: Wire, flood: floods.Flood) -> set[int]:
    """Send the flood until the connection has ended; return the errors that were told."""
    reader = None
    try:
        for number in range(ENOUGH):
            flood(client)
            if number == 0:  # what the flood has asked for first has come
                reader = Reader(client)
            assert reader is not None
            if not reader.is_alive():
                break
    except OSError:
        pass
    if reader is not None:
        reader.join(30)
        assert not reader.is_alive(), "it is not ended"
        return reader.codes
    return set()


@plain_and_tls
@FLOODS
def test_a_flood_ends_its_connection(wire, connect, serve, flood, log):
    server = serve(app)
    other = connect(server)
    other.ask()
    before = counted(server)
    codes = flooded(wire(server), flood)
    allowed = {ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR}
    assert codes <= allowed, codes
    assert other.ask().body == b"hello"
    wait_for(server, connections_active=1, requests_active=0)
    eventually(lambda: server.counters()["exchanges"] == 0)
    now = counted(server)
    told = {name for name in now if name.startswith("rejected_") and now[name] > before[name]}
    assert told, "no counter tells of it"
    assert len(log.messages) <= 25


@pytest.mark.parametrize("flood", [*floods.ENDED, *floods.BORNE], ids=lambda f: f.__name__)
def test_others_are_served_during_a_flood(wire, connect, serve, flood):
    """Each portion is followed by a request of somebody else."""
    server = serve(app)
    client, other = wire(server), connect(server)
    answered = 0
    for _ in range(20):
        try:
            flood(client)
        except OSError:
            client.close()
            client = wire(server)
        assert other.ask().body == b"hello"
        answered += 1
    assert answered == 20


def test_many_streams_whose_windows_are_shut(wire, connect, serve):
    """What they keep is bounded by the settings, and time ends it."""

    async def large(scope, receive, send):
        size = 10 if scope["path"] == "/small" else MIB
        await answer(send, b"x" * size)

    server = serve(large, write_timeout=1, http2_max_concurrent_streams=50)
    client = wire(server, values={INITIAL_WINDOW: 0})
    streams = [client.request() for _ in range(50)]
    for stream in streams:
        client.answer(stream)
    other = connect(server)
    for _ in range(10):
        assert other.ask("/small").status == 200
    list(client.frames())
    wait_for(server, requests_active=0)
    assert counted(server)["rejected_write_timeout"] >= 1


def test_a_window_beyond_its_bound(wire):
    client = wire(app)
    client.send(window_update(0, 2**31 - 1))
    assert client.verdict() == (GOAWAY, FLOW_CONTROL_ERROR)


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01" + bytes(16385), {FRAME_SIZE_ERROR}),
        (b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + bytes(4), {PROTOCOL_ERROR}),
        (b"\x00\x00\x01\x00\x00\x00\x00\x00\x05x", {PROTOCOL_ERROR, STREAM_CLOSED}),
        (b"\x00\x00\x00\x05\x04\x00\x00\x00\x01", {PROTOCOL_ERROR, FRAME_SIZE_ERROR}),
        (b"\x00\x00\x00\x09\x04\x00\x00\x00\x01", {PROTOCOL_ERROR}),
        (b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\xff", {COMPRESSION_ERROR}),
        (b"\x00\x00\x05\x06\x00\x00\x00\x00\x00hello", {FRAME_SIZE_ERROR}),
    ],
    ids=["too large", "no increment", "idle", "push", "continuation", "hpack", "short ping"],
)
def test_a_broken_frame_ends_the_connection(wire, data, codes):
    client = wire(app)
    client.send(data)
    kind, code = client.verdict()
    assert kind == GOAWAY
    assert code in codes


def test_a_client_that_reads_nothing_of_what_it_asks_for(serve, connect):
    """Requests without an end, and nobody takes the answers: what waits is bounded."""

    async def large(scope, receive, send):
        await answer(send, b"x" * 100_000)

    server = serve(large, write_timeout=1)
    client = Client(server.host, server.port, receive_buffer=4096)
    client.h2.increment_flow_control_window(2**30)
    client.sock.settimeout(0.5)
    try:
        while True:
            client.request()
    except Exception:  # the limit of streams, or of the socket
        pass
    other = connect(server)
    assert len(other.ask().body) == 100_000
    wait_for(server, connections_active=1)
    client.close()
