"""A client made of one socket: sends exactly what it is told, reads responses strictly.

Owns the socket and what was read from it and not yet asked for. Every wait is bounded by the
socket's timeout. Runs on the test's thread.
"""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass, field

from tests.patience import PATIENCE

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ([\x20-\x7e]*)")
_FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([^\r\n\x00]*)")


@dataclass
class Response:
    """One response, as it came."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    framing: str = ""  # none, length, chunked, close
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """The value of a field that comes at most once."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} comes {len(values)} times: {self.fields}"
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.fields if given.lower() == name]


class Client:
    """A connection to a server on `host` and `port`, from the address `source`; `receive_buffer`
    bytes bound the kernel's.
    """

    def __init__(self, host: str, port: int, *, receive_buffer: int = 0, source: str = "") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.settimeout(PATIENCE)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            if source:
                self.sock.bind((source, 0))
            self.sock.connect((host, port))
        except BaseException:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    @classmethod
    def at(cls, path: str) -> Client:
        """A connection to a server at the Unix socket `path`."""
        self = cls.__new__(cls)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        try:
            self.sock.connect(path)
        except BaseException:
            self.sock.close()
            raise
        self._buffer = bytearray()
        return self

    # sending

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_per_byte(self, data: bytes) -> None:
        for at in range(len(data)):
            self.sock.sendall(data[at : at + 1])

    def send_until_blocked(self, data: bytes, seconds: float = 0.2) -> int:
        """Send of `data` what the server and the kernel take; return how many bytes that was."""
        view, sent = memoryview(data), 0
        self.sock.settimeout(seconds)
        try:
            while sent < len(data):
                sent += self.sock.send(view[sent : sent + 65536])
        except TimeoutError:
            pass
        finally:
            self.sock.settimeout(PATIENCE)
        return sent

    def request(
        self, target: str = "/", *fields: str, method: str = "GET", body: bytes = b""
    ) -> None:
        self.send(request(target, *fields, method=method, body=body))

    def ask(
        self, target: str = "/", *fields: str, method: str = "GET", body: bytes = b""
    ) -> Response:
        """Send a request and read its response."""
        self.request(target, *fields, method=method, body=body)
        return self.response(head_only=method == "HEAD")

    def end(self) -> None:
        """Close this half only."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Close without a goodbye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # reading

    def response(self, *, head_only: bool = False) -> Response:
        """Read one response, interim ones included; not a byte more is consumed."""
        lines = bytes(self.until(b"\r\n\r\n")).split(b"\r\n")
        status = _STATUS_LINE.fullmatch(lines[0])
        assert status is not None, f"no status line: {lines[0]!r}"
        response = Response(
            int(status[1]), status[2].decode(), [_field(line) for line in lines[1:]]
        )
        self._read_body(response, head_only)
        return response

    def _read_body(self, response: Response, head_only: bool) -> None:
        length, coding = response.get("content-length"), response.get("transfer-encoding")
        assert length is None or coding is None, response.fields
        if head_only or response.status < 200 or response.status in (204, 304):
            response.framing = "none"
        elif coding is not None:
            assert coding == "chunked"
            response.framing = "chunked"
            while size := int(line := self.until(b"\r\n"), 16):
                assert re.fullmatch(rb"[0-9a-f]+", line), line
                response.chunks.append(self.read(size))
                assert self.read(2) == b"\r\n"
            while line := self.until(b"\r\n"):
                response.trailers.append(_field(line))
            response.body = b"".join(response.chunks)
        elif length is not None:
            response.framing = "length"
            response.body = self.read(int(length))
        else:
            response.framing = "close"
            response.body = self.rest()

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        while len(self._buffer) < size:
            assert self._fill(), f"the connection ended, {size - len(self._buffer)} bytes missing"
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        while self._fill():
            pass
        return self.read(len(self._buffer))

    def ended(self) -> bool:
        """Whether the connection ends here, without another byte; fails if it just stays open."""
        return self.rest() == b""

    def gone(self) -> bool:
        """Like ended(), for a connection that may have been reset."""
        try:
            return self.ended()
        except (ConnectionResetError, BrokenPipeError):
            return not self._buffer

    def silent(self, seconds: float = 0.1) -> bool:
        """Whether nothing comes for a while, nor does the connection end."""
        if self._buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            self._fill()
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(PATIENCE)
        return False

    def until(self, mark: bytes) -> bytes:
        """Everything up to `mark`, which is consumed as well."""
        while (at := self._buffer.find(mark)) < 0:
            assert self._fill(), f"the connection ended before {mark!r}: {bytes(self._buffer)!r}"
        data = self.read(at)
        del self._buffer[: len(mark)]
        return data

    def _fill(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        return bool(data)


def _field(line: bytes) -> tuple[str, str]:
    parts = _FIELD_LINE.fullmatch(line)
    assert parts is not None, f"no field line: {line!r}"
    return parts[1].decode(), parts[2].decode("latin-1")


def request(
    target: str = "/",
    *fields: str,
    method: str = "GET",
    body: bytes = b"",
    version: str = "1.1",
    host: str = "test",
) -> bytes:
    """A request's bytes; a body brings its Content-Length along."""
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


def chunked(*pieces: bytes) -> bytes:
    """A chunked body with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
