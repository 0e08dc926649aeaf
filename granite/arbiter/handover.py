"""What an arbiter and its successor say to each other.

Owns the notation: words in lines, over a socket pair whose ends also tell when a process dies, and
the value of the variable that starts it. Both outlive a release: the two may be of different ones.
Must not know what follows from a word. Loaded for an upgrade alone; the main thread of both.

Theory of operation. The successor inherits the listening sockets, and boots beside the server that
it is to replace. What becomes of it is decided by the former one alone, which may be told to stop
at any time:

    former                        successor
    started ───────────────────►  its signals are taken over: HELLO
    TICKET_KEYS ───────────────►  goes on with the keys of TLS sessions, if there are any
                                  all of its workers accept: READY
    GO ────────────────────────►  takes over the pid file and the sockets' files: TAKEN
    tells the service manager,
    closes the line ───────────►  it is the server now, and tells that the service is ready
    drains its workers, ends

A successor that cannot go on says FAILED and why. Whatever else ends its process ends the upgrade;
as long as it has not said TAKEN, the former one goes on as if there had been none. If that one dies
first, the successor needs no leave.
"""

from __future__ import annotations

import _socket
import os

from granite.errors import BootError

__all__ = [
    "FAILED",
    "GO",
    "HELLO",
    "READY",
    "TAKEN",
    "TICKET_KEYS",
    "Line",
    "Passed",
    "announce",
    "read",
]

HELLO = "hello"
READY = "ready"
GO = "go"
TAKEN = "taken"
FAILED = "failed"
TICKET_KEYS = "ticket-keys"

_VERSION = "1"


class Passed:
    """A socket that changes hands: its descriptor, the name by which settings ask for it, and the
    slot that it belongs to, 0 where it is shared by all.
    """

    __slots__ = ("fd", "name", "slot")

    def __init__(self, name: str, slot: int, fd: int) -> None:
        self.name = name
        self.slot = slot
        self.fd = fd


class Line:
    """One end. `fd` is -1 once it is closed."""

    __slots__ = ("_buffer", "_socket")

    def __init__(self, fd: int) -> None:
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)
        self._socket.setblocking(False)
        self._buffer = b""

    @property
    def fd(self) -> int:
        """The descriptor, which turns readable when something was said or the other end died."""
        return self._socket.fileno()

    def say(self, word: str, text: str = "") -> None:
        """Say a word, with a text in one line, without waiting. Nobody may be left to hear it."""
        line = f"{word} {' '.join(text.splitlines())}".rstrip()
        try:  # noqa: SIM105 (contextlib costs the arbiter memory)
            self._socket.send(line.encode("utf-8", "backslashreplace") + b"\n")
        except OSError:
            pass

    def hear(self) -> list[tuple[str, str]]:
        """Return what was said, as words with their texts, without waiting; close this end if the
        other one is closed.
        """
        while self.fd >= 0:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.close()
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        said = (line.decode("utf-8", "replace").partition(" ") for line in lines)
        return [(word, text) for word, _, text in said]

    def hang_up(self) -> None:
        """End the conversation, even if another process has inherited this end; idempotent."""
        try:  # noqa: SIM105 (contextlib costs the arbiter memory)
            self._socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def close(self) -> None:
        """Close this process's descriptor of this end; idempotent."""
        self._socket.close()


def announce(former: int, line: int, sockets: list[Passed]) -> str:
    """Return the value of the variable for this process, which is about to become the successor of
    the process `former`; `line` is the descriptor of its end.
    """
    passed = [f"{one.fd}:{one.slot}:{os.fsencode(one.name).hex()}" for one in sockets]
    return " ".join([_VERSION, str(os.getpid()), str(former), str(line), *passed])


def read(text: str) -> tuple[int, int, list[Passed]] | None:
    """Return the former arbiter's process id, the descriptor of the line, and the sockets; None if
    the variable, whose value is `text`, is meant for another process. Raises BootError if it cannot
    be understood.
    """
    version, _, rest = text.partition(" ")
    if version != _VERSION:
        raise BootError("the server that is to be replaced is of a release that cannot hand over")
    try:
        pid, former, line, *passed = rest.split(" ")
        if int(pid) != os.getpid():
            return None
        sockets = []
        for one in passed:
            fd, slot, name = one.split(":")
            sockets.append(Passed(os.fsdecode(bytes.fromhex(name)), int(slot), int(fd)))
        return int(former), int(line), sockets
    except ValueError:
        raise BootError(f"expected what an arbiter passes to its successor, got {text!r}") from None
