"""What the tests of TLS' records share: records in the clear, what comes back, and alerts by their
numbers (RFC 8446, section 6).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time

from tests.server.apps import eventually
from tests.server.tls import ALERT, Forger

__all__ = [
    "BAD_RECORD_MAC",
    "CLOSE_NOTIFY",
    "DECODE_ERROR",
    "DECRYPT_ERROR",
    "GET",
    "HANDSHAKE_FAILURE",
    "ILLEGAL_PARAMETER",
    "INTERNAL_ERROR",
    "RECORD_OVERFLOW",
    "UNEXPECTED_MESSAGE",
    "USER_CANCELED",
    "alert",
    "answer_to",
    "pause",
    "plain_alert",
    "record",
    "until_the_end",
]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UNEXPECTED_MESSAGE, BAD_RECORD_MAC, RECORD_OVERFLOW = 10, 20, 22
HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, DECODE_ERROR, DECRYPT_ERROR = 40, 47, 50, 51
INTERNAL_ERROR = 80
CLOSE_NOTIFY, USER_CANCELED = b"\x01\x00", b"\x01\x5a"


async def until_the_end(scope, receive, send):
    while (await receive())["type"] != "http.disconnect":
        pass


def pause(seconds: float) -> None:
    """Return when so much time has passed, for the server too."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until)


def alert(client: Forger) -> int:
    """The fatal alert that comes next, and after it the connection's end."""
    kind, data = client.open()
    assert (kind, data[:1]) == (ALERT, b"\x02")
    with contextlib.suppress(ConnectionResetError):
        assert client.open() == (0, b"")
    return data[1]


def record(kind: int, data: bytes, version: int = 0x0303) -> bytes:
    return struct.pack("!BHH", kind, version, len(data)) + data


def answer_to(server, data: bytes) -> bytes:
    """Send bytes and no more; return all that comes back, which may be cut short by a reset."""
    answered = b""
    with socket.create_connection((server.host, server.port), 30) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                answered += piece
    eventually(lambda: server.counters()["connections"] == 0)
    return answered


def plain_alert(data: bytes) -> int:
    assert data[:1] == bytes([ALERT]), data
    assert data[3:6] == b"\x00\x02\x02", data
    return data[6]
