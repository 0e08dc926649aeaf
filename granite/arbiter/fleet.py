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
until that one has left BOOTING, or has died. A slot that is scaled away is kept among the former
ones as long as its workers retire.
"""

from __future__ import annotations

import os
import time

from granite.arbiter import signals
from granite.arbiter.channel import NOTICE, open_channel
from granite.arbiter.fork import fork, refused
from granite.arbiter.poller import NEVER
from granite.arbiter.report import Report
from granite.arbiter.slots import BOOTING, READY_STATE, Slot, Worker
from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from granite.arbiter.poller import Poller
    from granite.arbiter.templates import Templates
    from granite.hooks import HookWorker

__all__ = ["BecomeWorker", "Fleet"]


class BecomeWorker(Exception):  # noqa: N818 (no error: it unwinds the stack)
    """Raised in a forked child, to leave the arbiter's frames before the worker's life begins."""

    def __init__(self, index: int, channel: int, report: int, face: HookWorker | None) -> None:
        super().__init__(index, channel)
        self.index = index
        self.channel = channel
        self.report = report
        self.face = face


class Fleet:
    """All slots. `first_delay` is that of each slot. `on_channel` is called with each worker that
    is about to get a process, and can be sent messages, `on_forked` with each one that has got it,
    `on_beat` with each one whose event loop has turned, and what it sent.
    Where there are `templates`, workers are forked from them. `kin` return the process ids of other
    children that somebody waits for, 0 while there is none.
    """

    __slots__ = (
        *("_first_delay", "_poller", "former", "kin", "on_beat", "on_channel", "on_forked"),
        *("slots", "templates"),
    )

    def __init__(self, size: int, first_delay: float, poller: Poller) -> None:
        self._first_delay = first_delay
        self._poller = poller
        self.slots = [Slot(index, first_delay) for index in range(1, size + 1)]
        self.former: list[Slot] = []
        self.on_beat: Callable[[Worker, bytes], object] | None = None
        self.on_channel: Callable[[Worker], object] | None = None
        self.on_forked: Callable[[Worker], object] | None = None
        self.templates: Templates | None = None
        self.kin: list[Callable[[], int]] = []

    def __str__(self) -> str:
        return f"{self.ready()} of {len(self.slots)} workers ready"

    def workers(self) -> list[Worker]:
        """Return every worker that has not been collected yet."""
        return [worker for slot in self._every() for worker in slot.workers()]

    def settled(self) -> list[Worker]:
        """Return the workers that serve their slots, while nobody is to take their place."""
        return [
            slot.current
            for slot in self.slots
            if slot.current is not None and slot.current.serves and slot.next is None
        ]

    def replacing(self) -> Worker | None:
        """Return a worker that boots to take the place of another one, None if none does."""
        for slot in self.slots:
            if slot.next is not None and slot.next.state == BOOTING:
                return slot.next
        return None

    def leaving(self) -> list[Worker]:
        """Return the workers that were told to end, but may still accept a connection."""
        return [worker for slot in self._every() for worker in slot.retiring if worker.accepts]

    def slot_of(self, worker: Worker) -> Slot:
        """Return the slot of a worker that has not been collected yet."""
        return next(slot for slot in self._every() if worker in slot.workers())

    def grow(self) -> None:
        """Add a slot, which is to be filled."""
        index = len(self.slots) + 1
        for slot in self.former:
            if slot.index == index:
                self.former.remove(slot)
                slot.hasten("scale")
                break
        else:
            slot = Slot(index, self._first_delay, "scale")
        slot.vacant = True
        self.slots.append(slot)

    def shrink(self) -> list[Worker]:
        """Take the last slot away; return its workers, which are to be told to end."""
        slot = self.slots.pop()
        told = [worker for worker in (slot.next, slot.current) if worker is not None]
        for worker in told:
            slot.dismiss(worker)
        slot.vacant = False
        self.former = [former for former in [*self.former, slot] if former.workers()]
        return told

    def pids(self) -> set[int]:
        """Return the children of this process that somebody waits for."""
        found = {worker.pid for worker in self.workers()}
        found.update(pid() for pid in self.kin)
        return found if self.templates is None else found | self.templates.pids()

    def gone(self) -> bool:
        """Whether there is no process left."""
        return not self.workers() and (self.templates is None or not self.templates.alive())

    def unsettled(self) -> bool:
        """Whether a process may have ended of which no signal tells."""
        if self.templates is not None and self.templates.alive():
            return True
        return any(worker.channel.fd < 0 for worker in self.workers())

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
        until = min((min(w.kill_at, w.slow_at) for w in self.workers()), default=NEVER)
        return until if self.templates is None else min(until, self.templates.next_deadline())

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

    def reopen_logs(self) -> None:
        """Have every process open its log files again."""
        if self.templates is not None:
            self.templates.reopen_logs()
        self.signal(signals.SIGUSR1)

    def notice(self) -> None:
        """Tell every worker that the server is going to stop, for those who can end sooner."""
        for worker in self.workers():
            worker.channel.send(NOTICE)

    def stop(self, number: int, kill_at: float) -> None:
        """Tell every worker to end, with a signal; it is killed at `kill_at` at the latest. No more
        are made.
        """
        if self.templates is not None:
            self.templates.stop()
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
            self.forget(worker)

    def forget(self, worker: Worker) -> None:
        """Take in what a worker has said last, and give back what is held of it."""
        self._read(worker, worker.channel.fd)
        self._poller.unregister(worker.channel.fd)
        worker.channel.close()

    def leave_in_child(self) -> None:
        """Give up, in a forked child, the arbiter's ends of all workers."""
        for worker in self.workers():
            worker.release()
        if self.templates is not None:
            self.templates.leave_in_child()

    def reap(self) -> Iterator[tuple[Slot, Worker, int]]:
        """Collect the workers that have ended; yield them with waitpid's status. They are in their
        slots still.

        Other children are left to whoever started them: the arbiter may run inside a program that
        has its own. Only the first process of a container has to collect orphans too.
        """
        for worker in self.templates.reap() if self.templates is not None else ():
            yield self.slot_of(worker), worker, 0
        for slot in self._every():
            for worker in slot.workers():
                if not worker.pid:
                    continue
                try:
                    pid, status = os.waitpid(worker.pid, os.WNOHANG)
                except ChildProcessError:  # somebody else was faster
                    pid, status = worker.pid, 0
                if pid:
                    yield slot, worker, status
        if os.getpid() == 1:
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        known = self.pids()
        while True:
            try:
                # Looked at only: it may be a worker that has ended just now.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in known:
                return
            os.waitpid(found.si_pid, os.WNOHANG)

    def spawn(self, slot: Slot, cause: str, face: HookWorker | None) -> Worker:
        """Fork a worker into a slot, or order it from the template, and return it; raise
        BecomeWorker in the child, and BootError if the system refuses.
        """
        try:
            mine, theirs = open_channel()
        except OSError as exc:
            raise refused(exc) from None
        worker = Worker(slot.index, 0, mine, cause=cause, face=face, report=Report())
        self.greet(worker)
        if self.templates is not None:
            slot.add(worker)
            self.templates.order(worker, theirs, new=cause == "reload")
            return worker
        try:
            pid = fork()
        except BootError:
            worker.release()
            os.close(theirs)
            raise
        if pid == 0:
            mine.close()
            raise BecomeWorker(slot.index, theirs, worker.report.fd, face)
        os.close(theirs)
        slot.add(worker)
        worker.forked(pid)
        self.listen(worker)
        return worker

    def greet(self, worker: Worker) -> None:
        """A worker has a channel: have it told what it is to find there."""
        if self.on_channel is not None:
            self.on_channel(worker)

    def listen(self, worker: Worker) -> None:
        """Hear a worker, which has got its process."""
        fd = worker.channel.fd
        self._poller.register(fd, lambda events: self._read(worker, fd))
        if self.on_forked is not None:
            self.on_forked(worker)

    def _read(self, worker: Worker, fd: int) -> None:
        beats = worker.read(time.monotonic())
        if worker.channel.fd < 0:
            self._poller.unregister(fd)
        if self.on_beat is not None:
            for beat in beats:
                self.on_beat(worker, beat)

    def _every(self) -> list[Slot]:
        return [*self.slots, *self.former]
