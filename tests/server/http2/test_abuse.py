"""Clients that want to be expensive: their connections end, the others are served meanwhile, and
the server has kept nothing of it.
"""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.http2.client import Client
from tests.http2.wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW,
    PROTOCOL_ERROR,
    Wire,
    frame,
    window_update,
)
from tests.server.apps import answer, eventually
from tests.server.apps import hello_when_complete as app
from tests.server.http2 import floods
from tests.server.http2.marks import plain_and_tls
from tests.server.inside import counted, wait_for

pytestmark = pytest.mark.c_alone

ENOUGH = 400  # portions, of which each would be enough by far
PORTIONS = 40  # that are enough, even if some is forgiven to a client that takes its time
MIB = 1024 * 1024
FLOODS = pytest.mark.parametrize("flood", floods.ENDED, ids=lambda flood: flood.__name__)


def overrun(client: Wire, flood: floods.Flood, portions: int = PORTIONS) -> tuple[int, int]:
    """Send as much of the flood as the server takes; return how it ended the connection."""
    with contextlib.suppress(OSError):  # cut, as it poured on behind the GOAWAY
        for _ in range(portions):
            flood(client)
    return client.verdict()


def flooded(client: Wire, flood: floods.Flood) -> set[int]:
    """Send the flood until the connection has ended; return the errors that were told."""
    parts: list[bytes] = []
    codes: set[int] = set()
    with contextlib.suppress(OSError):
        flood(client)
        # What the flood has asked for first has come; from now on nobody waits for its client.
        client.send = lambda *more: parts.extend(more)  # type: ignore[method-assign]
        for _ in range(ENOUGH):
            flood(client)
            codes |= {found.code for found in client.pour(b"".join(parts)) if found.kind == GOAWAY}
            if codes or client.ended:
                break
            parts.clear()
    with contextlib.suppress(OSError, AssertionError):  # which may cut a frame
        codes |= {found.code for found in client.frames() if found.kind == GOAWAY}
    return codes


@plain_and_tls
@FLOODS
def test_a_flood_ends_its_connection(wire, connect, serve, flood, log):
    began = time.monotonic()
    server = serve(app)
    other = connect(server)
    other.ask()
    before = counted(server)
    client = wire(server)
    codes = flooded(client, flood)
    # Who goes on sending may not get to know.
    assert codes <= {ENHANCE_YOUR_CALM, PROTOCOL_ERROR}, codes
    client.close()
    assert other.ask().body == b"hello"
    wait_for(server, connections_active=1, requests_active=0)
    eventually(lambda: server.counters()["exchanges"] == 0)
    reasons = {floods.REASONS[flood]} | ({"http2_flood"} if flood in floods.QUEUED else set())
    after = counted(server)
    names = [f"rejected_{reason}" for reason in reasons]
    assert sum(after[name] - before[name] for name in names) == 1
    assert len(log.messages) <= 25 + 11 * (time.monotonic() - began)


@FLOODS
def test_whoever_floods_is_told_to_calm_down(wire, flood):
    code = PROTOCOL_ERROR if flood is floods.made_you_reset else ENHANCE_YOUR_CALM
    assert overrun(wire(app), flood) == (GOAWAY, code)


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(floods.setting_after_setting, id="found while it was read"),
        pytest.param(floods.too_many_requests, id="found by what it asks for"),
        pytest.param(floods.long_settings, id="found by nghttp2"),
    ],
)
def test_whoever_pours_on_is_cut(wire, flood):
    """It is told, but not listened to until it ends by itself."""
    client = wire(app)
    assert overrun(client, flood) == (GOAWAY, ENHANCE_YOUR_CALM)
    with pytest.raises(OSError):
        client.send(bytes(64 * MIB))


@pytest.mark.parametrize("trusted", [False, True])
def test_whoever_is_back_has_less(wire, serve, trusted):
    """At once, that is: as many requests may be cancelled in the long run, and served."""
    server = serve(app, forwarded_allow_ips="127.0.0.1" if trusted else "")
    first, second = wire(server), wire(server)
    floods.rapid_reset(first)
    first.ping()
    assert overrun(first, floods.rapid_reset) == (GOAWAY, ENHANCE_YOUR_CALM)
    floods.rapid_reset(second)
    second.ping()  # it was there before
    third = wire(server)
    stream = third.request()
    assert third.answer(stream)[":status"] == "200"
    few = 9  # of 100, which are not too many for who comes first
    if trusted:
        for _ in range(few):
            floods.rapid_reset(third)
        third.ping()
    else:
        assert overrun(third, floods.rapid_reset, few) == (GOAWAY, ENHANCE_YOUR_CALM)
    assert counted(server)["rejected_http2_resets"] == (1 if trusted else 2)


def test_what_comes_now_and_then_is_no_flood(wire):
    """However much it is in the end: the time that a connection has been there counts."""
    client = wire(app)
    stream = client.request(end=False, method="POST")
    client.send(frame(DATA, 0, stream) * 95)  # of 100 at once
    client.ping()
    time.sleep(2)  # in which 20 more are due
    client.send(frame(DATA, 0, stream) * 15)
    client.ping()
    client.send(frame(DATA, END_STREAM, stream))
    assert client.answer(stream)[":status"] == "200"


def test_frames_of_reserved_types_among_others(wire):
    """RFC 9113, 5.5: they are ignored, however many."""
    client = wire(app)
    for _ in range(40):
        floods.greased(client)
        client.ping()
    stream = client.request(end=False, method="POST")
    grease = frame(0x0B + 0x1F * 3, 0, 0, bytes(16000)) + frame(DATA, 0, stream, b"body")
    for _ in range(40):  # more than may come in vain
        client.send(grease * 10)
        client.ping()
    assert client.answer(client.request())[":status"] == "200"


def test_long_heads_are_not_in_vain(wire, serve):
    """Nor are the frames that continue them, however many requests have such."""
    large = {"max_head_size": 65536, "http2_max_headers_size": 65536}
    client = wire(serve(app, **large))
    field = b"\x00\x03abc\x7f\x81\x1f" + b"b" * 4096  # not indexed: 127 + 1 + 0x1f * 128 octets
    for _ in range(150):
        stream = client.new_stream()
        fields = floods.block(client) + field * 10
        client.send(
            frame(HEADERS, END_STREAM, stream, fields[:100]),
            *(
                frame(CONTINUATION, 0, stream, fields[n : n + 10_000])
                for n in range(100, 40_000, 10_000)
            ),
            frame(CONTINUATION, END_HEADERS, stream, fields[40_100:]),
        )
        assert client.answer(stream)[":status"] == "200"


async def early(scope, receive, send):
    await answer(send, b"no more of it")


def test_what_was_on_its_way_when_its_stream_ended(wire, serve):
    """Bodies in small pieces, and nobody waits for them: it is not their client's fault."""
    client = wire(serve(early))
    for _ in range(100):
        stream = client.request(end=False, method="POST")
        client.send(frame(DATA, 0, stream, b"x" * 60) * 900, window_update(stream, 1000) * 100)
        client.ping()
    assert client.answer(client.request())[":status"] == "200"


@pytest.mark.parametrize("flood", [*floods.ENDED, floods.greased], ids=lambda f: f.__name__)
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


@pytest.mark.parametrize("size", [1, 4])
def test_pieces_of_next_to_nothing_on_their_way(wire, serve, size):
    """A window is of bytes; the frames that fill it may be many times as large."""
    window = 65535
    server = serve(
        early,
        http2_initial_stream_window_size=window,
        http2_initial_connection_window_size=window,
    )
    client = wire(server)
    for _ in range(20):
        stream = client.request(end=False, method="POST")
        client.send(frame(DATA, 0, stream, b"x" * size) * (window // size))
        client.ping()
    assert client.answer(client.request())[":status"] == "200"


def test_windows_of_downloads_that_have_ended(wire, serve):
    """What is on its way is read when the server has forgotten the stream, and each KiB told."""
    size, window = 4 * MIB, 65535

    async def large(scope, receive, send):
        await answer(send, bytes(size))

    server = serve(large, http2_initial_connection_window_size=window)
    client = wire(server, values={INITIAL_WINDOW: 2**30})
    for _ in range(12):
        client.send(window_update(0, size))
        stream = client.request()
        client.until(DATA, stream, END_STREAM)
        client.send(window_update(stream, 1024) * (size // 1024))
        client.ping()


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
    eventually(lambda: counted(server)["rejected_write_timeout"] >= 1)
    wait_for(server, requests_active=0)


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
    numbers = counted(server)
    # It depends on how much fits into the sockets which limit is reached first.
    reasons = "write_timeout", "http2_flood", "http2_resets"
    assert sum(numbers[f"rejected_{reason}"] for reason in reasons) >= 1
    client.close()
