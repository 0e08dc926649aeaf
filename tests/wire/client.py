"""A client of raw sockets: many connections at once, each fed in pieces, their answers taken apart.

Owns the delivery and the parsing of responses. Must not know the corpus. Runs on the test's thread.

The connections take turns piece by piece, so the server has read one piece of a connection before
the next one is sent without anybody waiting for it.
"""

from __future__ import annotations

import contextlib
import random
import re
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["DELIVERIES", "Delivery", "Response", "Talk", "converse", "split_responses"]

_LIMIT = 60.0  # seconds that answers may take when all has been sent
_STEPS = 1500  # pieces of a long message at most

Delivery = Callable[[bytes, random.Random], list[bytes]]


def whole(data: bytes, _: random.Random) -> list[bytes]:
    return [data]


def per_byte(data: bytes, _: random.Random) -> list[bytes]:
    step = len(data) // _STEPS + 1
    return [data[at : at + step] for at in range(0, len(data), step)]


def random_splits(data: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(1, 8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


DELIVERIES: dict[str, Delivery] = {
    "whole": whole,
    "per-byte": per_byte,
    "random": random_splits,
}


@dataclass
class Response:
    """One final response."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


@dataclass
class Talk:
    """One connection: what is sent on it, and what came of it."""

    data: bytes
    ends: bool = False
    port: int = 0
    received: bytes = b""
    outcome: str = "open"  # or "eof", "reset"
    pieces: list[bytes] = field(default_factory=list)


def converse(
    address: tuple[str, int],
    talks: Sequence[Talk],
    delivery: Delivery,
    rng: random.Random,
    done: Callable[[Talk], bool],
) -> None:
    """Send every talk's data in pieces, then read until `done(talk)` or the server has closed.

    A talk that has come to neither after a minute is left as it is, its `outcome` "open".
    """
    sockets = [socket.create_connection(address) for _ in talks]
    try:
        for talk, sock in zip(talks, sockets, strict=True):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(_LIMIT)
            talk.port = sock.getsockname()[1]
            talk.pieces = delivery(talk.data, rng)
        _send(talks, sockets)
        _receive(talks, sockets, time.monotonic() + _LIMIT, done)
    finally:
        for sock in sockets:
            sock.close()


def _send(talks: Sequence[Talk], sockets: Sequence[socket.socket]) -> None:
    for turn in range(max(len(talk.pieces) for talk in talks)):
        for talk, sock in zip(talks, sockets, strict=True):
            if turn < len(talk.pieces):
                try:
                    sock.sendall(talk.pieces[turn])
                except OSError:  # refused already; the answer is read below
                    talk.pieces = []
    for talk, sock in zip(talks, sockets, strict=True):
        if talk.ends and talk.pieces:
            with contextlib.suppress(OSError):  # refused already
                sock.shutdown(socket.SHUT_WR)


def _receive(
    talks: Sequence[Talk],
    sockets: Sequence[socket.socket],
    deadline: float,
    done: Callable[[Talk], bool],
) -> None:
    with selectors.DefaultSelector() as selector:
        for talk, sock in zip(talks, sockets, strict=True):
            selector.register(sock, selectors.EVENT_READ, talk)
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(max(left, 0))
            if not ready and left <= 0:
                return
            for key, _ in ready:
                talk = key.data
                try:
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                except ConnectionError:
                    talk.outcome = "reset"
                else:
                    talk.received += data
                    if not data:
                        talk.outcome = "eof"
                if talk.outcome != "open" or done(talk):
                    selector.unregister(key.fileobj)


_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


def split_responses(data: bytes, methods: Sequence[str] = ()) -> tuple[list[Response], bytes]:
    """Take `data` apart into final responses and what is left.

    `methods` are those of the requests, as far as they are known; without one, the field `x-method`
    of the response tells it, else GET is assumed. An interim response is skipped. ValueError if the
    data is no HTTP.
    """
    responses: list[Response] = []
    while data:
        found = _HEAD.match(data)
        if found is None:
            if b"\r\n\r\n" in data or not b"HTTP/1.1 "[: len(data)] == data[:9]:
                raise ValueError(f"expected a response, got {data[:80]!r}")
            break
        status = int(found[1])
        headers = _headers(found[2])
        if status < 200:
            data = data[found.end() :]
            continue
        method = headers.get(b"x-method", b"GET").decode()
        if len(responses) < len(methods):
            method = methods[len(responses)]
        body, rest, complete = _body(method, status, headers, data[found.end() :])
        if not complete:
            break
        responses.append(Response(status, headers, body))
        data = rest
    return responses, data


def _headers(lines: bytes) -> dict[bytes, bytes]:
    pairs = (line.split(b":", 1) for line in lines.split(b"\r\n") if line)
    return {name.lower(): value.strip() for name, value in pairs}


def _body(
    method: str, status: int, headers: dict[bytes, bytes], data: bytes
) -> tuple[bytes, bytes, bool]:
    if method == "HEAD" or status in (204, 304):
        return b"", data, True
    if headers.get(b"transfer-encoding") == b"chunked":
        return _chunked(data)
    if b"content-length" not in headers:
        return data, b"", False
    size = int(headers[b"content-length"])
    return data[:size], data[size:], len(data) >= size


def _chunked(data: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while True:
        line, found, rest = data.partition(b"\r\n")
        if not found:
            return b"", data, False
        size = int(line, 16)
        if size == 0:
            return _trailers(body, rest)
        if len(rest) < size + 2:
            return b"", data, False
        if rest[size : size + 2] != b"\r\n":
            raise ValueError(f"expected CRLF after a chunk, got {rest[size:][:20]!r}")
        body, data = body + rest[:size], rest[size + 2 :]


def _trailers(body: bytes, data: bytes) -> tuple[bytes, bytes, bool]:
    found = re.match(rb"(?:[!-9;-~]+: [^\r\n]*\r\n)*\r\n", data)
    if found is None:
        if b"\r\n\r\n" in data or data[:1] == b"\r" != data:
            raise ValueError(f"expected trailers or their end, got {data[:20]!r}")
        return b"", data, False
    return body, data[found.end() :], True
