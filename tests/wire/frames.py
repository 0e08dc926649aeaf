"""Frames of WebSocket as clients send them, and read as clients read them (RFC 6455, 5.2).

Owns the layout of a frame, written without regard to what may be sent: tests need what is wrong,
too. No thread of its own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Frame",
    "close",
    "frame",
    "parse",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def masked(data: bytes, mask: bytes) -> bytes:
    return bytes(octet ^ key for octet, key in zip(data, itertools.cycle(mask), strict=False))


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\x12\x34\x56\x78",
    length: int | None = None,
    octets: int | None = None,
) -> bytes:
    """A frame; `reserved` are its three bits, 4 is that of compressed messages. `length` stands in
    for the payload's, written in as many further `octets`, 0, 2 or 8.
    """
    size = len(payload) if length is None else length
    if octets is None:
        octets = 0 if size < 126 else 2 if size < 65536 else 8
    short = size if octets == 0 else 126 if octets == 2 else 127
    head = bytes([final << 7 | reserved << 4 | opcode, (mask is not None) << 7 | short])
    head += size.to_bytes(octets, "big") if octets else b""
    return head + (payload if mask is None else mask + masked(payload, mask))


def close(code: int | None = None, reason: str = "", **more) -> bytes:
    payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    return frame(CLOSE, payload, **more)


@dataclass
class Frame:
    """A frame that a server has sent."""

    opcode: int
    payload: bytes
    final: bool = True
    reserved: int = 0


def parse(data: bytes) -> tuple[list[Frame], bytes]:
    """The frames of a server that are whole, and what is behind them."""
    found = []
    while len(data) >= 2:
        assert not data[1] & 0x80, "a server's frame is masked"
        octets = {126: 2, 127: 8}.get(data[1], 0)
        size = int.from_bytes(data[2 : 2 + octets], "big") if octets else data[1]
        if len(data) < 2 + octets + size:
            break
        payload = data[2 + octets : 2 + octets + size]
        found.append(Frame(data[0] & 15, payload, bool(data[0] & 0x80), data[0] >> 4 & 7))
        data = data[2 + octets + size :]
    return found, data
