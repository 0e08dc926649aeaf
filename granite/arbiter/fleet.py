"""The worker slots: one place each for a worker process, which is filled, watched and refilled.

Owns forking, the state of each worker, and when a slot is filled again. Must not know signals'
meanings, the listening sockets, or what a worker does. Main thread of the arbiter.

Theory of operation: a worker is BOOTING from the fork to its ready message, then READY until it is
told to end, then STOPPING. A slot whose worker ended on its own is filled again after a delay that
doubles with each worker that did not last; how a worker that never became ready ends the whole tree
is the arbiter's to decide.
"""

from __future__ import annotations

import gc
import os
import sys

from granite.arbiter import signals
from granite.arbiter.channel import FAILED, READY, Channel, open_channel
from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BOOTING", "READY_STATE", "STOPPING", "BecomeWorker", "Fleet", "Slot", "Worker"]

BOOTING = "booting"
READY_STATE = "ready"
STOPPING = "stopping"

# Seconds: a worker that lasted this long starts the delays anew.
_SETTLED = 10.0
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 30.0


class BecomeWorker(Exception):  # noqa: N818 (no error: it unwinds the stack)
    """Raised in a forked child, to leave the arbiter's frames before the worker's life begins."""

    def __init__(self, index: int, channel: int) -> None:
        super().__init__(index, channel)
        self.index = index
        self.channel = channel


class Worker:
    """One worker process. `failure` is the status and text with which it reported that it could not
    start.
    """

    __slots__ = ("channel", "failure", "pid", "ready_at", "state")

    def __init__(self, pid: int, channel: Channel) -> None:
        self.pid = pid
        self.channel = channel
        self.state = BOOTING
        self.ready_at = 0.0
        self.failure: tuple[int, str] | None = None

    def read(self, now: float) -> None:
        """Take in the messages that have arrived."""
        for kind, payload in self.channel.receive():
            if kind == READY and self.state == BOOTING:
                self.state = READY_STATE
                self.ready_at = now
            elif kind == FAILED:
                self.failure = payload[0], payload[1:].decode("utf-8", "replace")


class Slot:
    """The place of one worker. `refill_at` is the monotonic time at which an empty slot is to be
    filled.
    """

    __slots__ = ("_delay", "index", "refill_at", "worker")

    def __init__(self, index: int) -> None:
        self.index = index
        self.worker: Worker | None = None
        self.refill_at = 0.0
        self._delay = 0.0

    def vacate(self, worker: Worker, now: float) -> float:
        """Empty the slot of a worker that had been ready; return the seconds until it is filled
        again.
        """
        self.worker = None
        if now - worker.ready_at >= _SETTLED:
            self._delay = 0.0
        delay = self._delay
        self._delay = min(max(delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
        self.refill_at = now + delay
        return delay


class Fleet:
    """All slots."""

    __slots__ = ("slots",)

    def __init__(self, size: int) -> None:
        self.slots = [Slot(index) for index in range(1, size + 1)]

    def occupied(self) -> Iterator[tuple[Slot, Worker]]:
        """Yield each slot that has a worker, with the worker."""
        for slot in self.slots:
            if slot.worker is not None:
                yield slot, slot.worker

    def all_ready(self) -> bool:
        """Say whether every slot has a worker that accepts connections."""
        return all(
            slot.worker is not None and slot.worker.state == READY_STATE for slot in self.slots
        )

    def fill(self, now: float) -> None:
        """Fork a worker for each empty slot whose time has come; raise BecomeWorker in the
        child.
        """
        for slot in self.slots:
            if slot.worker is None and slot.refill_at <= now:
                self._spawn(slot)

    def next_refill(self) -> float | None:
        """Return the monotonic time at which `fill` has something to do next; None if no slot is
        empty.
        """
        return min((slot.refill_at for slot in self.slots if slot.worker is None), default=None)

    def kill(self, number: int) -> None:
        """Send a signal to every worker."""
        for _, worker in self.occupied():
            worker.state = STOPPING
            os.kill(worker.pid, number)  # not reaped yet, so the pid is still the worker's

    def reap(self) -> Iterator[tuple[Slot, Worker, int]]:
        """Collect the children that have ended; yield those that were workers, with waitpid's
        status.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for slot, worker in self.occupied():
                if worker.pid == pid:
                    yield slot, worker, status
                    break

    def _spawn(self, slot: Slot) -> None:
        mine, theirs = open_channel()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # None where the descriptor was closed from the start
                stream.flush()  # else what it holds would be written by both processes
        # The child's garbage collector would write to every inherited object, and so copy its page.
        gc.freeze()
        signals.block()
        try:
            pid = os.fork()
        except OSError as exc:
            signals.restore()
            raise BootError(f"cannot fork a worker: {(exc.strerror or str(exc)).lower()}") from None
        if pid == 0:
            mine.close()
            for _, other in self.occupied():
                other.channel.close()
            raise BecomeWorker(slot.index, theirs)
        signals.restore()
        os.close(theirs)
        slot.worker = Worker(pid, mine)
