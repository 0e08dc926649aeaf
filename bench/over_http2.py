"""As much of HTTP/2 as the benchmark needs: one request, and a client that is slow to take answers.

Owns the frames that it sends; must not know which server it talks to. A slow client reads on a
thread of its own.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading

# GET, /, and an authority that is not indexed (RFC 7541); 200 in the answer is indexed.
_BLOCK = b"\x82\x84%b\x01\x09127.0.0.1"
_HTTP, _HTTPS = b"\x86", b"\x87"
_OK = b"\x88"
_DATA, _HEADERS, _SETTINGS, _WINDOW_UPDATE = 0, 1, 4, 8
_END_STREAM, _END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return the octets of a frame."""
    return struct.pack("!IBI", len(payload) << 8 | kind, flags, stream) + payload


# The preface, and windows that are no obstacle, of the streams and of the connection.
_GREETING = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + frame(_SETTINGS, 0, 0, struct.pack("!HI", 4, 2**30))
    + frame(_WINDOW_UPDATE, 0, 0, struct.pack("!I", 2**30))
)


def _get(sock: socket.socket, stream: int) -> bytes:
    block = _BLOCK % (_HTTPS if isinstance(sock, ssl.SSLSocket) else _HTTP)
    return frame(_HEADERS, _END_STREAM | _END_HEADERS, stream, block)


def ask(sock: socket.socket) -> bool:
    """Begin HTTP/2, send one GET, and tell whether it was answered by 200; raises OSError."""
    sock.sendall(_GREETING + _get(sock, 1))
    data, ok = b"", False
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
            piece = sock.recv(65536)
            if not piece:
                raise ConnectionResetError("closed before the response was complete")
            data += piece
        size, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
        payload, data = data[9 : 9 + size], data[9 + size :]
        if kind == _SETTINGS and not flags:
            sock.sendall(frame(_SETTINGS, 1, 0, b""))
        if kind == _HEADERS:
            ok = _OK in payload[:3]  # an encoder may change the size of its table first
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            return ok


class SlowClient:
    """A client of HTTP/2 with many large answers on their way, of which it takes little: `with`."""

    _STREAMS = 100
    _BYTES_PER_SECOND = 256 * 1024

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> None:
        """Ask for all of it."""
        asked = [_get(self._sock, stream) for stream in range(1, 2 * self._STREAMS, 2)]
        self._sock.sendall(_GREETING + b"".join(asked))
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._sock.close()

    def _read(self) -> None:
        while not self._stopped.wait(0.1):
            self._sock.recv(self._BYTES_PER_SECOND // 10)
