"""A worker process as its parent sees it, and the slot that it works in.

Owns what a worker's messages and its end make of a slot; the theory of operation is in
`granite.arbiter.fleet`. Must not know how workers are forked, nor why one is replaced. Main thread
of the arbiter.
"""

from __future__ import annotations

import os
import time

from granite.arbiter.channel import BEAT, BROKEN, DRAINING, FAILED, READY, RECYCLE, RENEWED
from granite.arbiter.poller import NEVER, doubled
from granite.arbiter.signals import SIGQUIT, SIGTERM
from granite.errors import EXIT_BOOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.channel import Channel
    from granite.arbiter.report import Report
    from granite.hooks import HookWorker

__all__ = ["BOOTING", "QUICK", "READY_STATE", "STOPPING", "Slot", "Worker"]

BOOTING = "booting"
READY_STATE = "ready"
STOPPING = "stopping"

# Why a worker wants to be replaced.
REQUESTS = "requests"

# Seconds that a worker gets for a quick end before it is killed.
QUICK = 3.0

# Seconds after which a worker that still boots is talked about.
_SLOW = 10.0
# Seconds: a worker that lasted this long starts the delays anew.
_SETTLED = 10.0
_LONGEST_DELAY = 30.0


class Worker:
    """One worker process of the slot `index`, started because of `cause`. `face` is what hooks see
    of it; `pid` is 0 until a template has forked it.

    Of what it has said: `failure` is the status and text with which it could not start, `wish` why
    it wants to be replaced, `broken` the error that it serves in place of the application,
    `accepts` whether it accepts connections; `heard_at` is when it spoke last, `silent_since` when
    that was before it was asked for a report.
    Of what follows, in monotonic time and NEVER as long as it does not: it is late with getting
    ready at `slow_at`, is to be replaced at `expires_at`, has not answered for too long and
    explains itself until `report_at`, is killed at `kill_at`. It may be silent for `timeout`
    seconds, as it was told when it was forked; 0: for any time.
    `over_memory` counts the looks at which it had too much, `covers` names the other slots on whose
    sockets it accepts; `jitter` is a random number from 0 up to 1.
    """

    __slots__ = (
        "_kept",
        "accepts",
        "broken",
        "cause",
        "channel",
        "covers",
        "expires_at",
        "face",
        "failure",
        "heard_at",
        "index",
        "jitter",
        "kill_at",
        "over_memory",
        "pid",
        "ready_at",
        "renewed",
        "report",
        "report_at",
        "silent_since",
        "slow_at",
        "started_at",
        "state",
        "timeout",
        "wish",
    )

    def __init__(
        self,
        index: int,
        pid: int,
        channel: Channel,
        *,
        cause: str,
        face: HookWorker | None,
        report: Report,
    ) -> None:
        now = time.monotonic()
        self.index = index
        self.pid = pid
        self._kept: list[int] = []
        self.channel = channel
        self.cause = cause
        self.face = face
        self.report = report
        self.state = BOOTING
        self.started_at = self.heard_at = self.silent_since = now
        self.ready_at = 0.0
        self.accepts = False
        self.slow_at = now + _SLOW
        self.expires_at = self.report_at = self.kill_at = NEVER
        self.timeout = 0.0
        self.over_memory = 0
        # The module `random` costs the arbiter memory.
        self.jitter = int.from_bytes(os.urandom(4), "big") / 2**32
        self.covers: set[int] = set()
        self.failure: tuple[int, str] | None = None
        self.wish = ""
        self.broken = ""
        self.renewed: str | None = None

    def __str__(self) -> str:
        return f"worker {self.index} (pid {self.pid})" if self.pid else f"worker {self.index}"

    @property
    def serves(self) -> bool:
        """Whether it accepts connections, is to stay, and answers."""
        return self.state == READY_STATE and self.report_at == NEVER

    def read(self, now: float) -> list[bytes]:
        """Take in the messages that have arrived; return what its beats have brought."""
        beats = []
        for kind, payload in self.channel.receive():
            self.heard_at = now
            if kind == BEAT:
                beats.append(payload)
            elif kind == READY and self.state == BOOTING:
                self.state = READY_STATE
                self.accepts = True
                self.ready_at = now
                self.slow_at = self.report_at = NEVER
            elif kind == FAILED:
                self.failure = (*payload[:1], EXIT_BOOT)[0], payload[1:].decode("utf-8", "replace")
                # It ends by itself, unless a thread of the application holds it up.
                self.kill_at = min(self.kill_at, now + QUICK)
            elif kind == DRAINING:
                self.accepts = False
            elif kind == RECYCLE:
                self.wish = REQUESTS
            elif kind == RENEWED:
                self.renewed = payload.decode("utf-8", "replace")
            elif kind == BROKEN:
                self.broken = payload.decode("utf-8", "replace")
        return beats

    def release(self) -> None:
        """Give back what the arbiter holds of it, once it has been collected; idempotent."""
        self.channel.close()
        self.report.close()

    def send(self, number: int) -> None:
        """Send the process a signal, as soon as there is one."""
        if not self.pid:
            self._kept.append(number)
            return
        try:  # noqa: SIM105 (contextlib costs the arbiter memory)
            os.kill(self.pid, number)  # not reaped yet, so the pid is still the worker's
        except ProcessLookupError:
            pass  # the program around the arbiter reaped it

    def forked(self, pid: int) -> None:
        """Take in the process that a template has made."""
        self.pid = pid
        for number in self._kept:
            self.send(number)

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
    time at which an empty slot is to be filled, `cause` why; `first_delay` are the seconds after
    which the second worker in a row that did not last is replaced. `vacant` says that no worker has
    become ready since the last one died, `trouble` why the last attempt failed.
    """

    __slots__ = (
        "_delay",
        "_first_delay",
        "cause",
        "current",
        "index",
        "next",
        "refill_at",
        "retiring",
        "trouble",
        "vacant",
    )

    def __init__(self, index: int, first_delay: float, cause: str = "start") -> None:
        self.index = index
        self.cause = cause
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

    def dismiss(self, worker: Worker) -> None:
        """Have the current or the next worker retire, although nobody takes its place yet."""
        self.remove(worker)
        self.retiring.append(worker)

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
        self._delay = doubled(delay, self._first_delay, longest)
        self.refill_at = now + delay
        return delay

    def rest(self) -> None:
        """Leave the slot, which is empty, as it is until `hasten()`."""
        self.refill_at = NEVER

    def hasten(self, cause: str) -> None:
        """Have the slot, if it is empty, filled without further delay."""
        self.cause = cause
        self._delay = 0.0
        self.refill_at = 0.0
