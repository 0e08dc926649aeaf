"""HTTP/2 by hand: frames of any kind are sent, and read as they come; for what no library does.

Owns a socket and what was read from it and not yet asked for. Every wait is bounded by the socket's
timeout. Runs on the test's thread.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import hpack

from tests.patience import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9
PRIORITY_UPDATE = 16

ACK = END_STREAM = 0x1
END_HEADERS, PADDED, WITH_PRIORITY = 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(5, 10)
ENHANCE_YOUR_CALM = 11

TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_FIELDS = range(1, 7)
ENABLE_CONNECT, NO_RFC7540_PRIORITIES = 8, 9

Fields = Iterable[tuple[str, str]]

_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Frame(NamedTuple):
    """A frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error of an RST_STREAM or GOAWAY."""
        at = {RST_STREAM: 0, GOAWAY: 4}[self.kind]
        return int.from_bytes(self.payload[at : at + 4], "big")

    @property
    def last_stream(self) -> int:
        """The last stream that a GOAWAY names."""
        assert self.kind == GOAWAY, self
        return int.from_bytes(self.payload[:4], "big")

    @property
    def settings(self) -> dict[int, int]:
        """The values of a SETTINGS frame."""
        assert self.kind == SETTINGS, self
        return dict(struct.iter_unpack("!HI", self.payload))


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """The bytes of a frame, whatever it means."""
    return struct.pack("!IBI", len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack("!HI", *pair) for pair in values.items()))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack("!I", increment))


def reset(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack("!I", code))


def request_fields(
    path: str | None = "/",
    *fields: str,
    method: str = "GET",
    scheme: str = "http",
    authority: str | None = "test",
    protocol: str | None = None,
) -> list[tuple[str, str]]:
    """The fields of a request; those given are lines "name: value"."""
    pseudo = {":method": method, ":scheme": scheme, ":authority": authority, ":path": path}
    pseudo[":protocol"] = protocol
    pairs = [(name, value) for name, value in pseudo.items() if value is not None]
    for line in fields:
        name, _, value = line.partition(": ")
        pairs.append((name, value))
    return pairs


def octets(fields: Fields) -> list[tuple[bytes, bytes]]:
    """Fields as they are sent; what is no octet has no place in them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


def connected(
    host: str, port: int, context: ssl.SSLContext | None, receive_buffer: int = 0
) -> socket.socket:
    """A socket to the server, over TLS if there is a context, which then offers h2."""
    sock = socket.socket()
    sock.settimeout(PATIENCE)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        sock.connect((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return sock
        context.set_alpn_protocols(["h2"])
        return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


class Wire:
    """A connection on which the test says every octet; `values` are its settings, None leaves even
    the preface out.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None = None,
        values: dict[int, int] | None = {},  # noqa: B006
        receive_buffer: int = 0,
    ) -> None:
        self.sock = connected(host, port, context, receive_buffer)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self._buffer = bytearray()
        self._next = 1
        self.received = 0  # octets of DATA
        self.ended = False  # the server's side, while something was poured
        if values is not None:
            self.send(PREFACE, settings(values))

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def pour(self, data: bytes) -> Iterator[Frame]:
        """Send it, and yield the frames that come meanwhile, up to the end of the connection. One
        thread does both, as before 3.13.1 Python does not guard the objects of OpenSSL.
        """
        rest = memoryview(data)
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLOUT)
        self.sock.setblocking(False)
        try:
            while rest and not self.ended:
                assert poll.poll(PATIENCE * 1000), "the server neither reads nor writes"
                self._take_in()
                while len(self._buffer) >= 9 and len(self._buffer) >= 9 + self._length:
                    found = self.read()
                    assert found is not None
                    yield found
                try:
                    rest = rest[self.sock.send(rest) :]
                except _LATER:
                    pass
                except OSError:
                    self.ended = True
        finally:
            self.sock.settimeout(PATIENCE)

    def _take_in(self) -> None:
        """Read what has come."""
        try:
            while data := self.sock.recv(65536):
                self._buffer += data
            self.ended = True
        except _LATER:
            pass
        except OSError:
            self.ended = True

    def headers(
        self, fields: Fields, *, stream: int = 0, end: bool = True, flags: int = END_HEADERS
    ) -> int:
        """Send a HEADERS frame and return its stream: the next one, unless one is given."""
        stream = stream or self.new_stream()
        block = self.encoder.encode(octets(fields))
        self.send(frame(HEADERS, flags | (END_STREAM if end else 0), stream, block))
        return stream

    def request(self, path: str = "/", *lines: str, end: bool = True, **pseudo: Any) -> int:
        """Send a request and return its stream."""
        return self.headers(request_fields(path, *lines, **pseudo), end=end)

    def new_stream(self) -> int:
        self._next += 2
        return self._next - 2

    def data(self, stream: int, data: bytes = b"", *, end: bool = False) -> None:
        self.send(frame(DATA, END_STREAM if end else 0, stream, data))

    def read(self) -> Frame | None:
        """The next frame; None at the end of the connection, be it a reset."""
        while len(self._buffer) < 9 or len(self._buffer) < 9 + self._length:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                assert not self._buffer, f"the connection ended in a frame: {self._buffer!r}"
                return None
            self._buffer += data
        kind, flags, stream = struct.unpack_from("!BBI", self._buffer, 3)
        end = 9 + self._length
        payload = bytes(self._buffer[9:end])
        del self._buffer[:end]
        if kind == DATA:
            self.received += len(payload)
        return Frame(kind, flags, stream, payload)

    @property
    def _length(self) -> int:
        return int.from_bytes(self._buffer[:3], "big")

    def frames(self) -> Iterator[Frame]:
        """All frames up to the end of the connection."""
        return iter(self.read, None)

    def until(self, kind: int, stream: int | None = None, flags: int = 0) -> Frame:
        """The next frame of a kind, with these flags; what comes before it is dropped, apart from
        field blocks, which are read for HPACK's sake. Fails if the connection ends, or the stream
        is reset.
        """
        for found in self.frames():
            if found.kind == HEADERS and (found.kind, found.stream) != (kind, stream):
                self.fields(found)
            if (
                found.kind == kind
                and stream in (None, found.stream)
                and found.flags & flags == flags
            ):
                return found
            wrong = found.kind == GOAWAY or (found.kind == RST_STREAM and found.stream == stream)
            assert not wrong, f"{found} with {found.code} in place of {kind}"
        raise AssertionError(f"the connection ended before a frame of kind {kind}")

    def answer(self, stream: int) -> dict[str, str]:
        """The fields of a response's head."""
        return self.fields(self.until(HEADERS, stream))

    def fields(self, found: Frame) -> dict[str, str]:
        """The fields of a HEADERS frame, which is read once, in its turn."""
        return {str(name): str(value) for name, value in self.decoder.decode(found.payload)}

    def ping(self, payload: bytes = b"are you?") -> None:
        """Wait for the answer to a PING: then the server has read everything before it."""
        self.send(frame(PING, 0, 0, payload))
        while self.until(PING, flags=ACK).payload != payload:
            pass

    def verdict(self, stream: int = 0) -> tuple[int, int]:
        """How it ends, for a stream: (RST_STREAM or GOAWAY, code); without one, the connection: all
        must have been read to its end then. (0, 0) if it ends without a word.
        """
        said = (0, 0)
        for found in self.frames():
            if found.kind == GOAWAY or (found.kind == RST_STREAM and found.stream == stream):
                said = (found.kind, found.code)
                if stream:
                    return said
        return said

    def close(self) -> None:
        self.sock.close()
