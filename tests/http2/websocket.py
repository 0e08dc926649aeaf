"""A WebSocket's bytes on a stream (RFC 8441), for tests that speak WebSocket whatever carries it.

Owns the place up to which the stream's bytes were asked for. Every wait is bounded by the socket's
timeout. Runs on the test's thread.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from tests.http2.client import Client, Response
from tests.http2.wire import CANCEL
from tests.patience import PATIENCE
from tests.server.raw import Response as RawResponse
from tests.server.websocket.client import WebSocket

__all__ = ["ASKED", "VERSION", "StreamSocket", "connecting", "opened"]

VERSION = "sec-websocket-version: 13"
ASKED: dict[str, Any] = {"method": "CONNECT", "protocol": "websocket", "end": False}
KEPT = 65536  # bytes that were read and are not dropped yet


def connecting(client: Client, target: str = "/", *lines: str, behind: bytes = b"") -> int:
    """Ask for a WebSocket, with bytes that do not wait for the answer; return its stream."""
    stream = client.request(target, VERSION, *lines, **ASKED)
    if behind:
        client.data(stream, behind)
    return stream


def opened(client: Client, target: str = "/", *lines: str, behind: bytes = b"") -> WebSocket:
    """A WebSocket on a new stream."""
    socket = StreamSocket(client, connecting(client, target, *lines, behind=behind))
    websocket = WebSocket.of(socket, socket.answer())
    assert websocket.answer.status == 200, websocket.answer
    return websocket


class StreamSocket:
    """A stream that speaks as `raw.Client` does."""

    def __init__(self, client: Client, stream: int) -> None:
        self.client = client
        self.stream = stream
        self.came: Response = client.responses[stream]
        self._read = 0
        self._has_ended = False

    def answer(self) -> RawResponse:
        """The head of the response."""
        came = self.client.head(self.stream)
        return RawResponse(came.status, "", came.fields, "none")

    # sending

    def send(self, data: bytes) -> None:
        self.client.data(self.stream, data)

    def send_per_byte(self, data: bytes) -> None:
        for at in range(len(data)):
            self.send(data[at : at + 1])

    def send_until_blocked(self, data: bytes, seconds: float = 0.2) -> int:
        """Send of `data` what the windows permit; return how many bytes that was."""
        sent = 0
        while sent < len(data):
            room = self.client.room(self.stream)
            if not room:
                if self._is_silent_for(seconds):
                    break
                continue
            self.client.data(self.stream, data[sent : sent + room])
            sent += min(room, len(data) - sent)
        return sent

    def end(self) -> None:
        """End this half of the stream."""
        if not self._has_ended:
            self._has_ended = True
            self.client.h2.end_stream(self.stream)
            self.client.flush()

    def reset(self) -> None:
        self.client.reset(self.stream, CANCEL)

    def close(self) -> None:
        """End the connection."""
        self.client.close()

    # reading

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        self.client.until(lambda: self._has(size) or self._is_over())
        assert self._has(size), f"the stream ended too early: {self.came}"
        data = self.came.body[self._read : self._read + size]
        self._read += size
        if self._read > KEPT:
            self.came.body, self._read = self.came.body[self._read :], 0
        return data

    def rest(self) -> bytes:
        """Everything up to the end of the stream, which this side ends as well then."""
        self.client.until(self._is_over)
        if self.came.reset:
            raise ConnectionResetError(self.came.reset)
        if self.came.reset is None:
            self.end()
        return self.came.body[self._read :]

    def ended(self) -> bool:
        """Whether the stream ends here, without another byte; fails if it just stays open."""
        return self.rest() == b""

    def gone(self) -> bool:
        """Like ended(), for a stream that may have been reset, or whose connection has ended."""
        with contextlib.suppress(ConnectionResetError):
            while not self._is_over() and not self.client.ended:
                self.client.take()
        return not self._has(1)

    def silent(self, seconds: float = 0.1) -> bool:
        """Whether nothing comes on the stream for a while, nor does it end."""
        before = len(self.came.body)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._is_over():
            self._is_silent_for(left)
        return len(self.came.body) == before and not self._is_over()

    def _has(self, size: int) -> bool:
        return len(self.came.body) - self._read >= size

    def _is_over(self) -> bool:
        return self.came.ended or self.came.reset is not None

    def _is_silent_for(self, seconds: float) -> bool:
        """Whether no frame comes for so long."""
        self.client.sock.settimeout(seconds)
        try:
            self.client.take()
        except TimeoutError:
            return True
        finally:
            self.client.sock.settimeout(PATIENCE)
        return False
