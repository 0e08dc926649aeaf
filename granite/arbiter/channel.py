"""Messages between a worker and the arbiter, over a socket pair that also tells when an end dies.

Owns the framing: one byte that names the kind, one that counts the descriptors that travel with the
message (SCM_RIGHTS), four that give the length (big endian), the payload. Must not know what the
kinds make anybody do. The arbiter's end is used by the arbiter's loop, the worker's by the worker's
thread.

The arbiter never waits for a worker, nor a worker that serves for the arbiter: a message that the
other end has no room for is dropped whole. Only what a worker says of its start waits. An end
trusts the other one in nothing: an application may write there by mistake, or worse.
"""

from __future__ import annotations

import _socket
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    # Kind, payload, descriptors.
    Message: TypeAlias = "tuple[bytes, bytes, list[int]]"

__all__ = [
    "ACCEPT",
    "BEAT",
    "BROKEN",
    "DRAINING",
    "FAILED",
    "NOTICE",
    "READY",
    "RECYCLE",
    "RELEASE",
    "RENEW",
    "RENEWED",
    "TICKET_KEYS",
    "Channel",
    "Reporter",
    "open_channel",
]

# From a worker.
READY = b"R"  # it accepts connections
FAILED = b"F"  # it could not start: the exit status in one byte, then why
BEAT = b"B"  # its event loop turns: nothing, or a snapshot of its metrics
RECYCLE = b"C"  # it has served enough requests, and wants to be replaced
DRAINING = b"D"  # it accepts connections no longer
BROKEN = b"X"  # it serves the page of an error in place of the application: the error
RENEWED = b"W"  # it shows the certificates that it got: nothing, or why it does not

# From the arbiter.
ACCEPT = b"A"  # accept on these sockets of a slot, too: the slot's number; descriptors
RELEASE = b"L"  # do so no longer: the slot's number
NOTICE = b"N"  # the server is going to stop
RENEW = b"W"  # show what is in these files of certificates and keys: their paths; descriptors
TICKET_KEYS = b"T"  # seal and open the tickets of TLS sessions with these keys

_HEAD = 6
# A traceback may be long, but what nobody reads to its end need not fill the pipe.
_MOST = 256 * 1024
_LONGEST = _MOST + 1
# Descriptors in one message. Linux takes 253.
_MOST_FDS = 250
# Reads in a row, so that nobody is kept busy by who writes without an end.
_MOST_READS = 16
_DESCRIPTOR = 4


class _End:
    """One end: sends without waiting, and puts together what arrives."""

    __slots__ = ("_buffer", "_cut", "_fds", "_socket", "_unsent")

    def __init__(self, fd: int) -> None:
        self._socket = _socket.socket(fileno=fd)
        self._buffer = b""
        self._fds: list[int] = []
        self._cut = False
        self._unsent = b""

    @property
    def fd(self) -> int:
        """The descriptor, -1 once it is closed."""
        return self._socket.fileno()

    def send(self, kind: bytes, payload: bytes = b"", fds: Sequence[int] = ()) -> bool:
        """Send a message, and duplicates of descriptors with it; return False if the other end,
        which is gone or does not read, does not get it.
        """
        try:
            while self._unsent:  # the rest of the message before
                sent = self._socket.send(self._unsent, _socket.MSG_DONTWAIT)
                self._unsent = self._unsent[sent:]
            frame = _frame(kind, payload, len(fds))
            sent = self._socket.sendmsg([frame], _rights(fds), _socket.MSG_DONTWAIT)
        except OSError:
            return False
        self._unsent = frame[sent:]
        return True

    def close(self) -> None:
        """Close this end, and descriptors that nobody has taken; idempotent."""
        self._socket.close()
        self._drop()

    def _drop(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def _read(self) -> tuple[list[Message], bool]:
        """Return the messages that have arrived whole, without waiting, and whether the other end
        is gone, or no better than that: it has sent what is no message.
        """
        messages: list[Message] = []
        space = _socket.CMSG_SPACE(_MOST_FDS * _DESCRIPTOR)
        flags = _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC
        for _ in range(_MOST_READS):
            try:
                data, ancillary, notes, _ = self._socket.recvmsg(65536, space, flags)
            except BlockingIOError:
                return messages, False
            except OSError:  # the other end died with something unread
                return messages, True
            for _, _, rights in ancillary:
                self._fds += memoryview(rights[: len(rights) // 4 * 4]).cast("i")
            if notes & _socket.MSG_CTRUNC:  # this process has no room for more descriptors
                self._cut = True
                self._drop()
            if not data:
                return messages, True
            messages += self._split(data)
            if len(self._buffer) >= _HEAD and self._length() > _LONGEST:
                return messages, True
        return messages, False

    def _length(self) -> int:
        return int.from_bytes(self._buffer[2:_HEAD], "big")

    def _split(self, data: bytes) -> list[Message]:
        self._buffer += data
        messages = []
        while len(self._buffer) >= _HEAD:
            end = _HEAD + self._length()
            if len(self._buffer) < end:
                break
            # Descriptors come with the first byte of their message, hence before its last one, and
            # the system passes no more than one set of them at once.
            count = self._buffer[1]
            fds, self._fds = self._fds[:count], self._fds[count:]
            if count and self._cut:
                self._cut = False  # the message is worth nothing without them
            else:
                messages.append((self._buffer[:1], self._buffer[_HEAD:end], fds))
            self._buffer = self._buffer[end:]
        return messages


class Channel(_End):
    """The arbiter's end: `receive()` when `fd` is readable."""

    __slots__ = ()

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Return the messages that have arrived whole, as pairs of kind and payload, without
        waiting; close this end if the worker has gone.
        """
        if self.fd < 0:
            return []
        messages, gone = self._read()
        if gone:
            self.close()
        return [(kind, payload) for kind, payload, _ in messages]


class Reporter(_End):
    """The worker's end: `receive()` when `fd` is readable. `gone` turns true when it is found that
    the arbiter has gone.
    """

    __slots__ = ("gone",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.gone = False

    def ready(self) -> None:
        """Say that the worker accepts connections."""
        self._say(READY, b"")

    def failed(self, exit_code: int, text: str) -> None:
        """Say that the worker could not start, why, and the status with which it ends."""
        self._say(FAILED, bytes([exit_code]) + _encode(text))

    def broken(self, text: str) -> None:
        """Say that the worker serves the page of an error, which is `text`."""
        self._say(BROKEN, _encode(text))

    def receive(self) -> list[Message]:
        """Return the messages that have arrived whole, as kind, payload and descriptors, which are
        the caller's now, without waiting.
        """
        messages, self.gone = self._read()
        return messages

    def _say(self, kind: bytes, payload: bytes) -> None:
        """Send a message, however long that takes."""
        data = self._unsent + _frame(kind, payload, 0)
        self._unsent = b""
        try:  # noqa: SIM105 (contextlib costs the arbiter memory)
            self._socket.sendall(data)
        except OSError:
            pass  # the arbiter is gone: nobody is left to be told


def open_channel() -> tuple[Channel, int]:
    """Return the arbiter's end, and the descriptor of the worker's; neither is inherited across
    exec.
    """
    mine, theirs = _socket.socketpair()
    return Channel(mine.detach()), theirs.detach()


def _frame(kind: bytes, payload: bytes, fds: int) -> bytes:
    return kind + bytes((fds,)) + len(payload).to_bytes(4, "big") + payload


def _rights(fds: Sequence[int]) -> list[tuple[int, int, bytes]]:
    if not fds:
        return []
    packed = b"".join(fd.to_bytes(_DESCRIPTOR, sys.byteorder) for fd in fds)
    return [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")[:_MOST]
