"""All worker processes: how they are forked, heard, told to end, and collected.

Owns forking, and the sets of workers that something is to be done to. Must not know signals'
meanings, the listening sockets, what a worker does, or why one is replaced. Main thread of the
arbiter.

Theory of operation. A worker is BOOTING from the fork to its ready message, then READY until it is
told to end, then STOPPING; once it is told, it has a time at which it is killed. What it is to its
slot is another matter. A slot has

- a current worker, which serves, or boots to fill the empty slot;
- perhaps a next one, which boots to take the current one's place. Once it is ready it does
  (`promote`), and the former one is told to end;
- perhaps retiring ones, which have been told to end. Nothing follows from their deaths.

All of them accept on the same sockets, so that a slot serves without a gap while its worker
changes. The death of a worker that nobody told to end means:

- of the next one: the replacement has failed. The current one is not touched.
- of the current one while there is a next one: that one becomes current, ready or not. It is no
  respawn, and no delay counts it.
- of the current one alone: if it was ready, the slot is filled again, after a delay that doubles
  with each worker that did not last. If it was still booting, the next attempt would fail alike:
  the slot is filled again, with that delay, as long as other workers serve; else the tree ends.

Whoever wants a worker replaced, for whatever reason, spawns another one into its slot and waits
until that one has left BOOTING, or has died.
"""

from __future__ import annotations

import gc
import os
import select
import sys
import time

from granite.arbiter import signals
from granite.arbiter.channel import open_channel
from granite.arbiter.slots import NEVER, READY_STATE, Slot, Worker
from granite.errors import BootError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from granite.hooks import HookWorker

__all__ = ["BecomeWorker", "Fleet"]

# Milliseconds: poll takes no more than an int, and a timeout may be a year.
_LONGEST_WAIT = 3_600_000


class BecomeWorker(Exception):  # noqa: N818 (no error: it unwinds the stack)
    """Raised in a forked child, to leave the arbiter's frames before the worker's life begins."""

    def __init__(self, index: int, channel: int, face: HookWorker | None) -> None:
        super().__init__(index, channel)
        self.index = index
        self.channel = channel
        self.face = face


class Fleet:
    """All slots. `first_delay` is that of each slot."""

    __slots__ = ("slots",)

    def __init__(self, size: int, first_delay: float) -> None:
        self.slots = [Slot(index, first_delay) for index in range(1, size + 1)]

    def __str__(self) -> str:
        return f"{self.ready()} of {len(self.slots)} workers ready"

    def workers(self) -> list[Worker]:
        """Return every worker that has not been collected yet."""
        return [worker for slot in self.slots for worker in slot.workers()]

    def ready(self) -> int:
        """Return how many slots have a worker that accepts connections and is to stay."""
        return sum(
            slot.current is not None and slot.current.state == READY_STATE for slot in self.slots
        )

    def empty(self, now: float) -> Slot | None:
        """Return a slot that is to be filled now, None if there is none."""
        for slot in self.slots:
            if slot.current is None and slot.refill_at <= now:
                return slot
        return None

    def next_refill(self) -> float:
        """Return the monotonic time at which the next empty slot is to be filled."""
        return min((slot.refill_at for slot in self.slots if slot.current is None), default=NEVER)

    def next_deadline(self) -> float:
        """Return the monotonic time at which the next worker is to be killed, or is late."""
        return min((min(w.kill_at, w.slow_at) for w in self.workers()), default=NEVER)

    def slow(self, now: float) -> list[Worker]:
        """Return the workers that are late with getting ready, each one once."""
        late = [worker for worker in self.workers() if worker.slow_at <= now]
        for worker in late:
            worker.slow_at = NEVER
        return late

    def filled(self) -> list[Worker]:
        """Return the workers that serve in the place of one that died, each one once."""
        found = []
        for slot in self.slots:
            if slot.vacant and slot.current is not None and slot.current.state == READY_STATE:
                slot.vacant = False
                slot.trouble = ""
                found.append(slot.current)
        return found

    def listen(self, fd: int, until: float) -> None:
        """Take in what workers say, until `fd` is readable, somebody has spoken, or the monotonic
        time `until`, which may be NEVER.
        """
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        heard = {worker.channel.fd: worker for worker in self.workers() if worker.channel.fd >= 0}
        for channel in heard:
            poll.register(channel, select.POLLIN)
        timeout = None
        if until != NEVER:
            timeout = min(max(0.0, until - time.monotonic()) * 1000 + 1, _LONGEST_WAIT)
        for ready, _ in poll.poll(timeout):
            if ready in heard:
                heard[ready].read(time.monotonic())

    def promote(self, kill_at: float) -> list[Worker]:
        """Give each next worker that is ready its slot, and tell the former one to end, to be
        killed at `kill_at`; return those that were told.
        """
        told = [retired for slot in self.slots if (retired := slot.promote()) is not None]
        for worker in told:
            worker.end(signals.SIGTERM, kill_at)
        return told

    def signal(self, number: int) -> None:
        """Send a signal to every worker."""
        for worker in self.workers():
            worker.send(number)

    def stop(self, number: int, kill_at: float) -> None:
        """Tell every worker to end, with a signal; it is killed at `kill_at` at the latest."""
        for worker in self.workers():
            worker.end(number, kill_at)

    def kill(self, now: float) -> list[Worker]:
        """Kill the workers whose time is up, and return them."""
        late = [worker for worker in self.workers() if worker.kill_at <= now]
        for worker in late:
            worker.kill_at = NEVER
            worker.send(signals.SIGKILL)
        return late

    def abandon(self) -> None:
        """Tell every worker to end, and do not wait for it."""
        self.stop(signals.SIGTERM, NEVER)
        for worker in self.workers():
            worker.channel.close()

    def reap(self) -> Iterator[tuple[Slot, Worker, int]]:
        """Collect the workers that have ended; yield them with waitpid's status. They are in their
        slots still.

        Other children are left to whoever started them: the arbiter may run inside a program that
        has its own. Only the first process of a container has to collect orphans too.
        """
        for slot in self.slots:
            for worker in slot.workers():
                try:
                    pid, status = os.waitpid(worker.pid, os.WNOHANG)
                except ChildProcessError:  # somebody else was faster
                    pid, status = worker.pid, 0
                if pid:
                    yield slot, worker, status
        if os.getpid() == 1:
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        workers = {worker.pid for worker in self.workers()}
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
        """Fork a worker into a slot and return it; raise BecomeWorker in the child, and BootError
        if the system refuses.
        """
        _flush_streams()
        # The child's garbage collector would write to every inherited object, and so copy its page.
        if gc.get_freeze_count():
            gc.collect()  # of what came since the last fork: frozen garbage stays for ever
        gc.freeze()
        try:
            mine, theirs = open_channel()
        except OSError as exc:
            raise _refused(exc) from None
        signals.block()
        try:
            pid = os.fork()
        except OSError as exc:
            signals.unblock()
            mine.close()
            os.close(theirs)
            raise _refused(exc) from None
        if pid == 0:
            mine.close()
            for other in self.workers():
                other.channel.close()
            raise BecomeWorker(slot.index, theirs, face)
        signals.unblock()
        os.close(theirs)
        worker = Worker(slot.index, pid, mine, face)
        slot.add(worker)
        return worker


def _refused(exc: OSError) -> BootError:
    return BootError(f"cannot fork a worker: {reason(exc).lower()}")


def _flush_streams() -> None:
    """Write what the standard streams hold, which both processes would write otherwise."""
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 (contextlib costs the arbiter memory)
            stream.flush()
        except (OSError, ValueError, AttributeError):  # noqa: PERF203
            pass  # nobody reads it, or it is closed, or was from the start and is None
