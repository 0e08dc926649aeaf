"""Mutations of messages: of their octets here, of what they are made of in `structure`.

Owns how a message of the corpus is broken. Must not know servers. Runs on the test's thread; what
comes out depends on the random generator that is passed in and on nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.fuzz import structure

__all__ = ["mutated"]

# What parsers stumble over, besides arbitrary octets.
_TOKENS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\x00",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"0",
    b"0\r\n\r\n",
    b"-1",
    b"ffffffffffffffff",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"GET ",
    b"HEAD ",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n",
    b"Expect: 100-continue\r\n",
    b"%",
    b"\xff\xfe",
)


def _flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _replace(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def _delete(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.randrange(1, 12)]


def _insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(_TOKENS)


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    piece = data[at : at + rng.randrange(1, 40)]
    data[at:at] = piece * rng.randrange(1, 5)


def _swap(data: bytearray, rng: random.Random) -> None:
    a, b = rng.randrange(len(data)), rng.randrange(len(data))
    data[a], data[b] = data[b], data[a]


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


_WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _replace,
    _delete,
    _insert,
    _insert,
    _repeat,
    _swap,
    _truncate,
)


def mutated(messages: Sequence[bytes], rng: random.Random) -> bytes:
    """Return up to four of `messages` in a row, broken in up to four places."""
    data = bytearray(
        b"".join(rng.choice(messages) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))))
    )
    ways = structure.WAYS if rng.random() < 0.7 else _WAYS
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        if data:
            rng.choice(ways)(data, rng)
    return bytes(data) or b"\r"
