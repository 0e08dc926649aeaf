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
import select
import sys
import time

from granite.arbiter import signals
from granite.arbiter.channel import FAILED, READY, Channel, open_channel
from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from granite.hooks import HookWorker

__all__ = ["BOOTING", "READY_STATE", "STOPPING", "BecomeWorker", "Fleet", "Slot", "Worker"]

BOOTING = "booting"
READY_STATE = "ready"
STOPPING = "stopping"

# Seconds: a worker that lasted this long starts the delays anew.
_SETTLED = 10.0
_LONGEST_DELAY = 30.0


class BecomeWorker(Exception):  # noqa: N818 (no error: it unwinds the stack)
    """Raised in a forked child, to leave the arbiter's frames before the worker's life begins."""

    def __init__(self, index: int, channel: int, face: HookWorker | None) -> None:
        super().__init__(index, channel)
        self.index = index
        self.channel = channel
        self.face = face


class Worker:
    """One worker process. `failure` is the status and text with which it reported that it could not
    start, `face` what hooks see of it.
    """

    __slots__ = ("channel", "face", "failure", "pid", "ready_at", "state")

    def __init__(self, pid: int, channel: Channel, face: HookWorker | None) -> None:
        self.pid = pid
        self.channel = channel
        self.face = face
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
    filled, `first_delay` the seconds after which the second worker in a row that did not last is
    replaced.
    """

    __slots__ = ("_delay", "_first_delay", "index", "refill_at", "worker")

    def __init__(self, index: int, first_delay: float) -> None:
        self.index = index
        self.worker: Worker | None = None
        self.refill_at = 0.0
        self._delay = 0.0
        self._first_delay = first_delay

    def vacate(self, worker: Worker, now: float) -> float:
        """Empty the slot of a worker that had been ready; return the seconds until it is filled
        again.
        """
        self.worker = None
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


class Fleet:
    """All slots. `first_delay` is that of each slot."""

    __slots__ = ("slots",)

    def __init__(self, size: int, first_delay: float) -> None:
        self.slots = [Slot(index, first_delay) for index in range(1, size + 1)]

    def occupied(self) -> Iterator[tuple[Slot, Worker]]:
        """Yield each slot that has a worker, with the worker."""
        for slot in self.slots:
            if slot.worker is not None:
                yield slot, slot.worker

    def ready(self) -> int:
        """Return how many workers accept connections."""
        return sum(worker.state == READY_STATE for _, worker in self.occupied())

    def all_ready(self) -> bool:
        """Say whether every slot has a worker that accepts connections."""
        return self.ready() == len(self.slots)

    def empty(self, now: float) -> Slot | None:
        """Return a slot that is to be filled now, None if there is none."""
        for slot in self.slots:
            if slot.worker is None and slot.refill_at <= now:
                return slot
        return None

    def next_refill(self) -> float | None:
        """Return the monotonic time at which `fill` has something to do next; None if no slot is
        empty.
        """
        return min((slot.refill_at for slot in self.slots if slot.worker is None), default=None)

    def listen(self, fd: int, timeout: float | None) -> None:
        """Take in what workers say, until `fd` is readable, somebody has spoken, or `timeout`
        milliseconds are over.
        """
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        workers = {
            worker.channel.fd: worker for _, worker in self.occupied() if worker.channel.fd >= 0
        }
        for channel in workers:
            poll.register(channel, select.POLLIN)
        for ready, _ in poll.poll(timeout):
            if ready in workers:
                workers[ready].read(time.monotonic())

    def signal(self, number: int) -> None:
        """Send a signal to every worker."""
        for _, worker in self.occupied():
            os.kill(worker.pid, number)  # not reaped yet, so the pid is still the worker's

    def stop(self, number: int) -> None:
        """Send every worker a signal that ends it."""
        for _, worker in self.occupied():
            worker.state = STOPPING
        self.signal(number)

    def abandon(self) -> None:
        """Tell every worker to end, and do not wait for it."""
        self.stop(signals.SIGTERM)
        for _, worker in self.occupied():
            worker.channel.close()

    def reap(self) -> Iterator[tuple[Slot, Worker, int]]:
        """Collect the workers that have ended; yield them with waitpid's status.

        Other children are left to whoever started them: the arbiter may run inside a program that
        has its own. Only the first process of a container has to collect orphans too.
        """
        for slot, worker in list(self.occupied()):
            try:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else was faster
                pid, status = worker.pid, 0
            if pid:
                yield slot, worker, status
        if os.getpid() == 1:
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        workers = {worker.pid for _, worker in self.occupied()}
        while True:
            try:
                # Looked at only: it may be a worker that has ended just now.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in workers:
                return
            os.waitpid(found.si_pid, os.WNOHANG)

    def spawn(self, slot: Slot, face: HookWorker | None) -> Worker:
        """Fork a worker for an empty slot and return it; raise BecomeWorker in the child, and
        BootError if the system refuses.
        """
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
            signals.unblock()
            mine.close()
            os.close(theirs)
            raise BootError(f"cannot fork a worker: {(exc.strerror or str(exc)).lower()}") from None
        if pid == 0:
            mine.close()
            for _, other in self.occupied():
                other.channel.close()
            raise BecomeWorker(slot.index, theirs, face)
        signals.unblock()
        os.close(theirs)
        slot.worker = Worker(pid, mine, face)
        return slot.worker
