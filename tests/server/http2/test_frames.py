"""Frames that break the protocol, in whatever pieces they come: the connection ends by that."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from functools import partial

import pytest

from granite.testing import TestServer
from tests.http2.wire import (
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    PROTOCOL_ERROR,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WITH_PRIORITY,
    Wire,
    frame,
    reset,
    settings,
    window_update,
)
from tests.patience import PATIENCE
from tests.server.apps import eventually
from tests.server.apps import hello_when_complete as app
from tests.server.http2.endless import PATIENT_WINDOWS, Endless
from tests.server.http2.floods import KNOWN, block
from tests.server.http2.marks import plain_and_tls
from tests.server.inside import counted, wait_for
from tests.wire.client import DELIVERIES

pytestmark = pytest.mark.c_alone


def is_read(server: TestServer, due: int) -> bool:
    return counted(server)["bytes_received"] >= due


def deliver(server: TestServer, client: Wire, pieces: Iterable[bytes]) -> None:
    """Send pieces that the server reads one by one."""
    for piece in pieces:
        before = counted(server)["bytes_received"]
        client.send(piece)
        eventually(partial(is_read, server, before + len(piece)))


def cut(data: bytes, delivery: str, seed: int = 0) -> list[bytes]:
    return DELIVERIES[delivery](data, random.Random(seed))


def priority(stream: int, of: int) -> bytes:
    return frame(PRIORITY, 0, stream, struct.pack("!IB", of, 0))


def data_of(client: Wire, stream: int) -> bytes:
    return frame(DATA, 0, stream, b"late")


def fields_of(client: Wire, stream: int) -> bytes:
    fields = client.encoder.encode([("late", "yes")])
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, fields)


def ended(client: Wire) -> int:
    """A stream that its client has ended by the head of its request, and that was answered."""
    stream = client.request()
    client.answer(stream)
    return stream


def ended_by_its_body(client: Wire) -> int:
    stream = client.request(method="POST", end=False)
    client.data(stream, b"all of it", end=True)
    client.answer(stream)
    return stream


def cancelled(client: Wire) -> int:
    stream = client.request(method="POST", end=False)
    client.send(reset(stream))
    client.ping()
    return stream


MORE = pytest.mark.parametrize("more", [data_of, fields_of], ids=["data", "fields"])


@plain_and_tls
@pytest.mark.parametrize("end", [ended, ended_by_its_body])
@MORE
def test_more_of_a_stream_that_its_client_has_ended(wire, serve, end, more):
    """RFC 9113, 5.1: nothing of that kind can have been on its way."""
    server = serve(app)
    client = wire(server)
    left_open = client.request(method="POST", end=False)
    stream = end(client)
    client.send(more(client, stream))
    assert client.verdict() == (GOAWAY, STREAM_CLOSED)
    assert counted(server)["rejected_http2_protocol"] == 1
    wait_for(server, requests_active=0)  # of the stream that was left open, too
    assert left_open < stream


@MORE
def test_more_of_a_stream_that_its_client_has_cancelled(wire, serve, more):
    """Clients of several threads may have been about to send it: the others go on."""
    server = serve(app)
    client = wire(server)
    other = client.request(method="POST", end=False)
    for _ in range(2 * KNOWN):
        stream = cancelled(client)
        client.send(more(client, stream), more(client, stream))
        assert client.verdict(stream) == (RST_STREAM, STREAM_CLOSED)
    client.ping()
    client.data(other, end=True)
    assert client.answer(other)[":status"] == "200"
    assert counted(server)["rejected_http2_protocol"] == 0


@MORE
def test_who_has_cancelled_is_told_once(wire, more):
    client = wire(app)
    stream = client.request(method="POST", end=False)
    client.send(reset(stream), *(more(client, stream) for _ in range(10)))
    client.send(more(client, stream))
    last = client.request()
    told = []
    for found in client.frames():
        if found.kind == RST_STREAM:
            told.append((found.stream, found.code))
        if found.kind == DATA and found.stream == last:
            break
    assert told == [(stream, STREAM_CLOSED)]


@MORE
def test_more_in_the_same_read_as_the_end(wire, serve, log, more):
    """Whatever else is there: what is ahead of it counts, what comes behind it does not."""
    server = serve(app)
    client = wire(server)
    first, last = client.new_stream(), client.new_stream()
    client.send(
        frame(HEADERS, END_HEADERS | END_STREAM, first, block(client)),
        more(client, first),
        frame(HEADERS, END_HEADERS | END_STREAM, last, block(client)),
    )
    *_, goaway = [found for found in client.frames() if found.kind == GOAWAY]
    assert (goaway.code, goaway.last_stream) == (STREAM_CLOSED, first)
    assert counted(server)["rejected_http2_protocol"] == 1
    assert any("that the client had ended" in line for line in log.messages)


@MORE
def test_the_frame_may_come_in_pieces(wire, serve, more):
    server = serve(app)
    client = wire(server)
    wrong = more(client, ended(client))
    deliver(server, client, cut(wrong[:9], "per-byte"))
    assert client.verdict() == (GOAWAY, STREAM_CLOSED)


@MORE
def test_more_of_a_stream_that_the_server_has_ended(wire, more):
    """It may have been on its way."""
    client = wire(app)
    for _ in range(3 * KNOWN):
        stream = client.request(method="PUT", end=False)
        client.answer(stream)
        client.send(more(client, stream))
    client.ping()


def test_the_last_ones_are_known(wire):
    client = wire(app)
    streams = [ended(client) for _ in range(KNOWN + 1)]
    for stream in streams[1:]:
        client.send(reset(stream), reset(stream))  # which adds nothing to what is known
    client.send(data_of(client, streams[0]))
    client.ping()
    client.send(data_of(client, streams[1]))
    assert client.verdict() == (GOAWAY, STREAM_CLOSED)


def test_what_may_come_of_a_stream_that_has_ended(wire):
    """Its client may have sent it before it knew that the response was complete."""
    client = wire(app)
    stream = ended(client)
    client.send(window_update(stream, 1000), priority(stream, 0), reset(stream, CANCEL))
    client.ping()
    assert client.answer(client.request())[":status"] == "200"


@pytest.mark.parametrize("size", range(1, 13))
@pytest.mark.parametrize("exclusive", [0, 2**31])
def test_a_stream_that_depends_on_itself(wire, serve, exclusive, size):
    """RFC 7540, 5.3.1, wherever the frame is cut."""
    server = serve(app)
    client = wire(server)
    ended(client)
    client.send(priority(5, 3), priority(7, 5 | exclusive))
    client.ping()
    wrong = priority(5, 5 | exclusive)
    deliver(server, client, [wrong[:size], wrong[size:]])
    assert client.verdict() == (GOAWAY, PROTOCOL_ERROR)
    assert counted(server)["rejected_http2_protocol"] == 1


@pytest.mark.parametrize("reserved", [0, 2**31])
def test_the_reserved_bit_of_a_number_means_nothing(wire, reserved):
    """RFC 9113, 4.1."""
    client = wire(app)
    stream = ended(client)
    client.send(priority(stream | reserved, 0))
    client.ping()
    client.send(frame(DATA, 0, stream | reserved, b"late"))
    assert client.verdict() == (GOAWAY, STREAM_CLOSED)


@pytest.mark.parametrize("reserved", [0, 2**31])
def test_a_priority_of_no_stream(wire, reserved):
    client = wire(app)
    client.send(priority(reserved, 3))
    assert client.verdict() == (GOAWAY, PROTOCOL_ERROR)


def test_an_update_of_the_priority_of_no_stream(wire, serve):
    """RFC 9218, 7.1."""
    server = serve(app)
    client = wire(server)
    client.send(frame(PRIORITY_UPDATE, 0, 0, struct.pack("!I", 0) + b"u=1"))
    assert client.verdict() == (GOAWAY, PROTOCOL_ERROR)
    assert counted(server)["rejected_http2_protocol"] == 1


@pytest.mark.parametrize("size", [0, 4, 6])
def test_a_priority_of_another_size(wire, size):
    """RFC 9113, 6.3: it is the size that is wrong, whatever the octets would say."""
    client = wire(app)
    ended(client)
    client.send(frame(PRIORITY, 0, 1, struct.pack("!IH", 1, 0)[:size]))
    kind, code = client.verdict(1)
    assert kind in (GOAWAY, RST_STREAM)
    assert code == FRAME_SIZE_ERROR


@pytest.mark.parametrize(
    ("first", "code", "reason"),
    [
        (frame(SETTINGS, payload=bytes(6) * 2000), ENHANCE_YOUR_CALM, "settings"),
        (frame(PING, payload=b"short"), FRAME_SIZE_ERROR, "protocol"),
        (frame(SETTINGS) * 500, ENHANCE_YOUR_CALM, "settings"),
    ],
    ids=["found by nghttp2", "broken", "a flood"],
)
@MORE
def test_the_first_of_two_faults_counts(wire, serve, first, code, reason, more):
    """Of what comes in one read."""
    server = serve(app)
    client = wire(server)
    stream = ended(client)
    client.send(first + more(client, stream))
    assert client.verdict() == (GOAWAY, code)
    counts = {name: count for name, count in counted(server).items() if "rejected" in name}
    assert [name for name, count in counts.items() if count] == [f"rejected_http2_{reason}"]


@MORE
def test_a_block_of_fields_that_is_broken_into(wire, serve, more):
    """RFC 9113, 4.3: that is what is wrong, whatever the stream was."""
    server = serve(app)
    client = wire(server)
    stream = ended(client)
    client.send(frame(HEADERS, END_STREAM, client.new_stream(), block(client)[:3]))
    client.send(more(client, stream))
    assert client.verdict() == (GOAWAY, PROTOCOL_ERROR)
    assert counted(server)["rejected_http2_protocol"] == 1


MOST = 8  # frames that go on with a block
MIB = 1024 * 1024


@plain_and_tls
@pytest.mark.parametrize("delivery", ["whole", "per-byte"])
@pytest.mark.parametrize("count", [MOST, MOST + 1])
def test_a_block_of_fields_in_frames(wire, serve, count, delivery):
    """It is frames that have a bound, in however many pieces they come."""
    server = serve(app)
    client = wire(server)
    client.ping()
    stream, fields = client.new_stream(), block(client)
    deliver(server, client, [frame(HEADERS, END_STREAM, stream, fields[:1])])
    for at in range(1, count):
        piece = frame(CONTINUATION, 0, stream, fields[at : at + 1])
        deliver(server, client, cut(piece, delivery))
    last = frame(CONTINUATION, END_HEADERS, stream, fields[count:])
    if count <= MOST:
        deliver(server, client, cut(last, delivery))
        assert client.answer(stream)[":status"] == "200"
    else:
        deliver(server, client, [last[:9]])
        assert client.verdict() == (GOAWAY, ENHANCE_YOUR_CALM)
        assert counted(server)["rejected_http2_continuations"] == 1


def no_end_of_fields(client: Wire, stream: int) -> bytes:
    fields = frame(HEADERS, END_STREAM, client.new_stream(), block(client))
    return fields + frame(CONTINUATION, 0, client._next - 2) * 20


def in_vain(client: Wire, stream: int) -> bytes:
    return window_update(stream, 1000) * 100_000


def refused(client: Wire, stream: int) -> bytes:
    """Whose resets wait for the client as well."""
    return b"".join(
        frame(HEADERS, END_HEADERS, client.new_stream(), block(client, method="POST"))
        for _ in range(5000)
    )


def broken_twice(client: Wire, stream: int) -> bytes:
    """The first is for nghttp2 to find, which tells by a GOAWAY that can't leave."""
    return frame(PING, payload=b"short") + data_of(client, stream)


@plain_and_tls
@pytest.mark.parametrize(
    "wrong", [data_of, fields_of, no_end_of_fields, in_vain, refused, broken_twice]
)
def test_a_client_that_reads_nothing(wire, serve, wrong):
    """It need not take what waits for it to be done with, and nothing more of it is read."""
    endless = Endless()
    server = serve(endless, http2_initial_connection_window_size=65535)
    client = wire(server, **PATIENT_WINDOWS)
    stream = ended(client)
    endless.fill(server, client)
    client.send(wrong(client, stream))
    if wrong is not broken_twice:
        assert endless.gone.wait(PATIENCE)
        wait_for(server, requests_active=0)
    before = counted(server)["bytes_received"]
    client.sock.settimeout(1)  # time for all of it, were it read
    with pytest.raises(OSError):
        client.send(bytes(64 * MIB))
    assert counted(server)["bytes_received"] - before < 4 * MIB


def in_order(client: Wire) -> tuple[bytes, list[int]]:
    """Frames of all kinds, whose contents look like heads of others; and the streams that are to
    be answered.
    """
    got, posted, given_up = (client.new_stream() for _ in range(3))
    fields = block(client)
    parts = [frame(HEADERS, END_HEADERS | END_STREAM, got, fields)]
    fields = block(client, method="POST")
    parts.append(
        frame(HEADERS, WITH_PRIORITY, posted, struct.pack("!IB", got, 7) + fields[:2]),
    )
    parts.append(frame(CONTINUATION, 0, posted))
    parts.append(frame(CONTINUATION, END_HEADERS, posted, fields[2:]))
    lure = frame(DATA, END_STREAM, got, priority(9, 9)) + reset(posted)
    parts.append(frame(DATA, 0, posted, lure))
    parts.append(frame(0x7F, 0xFF, got, lure))
    parts.append(frame(DATA, PADDED, posted, b"\x09" + lure + bytes(9)))
    parts.append(frame(DATA, 0, posted))
    parts.append(frame(HEADERS, END_HEADERS, given_up, block(client, method="POST")))
    parts.append(reset(given_up))
    parts.append(settings({}))
    parts.append(priority(given_up, posted))
    parts.append(window_update(0, 1))
    parts.append(frame(DATA, END_STREAM, posted, b"x"))
    return b"".join(parts), [got, posted]


@plain_and_tls
@pytest.mark.parametrize(
    ("delivery", "seed"),
    [("whole", 0), ("per-byte", 0), *(("random", seed) for seed in range(10))],
)
def test_frames_in_pieces(wire, serve, delivery, seed):
    """From the preface on."""
    server = serve(app)
    client = wire(server, values=None)
    data, streams = in_order(client)
    deliver(server, client, cut(PREFACE + settings({}) + data, delivery, seed))
    for stream in streams:
        assert client.answer(stream)[":status"] == "200"
    client.send(data_of(client, streams[0]))
    assert client.verdict() == (GOAWAY, STREAM_CLOSED)


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
