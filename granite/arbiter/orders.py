"""What the arbiter and a template say to each other, beside READY and FAILED.

Owns the kinds of these messages and the form of an order. Must not know who follows it. Used by the
arbiter's loop and on the template's main thread.
"""

from __future__ import annotations

import os

from granite.errors import BootError

__all__ = ["ADOPTS", "END", "FORK", "FORKED", "ORPHANED", "REFUSED", "REOPEN", "Order"]

# From the arbiter.
FORK = b"K"  # fork a worker: an order, with the worker's descriptors
ADOPTS = b"A"  # whatever of the template's descendants is an orphan from now on is the arbiter's
REOPEN = b"O"  # open the log files again
END = b"E"  # fork nothing more, and end

# From a template. There is never more than one order that waits for its answer.
FORKED = b"P"  # the worker lives: its process id, and that of its parent, which waits
ORPHANED = b"O"  # that one has ended: the worker is the arbiter's child
REFUSED = b"D"  # the system refuses the fork: why


class Order:
    """A worker of the slot `index`, with the descriptors of its channel and its report (-1:
    none) and its listening sockets; `age` counts the workers since the start where hooks are set,
    else it is 0.
    """

    __slots__ = ("age", "channel", "index", "listeners", "report")

    def __init__(
        self, index: int, age: int, channel: int, report: int, listeners: tuple[int, ...]
    ) -> None:
        self.index = index
        self.age = age
        self.channel = channel
        self.report = report
        self.listeners = listeners

    def message(self) -> tuple[bytes, bytes, tuple[int, ...]]:
        """Return it as kind, payload and descriptors."""
        reports = (self.report,) if self.report >= 0 else ()
        fds = (self.channel, *reports, *self.listeners)
        return FORK, b"%d %d %d %d" % (self.index, self.age, len(reports), len(fds)), fds

    @classmethod
    def read(cls, payload: bytes, fds: list[int]) -> Order:
        """Return the order that `message()` has written, with this process's descriptors. Raises
        BootError where it has not got all of them.
        """
        index, age, reports, count = map(int, payload.split())
        if len(fds) < count:  # the system has thrown away those that were too many
            for fd in fds:
                os.close(fd)
            raise BootError("cannot fork a worker: too many open files")
        report = fds[1] if reports else -1
        return cls(index, age, fds[0], report, tuple(fds[1 + reports :]))

    def fds(self) -> tuple[int, ...]:
        """Return all of its descriptors."""
        return self.message()[2]
