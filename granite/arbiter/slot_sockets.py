"""Which listening sockets a worker accepts from, and how workers see each other's load.

Owns the sockets of slots beyond the first, the board and the pool. Must not know workers, nor what
is written on the board. Main thread of the arbiter.

Theory of operation. The sockets are the arbiter's and live as long as it does, whoever fills a
slot, so that what waits in a queue waits for the next one. Either all workers share the socket of
an address, or, with `reuse_port`, each slot has one. Sockets that were handed over, and Unix
sockets, are always shared.

Neither the kernel nor chance gives all workers the same number of connections. So they write their
numbers on a board, memory that they share, and those that have too many leave what comes to others:
what comes at a shared socket by not accepting it, what comes at one of their own through the pool,
a pair of connected sockets, both ends of which each worker has. The arbiter only clears the place
of one that has died. Without a board, each takes what it gets.
"""

from __future__ import annotations

import _socket
import os
import sys

from granite.arbiter.listener import SHARED
from granite.errors import BootError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.listener import Listener
    from granite.settings.config import Config

__all__ = ["SlotSockets"]

# A cache line, so that workers don't write to each other's. The first seat is nobody's: its second
# number says how many others are in use. Of the others, the first number is the worker's pid.
_SEAT = 64
_SEATS = 1025  # the most workers that there may be, and the first one
_NUMBER = 4


class SlotSockets:
    """The sockets of all `listeners`, by slot; raises BootError if they cannot be divided.

    `shared` says that every slot has the same ones. With `wait`, no socket is opened until
    `go_on()`: a slot that has none shares the first one.
    """

    __slots__ = (
        "_board",
        "_config",
        "_divided",
        "_listeners",
        "_pool",
        "_seated",
        "_waiting",
        "shared",
    )

    def __init__(self, listeners: list[Listener], config: Config, *, wait: bool = False) -> None:
        self._listeners = listeners
        self._config = config
        self._divided: list[Listener] = []
        self._pool: tuple[int, ...] = ()
        self._seated = 0
        self._waiting = wait
        if config.reuse_port:
            self._choose()
        self.shared = not self._divided
        self._board = _make_board()
        if self._board >= 0 and not self.shared:
            self._pool = _make_pool()

    def go_on(self) -> None:
        """Open sockets from now on, where a slot has none and is filled; raises BootError."""
        self._waiting = False
        self._divide()

    def _choose(self) -> None:
        if sys.platform != "linux":  # others give everything to the latest socket
            raise BootError("reuse_port: only Linux deals connections out to several sockets")
        self._divided = [listener for listener in self._listeners if listener.divisible()]
        if not self._waiting:
            self._divide()

    def _divide(self) -> None:
        try:
            for listener in self._divided:
                listener.divide()
        except OSError as exc:
            raise BootError(f"reuse_port: the system refuses it: {reason(exc)}") from None

    def for_slot(self, index: int) -> tuple[int, ...]:
        """Return the descriptors of a slot, in the order of the addresses. Its own ones are opened
        on first use; raises BootError.
        """
        if index > self._seated:
            self._seat(index)
        found: list[int] = []
        for listener in self._listeners:
            if listener in self._divided:
                if self._waiting:
                    found.append(listener.fds.get(index, listener.fd))
                else:
                    found.append(listener.open_slot(index, self._config))
            else:
                found += listener.fds.values()
        return tuple(found)

    def slots(self) -> set[int]:
        """Return the slots that have sockets of their own."""
        return {slot for listener in self._divided for slot in listener.fds if slot != SHARED}

    def sharing(self) -> tuple[int, ...]:
        """Return the descriptors by which workers share connections out: the board's, then those of
        the pool's ends, for taking and giving, where there is one; nothing where the system has no
        such thing. They stay the same for the arbiter's whole life.
        """
        return (self._board, *self._pool) if self._board >= 0 else ()

    def gone(self, index: int, pid: int) -> None:
        """A worker of this slot has died: nobody is to wait for it."""
        place = index * _SEAT
        if self._board >= 0 and index <= self._seated:
            owner = os.pread(self._board, _NUMBER, place)
            if int.from_bytes(owner, sys.byteorder) == pid:  # else its successor's already
                os.pwrite(self._board, bytes(_NUMBER), place)

    def leave_in_child(self, index: int) -> None:
        """Close, in a worker of this slot, what is the other slots'."""
        for listener in self._divided:
            listener.keep_slot(index)

    def close(self) -> None:
        """Close everything; idempotent."""
        for listener in self._listeners:
            listener.close()
        for fd in self.sharing():
            os.close(fd)
        self._board = -1

    def _seat(self, index: int) -> None:
        if self._board >= 0 and index < _SEATS:
            self._seated = index
            os.pwrite(self._board, index.to_bytes(_NUMBER, sys.byteorder), _NUMBER)


def _make_board() -> int:
    """Return the descriptor of a board, -1 if this system has none."""
    try:
        board = os.memfd_create("granite-board")
    except (AttributeError, OSError):
        return -1
    os.ftruncate(board, _SEATS * _SEAT)
    return board


def _make_pool() -> tuple[int, ...]:
    """Return the descriptors of the pool's ends; raise BootError."""
    try:
        # Packets: a descriptor stays with the address that it was accepted at.
        ends = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    except OSError as exc:
        raise BootError(f"reuse_port: cannot make a socket pair: {reason(exc)}") from None
    return tuple(end.detach() for end in ends)
