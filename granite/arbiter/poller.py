"""What the arbiter waits for: descriptors, and the next deadline.

Owns the set of watched descriptors and the one place where the arbiter sleeps. Must not know what
any of them means. Main thread of the arbiter.
"""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NEVER", "READABLE", "WRITABLE", "Poller", "doubled"]

READABLE = select.POLLIN
WRITABLE = select.POLLOUT

NEVER = float("inf")

# Milliseconds: poll takes no more than an int, and a timeout may be a year.
_LONGEST_WAIT = 3_600_000


def doubled(delay: float, first: float, longest: float) -> float:
    """Return the delay before the next attempt, where `delay` was the one before this one."""
    return min(max(delay * 2, first), longest)


class Poller:
    """Watch descriptors, and call whoever registered one when something is to be done."""

    __slots__ = ("_callbacks", "_poll")

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[int], object]] = {}

    def register(self, fd: int, callback: Callable[[int], object], events: int = READABLE) -> None:
        """Call `callback` with the events that have come to `fd`; an end or an error of the other
        side is reported whatever `events` are. A descriptor has one callback.
        """
        assert fd not in self._callbacks
        self._poll.register(fd, events)
        self._callbacks[fd] = callback

    def modify(self, fd: int, events: int) -> None:
        """Wait for other events of a registered descriptor."""
        self._poll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        """Forget a descriptor, before it is closed; idempotent."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def wait(self, until: float) -> None:
        """Sleep until something has come, or the monotonic time `until`, which may be NEVER."""
        timeout = None
        if until != NEVER:
            timeout = min(max(0.0, until - time.monotonic()) * 1000 + 1, _LONGEST_WAIT)
        for fd, events in self._poll.poll(timeout):
            callback = self._callbacks.get(fd)
            if callback is not None:  # else one that was called before has unregistered it
                callback(events)
