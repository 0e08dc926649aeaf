"""Messages from a worker to the arbiter, over a socket pair that also tells when an end dies.

Owns the framing: one byte that names the kind, four that give the length (big endian), the payload.
Must not know what the kinds make anybody do. The arbiter's end is used by the arbiter's loop, the
worker's by the worker's thread.
"""

from __future__ import annotations

import _socket
import os

__all__ = ["FAILED", "READY", "Channel", "Reporter", "open_channel"]

READY = b"R"
FAILED = b"F"

_HEAD = 5
# A traceback may be long, but what nobody reads to its end need not fill the pipe.
_MOST = 256 * 1024


class Channel:
    """The arbiter's end: `receive()` when `fd` is readable."""

    __slots__ = ("_buffer", "fd")

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._buffer = b""

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Return the messages that have arrived whole, as pairs of kind and payload, without
        waiting.
        """
        if self.fd < 0:
            return []
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                break
            except OSError:  # the worker died with something unread
                data = b""
            if not data:
                self.close()
                break
            self._buffer += data
        return self._split()

    def close(self) -> None:
        """Close this end; idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _split(self) -> list[tuple[bytes, bytes]]:
        messages = []
        while len(self._buffer) >= _HEAD:
            end = _HEAD + int.from_bytes(self._buffer[1:_HEAD], "big")
            if len(self._buffer) < end:
                break
            messages.append((self._buffer[:1], self._buffer[_HEAD:end]))
            self._buffer = self._buffer[end:]
        return messages


class Reporter:
    """The worker's end. `fd` turns readable (end of file) when the arbiter is gone."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def ready(self) -> None:
        """Say that the worker accepts connections."""
        self._send(READY, b"")

    def failed(self, exit_code: int, text: str) -> None:
        """Say that the worker could not start, why, and the status with which it ends."""
        self._send(FAILED, bytes([exit_code]) + text.encode("utf-8", "backslashreplace")[:_MOST])

    def _send(self, kind: bytes, payload: bytes) -> None:
        data = kind + len(payload).to_bytes(4, "big") + payload
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            pass  # the arbiter is gone: nobody is left to be told


def open_channel() -> tuple[Channel, int]:
    """Return the arbiter's end, and the descriptor of the worker's; neither is inherited across
    exec.
    """
    mine, theirs = _socket.socketpair()
    return Channel(mine.detach()), theirs.detach()
