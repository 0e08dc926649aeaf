"""Conversations of HTTP/2 as frames, sound ones and what becomes of them; and what a server's side
of one has to look like.

Owns how they are made, broken and judged. Must not know servers. What comes out depends on the
random generator that is passed in and on nothing else.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import hpack

from tests.http2.wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Frame,
    frame,
    request_fields,
    reset,
    settings,
    window_update,
)
from tests.wire import frames

__all__ = ["conversation", "judged"]

_PATHS = "/", "/a?b=c", "/" + "x" * 300, "*"
_LINES = (
    *("a: b", "cookie: a=b", "cookie: c=d", "te: trailers", "host: test", "expect: 100-continue"),
    *("content-length: 5", "content-length: 0", "priority: u=0, i", "x: " + "y" * 5000, "a_b: c"),
    *("connection: close", "X: 1", "transfer-encoding: chunked", ":path: /", "x: \r\n"),
)


def conversation(rng: random.Random) -> bytes:
    """What a client says on one connection; nearly always something is wrong with it."""
    parts = _sound(rng)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 5))):
        rng.choice(_BREAKS)(parts, rng)
    data = bytearray(b"".join(parts))
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _sound(rng: random.Random) -> list[bytes]:
    """The preface, settings, and requests whose frames are mixed."""
    encoder = hpack.Encoder()
    parts = [PREFACE, settings({rng.randrange(1, 7): rng.choice((0, 1, 16384, 2**31 - 1))})]
    if rng.random() < 0.7:
        parts[1] = settings({})
    streams = [_request(encoder, 2 * number + 1, rng) for number in range(rng.randrange(1, 6))]
    while streams:
        # Heads have to come in the order of their numbers: the encoder has made them so.
        turn = streams[0] if rng.random() < 0.5 else rng.choice(streams)
        if turn is not streams[0] and not turn[0]:
            turn = streams[0]
        parts.append(turn.pop(0) or turn.pop(0))
        if len(turn) == 0:
            streams.remove(turn)
        if rng.random() < 0.2:
            parts.append(_other(rng))
    return [part for part in parts if part]


def _request(encoder: hpack.Encoder, stream: int, rng: random.Random) -> list[bytes]:
    if rng.random() < 0.2:
        return _websocket(encoder, stream, rng)
    lines = rng.sample(_LINES[: rng.choice((8, 8, 8, len(_LINES)))], rng.randrange(4))
    method = rng.choice(("GET", "POST", "HEAD", "OPTIONS", "CONNECT", "get"))
    block = encoder.encode(request_fields(rng.choice(_PATHS), *lines, method=method))
    pieces = [b"x" * rng.choice((0, 1, 5, 1000, 16384)) for _ in range(rng.randrange(4))]
    end = END_STREAM if not pieces else 0
    parts = _head(block, stream, end, rng)
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces) and rng.random() < 0.8
        if rng.random() < 0.2:
            padding = rng.randrange(256)
            payload = bytes((padding,)) + piece + bytes(padding)
            parts.append(frame(DATA, PADDED | last, stream, payload))
        else:
            parts.append(frame(DATA, END_STREAM if last else 0, stream, piece))
        if number == len(pieces) and not last:
            trailers = encoder.encode([("x-sum", "1")])
            parts.append(frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers))
    return parts


def _websocket(encoder: hpack.Encoder, stream: int, rng: random.Random) -> list[bytes]:
    """An extended CONNECT, and messages that frames of DATA cut anywhere."""
    lines = [f"sec-websocket-version: {rng.choice(('13', '13', '13', '8'))}"]
    if rng.random() < 0.5:
        lines.append("sec-websocket-extensions: permessage-deflate")
    asked = {"method": "CONNECT", "protocol": rng.choice(("websocket", "websocket", "other"))}
    parts = _head(encoder.encode(request_fields("/", *lines, **asked)), stream, 0, rng)
    said = b"".join(_said(rng) for _ in range(rng.randrange(5)))
    while said:
        size = rng.choice((1, 7, 100, 16384))
        parts.append(frame(DATA, 0, stream, said[:size]))
        said = said[size:]
        if len(parts) > 60:
            break
    if rng.random() < 0.5:
        parts.append(frame(DATA, END_STREAM, stream))
    return parts


def _said(rng: random.Random) -> bytes:
    """A frame of WebSocket."""
    opcode = rng.choice((frames.TEXT, frames.BINARY, frames.PING, frames.PONG, frames.CLOSE, 3))
    payload = rng.choice((b"", b"hello", b"\x03\xe8", bytes(100), b"x" * 5000))
    return frames.frame(
        opcode,
        payload,
        final=rng.random() < 0.9,
        reserved=rng.choice((0, 0, 0, 0, 4)),
        mask=rng.choice((b"mask", b"mask", b"mask", None)),
    )


def _head(block: bytes, stream: int, end: int, rng: random.Random) -> list[bytes]:
    """A head is one part, since nothing may come between its frames."""
    if rng.random() < 0.7:
        return [frame(HEADERS, END_HEADERS | end, stream, block)]
    cut = rng.randrange(len(block))
    first = frame(HEADERS, end | WITH_PRIORITY, stream, b"\0\0\0\0\x10" + block[:cut])
    return [first + frame(CONTINUATION, END_HEADERS, stream, block[cut:])]


def _other(rng: random.Random) -> bytes:
    stream = rng.randrange(1, 12)
    return rng.choice(
        (
            frame(PING, rng.randrange(2), 0, b"question"),
            window_update(rng.choice((0, stream)), rng.choice((0, 1, 65535, 2**31 - 1))),
            reset(stream, rng.randrange(14)),
            settings({rng.randrange(10): rng.randrange(2**32)}),
            frame(SETTINGS, 1),
            frame(PRIORITY, 0, stream, struct.pack("!IB", rng.randrange(12), 5)),
            frame(PRIORITY_UPDATE, 0, 0, struct.pack("!I", stream) + b"u=1, i"),
            frame(GOAWAY, 0, 0, bytes(8)),
            frame(rng.randrange(256), rng.randrange(256), stream, rng.randbytes(rng.randrange(20))),
        )
    )


def _drop(parts: list[bytes], rng: random.Random) -> None:
    if len(parts) > 1:
        del parts[rng.randrange(len(parts))]


def _double(parts: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(parts))
    parts.insert(rng.randrange(at, len(parts) + 1), parts[at])


def _swap(parts: list[bytes], rng: random.Random) -> None:
    one, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[one], parts[other] = parts[other], parts[one]


def _cut(parts: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(parts))
    parts[at] = parts[at][: rng.randrange(len(parts[at]) + 1)]


def _add(parts: list[bytes], rng: random.Random) -> None:
    parts.insert(rng.randrange(len(parts) + 1), _other(rng))


def _many(parts: list[bytes], rng: random.Random) -> None:
    parts.insert(rng.randrange(len(parts) + 1), _other(rng) * rng.choice((10, 300, 2000)))


def _change_head(parts: list[bytes], rng: random.Random) -> None:
    """One octet of what stands before a payload: length, kind, flags, stream."""
    at = rng.randrange(len(parts))
    part = bytearray(parts[at])
    if len(part) >= 9:
        part[rng.choice((1, 2, 3, 3, 4, 4, 4, 5, 8, 8))] = rng.choice((0, 1, 4, 5, 9, 255))
    parts[at] = bytes(part)


def _change_payload(parts: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(parts))
    part = bytearray(parts[at])
    if len(part) > 9:
        part[rng.randrange(9, len(part))] = rng.randrange(256)
    parts[at] = bytes(part)


_BREAKS: tuple[Callable[[list[bytes], random.Random], None], ...] = (
    *(_drop, _double, _swap, _cut, _add, _add, _many, _change_head, _change_head, _change_payload),
)


def judged(data: bytes, *, whole: bool) -> list[int]:
    """Return the statuses of what a server has sent; ValueError if no server may send that. Unless
    `whole`, its last frame may be cut.
    """
    decoder = hpack.Decoder()
    ended: set[int] = set()
    begun: dict[int, int] = {}
    for number, found in enumerate(_frames(data, whole)):
        if number == 0 and (found.kind, found.flags) != (SETTINGS, 0):
            raise ValueError(f"begins with {found}")
        if found.kind > CONTINUATION:
            raise ValueError(f"a frame of a kind that a server does not send: {found}")
        if found.kind in (DATA, HEADERS, RST_STREAM) and not found.stream % 2:
            raise ValueError(f"a stream that is none: {found}")
        if found.stream in ended and found.kind in (DATA, HEADERS):
            raise ValueError(f"behind the end of its stream: {found}")
        if found.kind == HEADERS:
            _judge_head(found, decoder, begun)
        elif found.kind == DATA and found.stream not in begun:
            raise ValueError(f"data without a head: {found}")
        if found.kind == RST_STREAM or (found.kind in (DATA, HEADERS) and found.flags & END_STREAM):
            ended.add(found.stream)
        elif found.kind == WINDOW_UPDATE and found.payload == bytes(4):
            raise ValueError("an update of nothing")
    return list(begun.values())


def _judge_head(found: Frame, decoder: hpack.Decoder, begun: dict[int, int]) -> None:
    if not found.flags & END_HEADERS:
        raise ValueError(f"a head in several frames: {found}")
    try:
        fields = [(str(name), str(value)) for name, value in decoder.decode(found.payload)]
    except hpack.HPACKError as exc:
        raise ValueError(f"{exc!r} in {found}") from None
    if found.stream in begun:  # trailers
        if any(name.startswith(":") for name, _ in fields) or not found.flags & END_STREAM:
            raise ValueError(f"no trailers: {fields}")
        return
    if [name for name, _ in fields if name.startswith(":")] != [":status"] or fields[0][0][
        0
    ] != ":":
        raise ValueError(f"no head: {fields}")
    if (status := int(fields[0][1])) >= 200:
        begun[found.stream] = status


def _frames(data: bytes, whole: bool) -> list[Frame]:
    frames = []
    while len(data) >= 9 and len(data) >= (end := 9 + int.from_bytes(data[:3], "big")):
        kind, flags, stream = struct.unpack_from("!BBI", data, 3)
        frames.append(Frame(kind, flags, stream, data[9:end]))
        data = data[end:]
    if data and whole:
        raise ValueError(f"ends in a frame: {data[:20]!r}")
    return frames
