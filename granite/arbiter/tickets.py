"""The keys of TLS session tickets, which all workers of the tree share.

Owns the keys and the time at which they change. Must not know TLS, nor what a worker does with
them. Main thread of the arbiter; imported where a certificate is set.

Theory of operation. A ticket is made with the current key, and is good for `ssl_ticket_lifetime`.
As often as that, the next key becomes the current one, and a new one comes behind it; tickets of
the previous one are still taken, so that each ticket lives its whole life. The next key is known to
all workers before any of them uses it: a worker that hears of the change late takes the tickets of
one that has heard of it. A worker gets the keys before it has a process, and again at each change;
should it have no room for the message, it hears the next one.

A successor gets them from the server that it replaces, and changes them by its own clock.
"""

from __future__ import annotations

import os
import time

from granite.arbiter.channel import TICKET_KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.fleet import Fleet
    from granite.arbiter.resources import Resources
    from granite.arbiter.slots import Worker

__all__ = ["TicketKeys", "Tickets"]

# A name of 16 bytes, and a secret of 32.
_SIZE = 48
_COUNT = 3


class TicketKeys:
    """The current key, the previous and the next one."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys = [os.urandom(_SIZE) for _ in range(_COUNT)]

    def rotate(self) -> None:
        """Have the next key be the current one."""
        current, _, following = self._keys
        self._keys = [following, current, os.urandom(_SIZE)]

    def packed(self) -> bytes:
        """Return the keys as the core takes them."""
        return b"".join(self._keys)

    def adopt(self, packed: bytes) -> bool:
        """Be these keys; return False for what is none."""
        if len(packed) != _SIZE * _COUNT:
            return False
        self._keys = [packed[at : at + _SIZE] for at in range(0, len(packed), _SIZE)]
        return True


class Tickets:
    """A part of the arbiter: the keys of the workers of `fleet`."""

    __slots__ = ("_due_at", "_fleet", "_held", "_keys")

    def __init__(self, fleet: Fleet, held: Resources) -> None:
        self._fleet = fleet
        self._held = held
        self._keys = TicketKeys()
        self._postpone(time.monotonic())

    def next_deadline(self) -> float:
        """Return the monotonic time at which the keys change."""
        return self._due_at

    def manage(self, now: float) -> None:
        """Change the keys if it is time."""
        if now >= self._due_at:
            self._keys.rotate()
            self._postpone(now)
            self._tell()

    def greet(self, worker: Worker) -> None:
        """Tell the keys to a worker that is about to get its process."""
        worker.channel.send(TICKET_KEYS, self._keys.packed())

    def pass_on(self) -> str:
        """Return the keys for the successor of this server."""
        return self._keys.packed().hex()

    def adopt(self, text: str) -> None:
        """Go on with the keys of the server that this one replaces."""
        try:
            packed = bytes.fromhex(text)
        except ValueError:
            return
        if self._keys.adopt(packed):
            self._tell()

    def _tell(self) -> None:
        for worker in self._fleet.workers():
            self.greet(worker)

    def _postpone(self, now: float) -> None:
        # Where tickets were switched off, by a reload, it matters to nobody.
        self._due_at = now + (self._held.config.ssl_ticket_lifetime or 3600.0)
