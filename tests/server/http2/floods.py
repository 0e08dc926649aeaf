"""What a client does that wants to be expensive: each flood is a function that sends one portion of
it, and is called until the server has had enough.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.http2.wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_UPDATE,
    SETTINGS,
    Wire,
    frame,
    request_fields,
    reset,
    settings,
    window_update,
)

Flood = Callable[[Wire], None]

KNOWN = 8  # streams of which the server knows that their client has ended them


def block(client: Wire, *lines: str, **pseudo: str) -> bytes:
    return client.encoder.encode(request_fields("/", *lines, **pseudo))


def rapid_reset(client: Wire) -> None:
    """Requests that are cancelled at once (CVE-2023-44487)."""
    parts = []
    for _ in range(100):
        stream = client.new_stream()
        parts.append(frame(HEADERS, END_HEADERS | END_STREAM, stream, block(client)))
        parts.append(reset(stream))
    client.send(*parts)


def made_you_reset(client: Wire) -> None:
    """Requests that the server is made to cancel (CVE-2025-8671)."""
    parts = []
    for _ in range(100):
        stream = client.new_stream()
        parts.append(frame(HEADERS, END_HEADERS, stream, block(client, method="POST")))
        parts.append(window_update(stream, 0))
    client.send(*parts)


def malformed_requests(client: Wire) -> None:
    """Requests that are reset since they are malformed."""
    parts = []
    for _ in range(100):
        stream = client.new_stream()
        parts.append(
            frame(HEADERS, END_HEADERS | END_STREAM, stream, block(client, "connection: a"))
        )
    client.send(*parts)


def too_many_requests(client: Wire) -> None:
    """Requests beyond the limit of streams, which the client never acknowledges."""
    fields = [block(client, method="POST") for _ in range(300)]
    client.send(*[frame(HEADERS, END_HEADERS, client.new_stream(), each) for each in fields])


def continuations(client: Wire) -> None:
    """A head without an end (CVE-2024-27316)."""
    if client._next == 1:
        client.send(frame(HEADERS, END_STREAM, client.new_stream(), block(client)))
    field = b"\x00\x01a\x7f\xf1\x02" + b"b" * 368  # never indexed, of 368 octets
    client.send(*[frame(CONTINUATION, 0, 1, field * 20)] * 20)


def empty_continuations(client: Wire) -> None:
    """The same, of nothing."""
    if client._next == 1:
        client.send(frame(HEADERS, END_STREAM, client.new_stream(), block(client)))
    client.send(frame(CONTINUATION, 0, 1) * 500)


def setting_after_setting(client: Wire) -> None:
    """Each is to be acknowledged (CVE-2019-9515)."""
    client.send(settings({}) * 500)


def long_settings(client: Wire) -> None:
    """Many values in each."""
    client.send(frame(SETTINGS, payload=struct.pack("!HI", 0x33, 1) * 2000) * 10)


def pings(client: Wire) -> None:
    """Each is to be answered (CVE-2019-9512)."""
    client.send(frame(PING, payload=bytes(8)) * 500)


def empty_data(client: Wire) -> None:
    """Frames of a body that have nothing of it (CVE-2019-9518)."""
    if client._next == 1:
        client.request(end=False, method="POST")
        client.ping()
    client.send(frame(DATA, 0, 1) * 500)


def padded_data(client: Wire) -> None:
    """Frames of a body that are padding alone."""
    if client._next == 1:
        client.request(end=False, method="POST")
        client.ping()
    client.send(frame(DATA, PADDED, 1, b"\x07" + bytes(7)) * 500)


def hpack_bomb(client: Wire) -> None:
    """A large field in the table, and thousands of references to it."""
    stream = client.new_stream()
    entry = b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000  # indexed: 127 + 0x21 + 0x1e * 128 octets
    head = block(client)
    client.encoder.header_table.add(b"a", b"b" * 4000)
    client.send(
        frame(HEADERS, END_HEADERS | END_STREAM, stream, head + entry + b"\xbe" * 12_000),
    )


def empty_fields(client: Wire) -> None:
    """Fields without names and values (CVE-2019-9516)."""
    parts = []
    for _ in range(20):
        fields = block(client) + b"\x00\x00\x00" * 500
        parts.append(frame(HEADERS, END_HEADERS | END_STREAM, client.new_stream(), fields))
    client.send(*parts)


def window_updates(client: Wire) -> None:
    """More and more window, an octet at a time."""
    client.send(window_update(0, 1) * 500)


def window_updates_of_a_stream(client: Wire) -> None:
    """The same for a stream that waits for its body."""
    if client._next == 1:
        client.request(end=False, method="POST")
        client.ping()
    client.send(window_update(1, 1) * 500)


def priorities(client: Wire) -> None:
    """The tree of RFC 7540, over and over (CVE-2019-9513)."""
    parts = (
        frame(PRIORITY, 0, 2 * n + 1, struct.pack("!IB", 2 * n + 3, n % 256)) for n in range(1000)
    )
    client.send(*parts)


def priority_updates(client: Wire) -> None:
    """Priorities of streams that are not there."""
    parts = (
        frame(PRIORITY_UPDATE, 0, 0, struct.pack("!I", 2 * n + 1) + b"u=1") for n in range(1000)
    )
    client.send(*parts)


def unknown_frames(client: Wire) -> None:
    """Frames that mean nothing."""
    client.send(frame(0x7F, 0, 0, b"what") * 500)


def ended_stream(client: Wire) -> int:
    """A stream that has ended, of which the server does not know any more who did it."""
    if client._next == 1:
        for _ in range(KNOWN + 1):
            client.answer(client.request())
        client.ping()
    return 1


def windows_behind_the_end(client: Wire) -> None:
    """Windows of a stream that has ended, which is no error."""
    client.send(window_update(ended_stream(client), 1000) * 30_000)


def data_behind_the_end(client: Wire) -> None:
    """The same of its body, of which something may have been on its way."""
    client.send(frame(DATA, 0, ended_stream(client), b"late") * 30_000)


def trailers_behind_the_end(client: Wire) -> None:
    """The same of its trailers."""
    stream, fields = ended_stream(client), client.encoder.encode([("late", "yes")])
    client.send(frame(HEADERS, END_HEADERS, stream, fields) * 30_000)


def table_sizes(client: Wire) -> None:
    """The size of the table, to and fro."""
    client.send(*(settings({1: size}) for _ in range(100) for size in (0, 65536)))


def greased(client: Wire) -> None:
    """A frame of a reserved type before each one that means something, as some browsers have it."""
    parts = []
    for _ in range(50):
        stream = client.new_stream()
        parts.append(frame(0x0B + 0x1F * 3, 0, 0, b"grease"))
        parts.append(frame(HEADERS, END_HEADERS, stream, block(client, method="POST")))
        parts.append(frame(0x0B + 0x1F * 3, 0, stream))
        parts.append(frame(DATA, END_STREAM, stream, b"body"))
    client.send(*parts)


# Those that end with an error of the connection, and how they count.
REASONS: dict[Flood, str] = {
    rapid_reset: "http2_resets",
    malformed_requests: "http2_resets",
    too_many_requests: "http2_resets",
    made_you_reset: "http2_protocol",  # by nghttp2, to which it is no error of the stream alone
    continuations: "http2_continuations",
    empty_continuations: "http2_continuations",
    setting_after_setting: "http2_settings",
    long_settings: "http2_settings",
    table_sizes: "http2_settings",
    pings: "http2_pings",
    empty_data: "http2_empty_frames",
    padded_data: "http2_empty_frames",
    hpack_bomb: "http2_fields",
    empty_fields: "http2_invalid_fields",
    window_updates: "http2_windows",
    window_updates_of_a_stream: "http2_windows",
    priorities: "http2_flood",
    priority_updates: "http2_flood",
    unknown_frames: "http2_flood",
    windows_behind_the_end: "http2_flood",
    data_behind_the_end: "http2_flood",
    trailers_behind_the_end: "http2_flood",
}
ENDED = list(REASONS)

# Those whose answers may be too many for one read's end, if the server was slow to read.
QUEUED = {malformed_requests, too_many_requests}
