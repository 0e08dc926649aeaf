"""A worker process as its parent sees it, and the slot that it works in.

Owns what a worker's messages and its end make of a slot; the theory of operation is in
`granite.arbiter.fleet`. Must not know how workers are forked, nor why one is replaced. Main thread
of the arbiter.
"""

from __future__ import annotations

import os
import time

from granite.arbiter.channel import FAILED, READY
from granite.arbiter.signals import SIGQUIT, SIGTERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.channel import Channel
    from granite.hooks import HookWorker

__all__ = ["BOOTING", "NEVER", "QUICK", "READY_STATE", "STOPPING", "Slot", "Worker"]

BOOTING = "booting"
READY_STATE = "ready"
STOPPING = "stopping"

NEVER = float("inf")
# Seconds that a worker gets for a quick end before it is killed.
QUICK = 3.0

# Seconds after which a worker that still boots is talked about.
_SLOW = 10.0
# Seconds: a worker that lasted this long starts the delays anew.
_SETTLED = 10.0
_LONGEST_DELAY = 30.0


class Worker:
    """One worker process of the slot `index`. `failure` is the status and text with which it
    reported that it could not start, `face` what hooks see of it; `kill_at` is the monotonic time
    at which it is killed, NEVER as long as it may live, `slow_at` the one at which it is late with
    getting ready, NEVER once that has been told.
    """

    __slots__ = (
        "channel",
        "face",
        "failure",
        "index",
        "kill_at",
        "pid",
        "ready_at",
        "slow_at",
        "state",
    )

    def __init__(self, index: int, pid: int, channel: Channel, face: HookWorker | None) -> None:
        self.index = index
        self.pid = pid
        self.channel = channel
        self.face = face
        self.state = BOOTING
        self.ready_at = 0.0
        self.kill_at = NEVER
        self.slow_at = time.monotonic() + _SLOW
        self.failure: tuple[int, str] | None = None

    def __str__(self) -> str:
        return f"worker {self.index} (pid {self.pid})"

    def read(self, now: float) -> None:
        """Take in the messages that have arrived."""
        for kind, payload in self.channel.receive():
            if kind == READY and self.state == BOOTING:
                self.state = READY_STATE
                self.ready_at = now
                self.slow_at = NEVER
            elif kind == FAILED:
                self.failure = payload[0], payload[1:].decode("utf-8", "replace")
                # It ends by itself, unless a thread of the application holds it up.
                self.kill_at = min(self.kill_at, now + QUICK)

    def send(self, number: int) -> None:
        """Send the process a signal."""
        try:  # noqa: SIM105 (contextlib costs the arbiter memory)
            os.kill(self.pid, number)  # not reaped yet, so the pid is still the worker's
        except ProcessLookupError:
            pass  # the program around the arbiter reaped it

    def end(self, number: int, kill_at: float) -> None:
        """Tell it to end with the signal `number`; it is killed at `kill_at`, or earlier if that
        was said before.
        """
        if self.state == BOOTING and number == SIGQUIT:
            number = SIGTERM  # at which a process that has no handler yet leaves no core file
        self.state = STOPPING
        self.slow_at = NEVER
        self.kill_at = min(self.kill_at, kill_at)
        self.send(number)


class Slot:
    """The place of one worker at a time; see `granite.arbiter.fleet`. `refill_at` is the monotonic
    time at which an empty slot is to be filled, `first_delay` the seconds after which the second
    worker in a row that did not last is replaced. `vacant` says that no worker has become ready
    since the last one died, `trouble` why the last attempt failed.
    """

    __slots__ = (
        "_delay",
        "_first_delay",
        "current",
        "index",
        "next",
        "refill_at",
        "retiring",
        "trouble",
        "vacant",
    )

    def __init__(self, index: int, first_delay: float) -> None:
        self.index = index
        self.current: Worker | None = None
        self.next: Worker | None = None
        self.retiring: list[Worker] = []
        self.refill_at = 0.0
        self.vacant = False
        self.trouble = ""
        self._delay = 0.0
        self._first_delay = first_delay

    def workers(self) -> list[Worker]:
        """Return the workers, whatever they are to the slot."""
        return [worker for worker in (self.current, self.next, *self.retiring) if worker]

    def add(self, worker: Worker) -> None:
        """Take in a worker that was just forked: as the current one of an empty slot, else as the
        next one.
        """
        if self.current is None:
            self.current = worker
        else:
            assert self.next is None
            self.next = worker

    def promote(self) -> Worker | None:
        """Make the next worker the current one if it is ready; return the one whose place it takes,
        which retires, or None.
        """
        if self.next is None or self.next.state != READY_STATE:
            return None
        retired = self.current
        self.current, self.next = self.next, None
        if retired is not None:
            self.retiring.append(retired)
        return retired

    def remove(self, worker: Worker) -> None:
        """Take out a worker that has ended. The next one succeeds a current one at once, ready or
        not.
        """
        if worker is self.current:
            self.current, self.next = self.next, None
            self.vacant = self.current is None
        elif worker is self.next:
            self.next = None
        else:
            self.retiring.remove(worker)

    def refill_after(self, worker: Worker, now: float) -> float:
        """Have the slot filled again after the end of a worker that had been ready; return the
        seconds until then.
        """
        if now - worker.ready_at >= _SETTLED:
            self._delay = 0.0
        return self.postpone(now)

    def postpone(self, now: float) -> float:
        """Put the filling off by the delay that is next; return its seconds."""
        delay = self._delay
        longest = max(self._first_delay, _LONGEST_DELAY)
        self._delay = min(max(delay * 2, self._first_delay), longest)
        self.refill_at = now + delay
        return delay

    def hasten(self) -> None:
        """Have the slot, if it is empty, filled without further delay."""
        self._delay = 0.0
        self.refill_at = 0.0
