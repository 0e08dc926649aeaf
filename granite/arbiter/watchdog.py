"""Workers whose event loop does not turn any more, or never begins to.

Owns the time that a worker may be silent, and the steps from there to its end. Must not know what a
worker does, nor how it is replaced. Main thread of the arbiter.

Theory of operation: a worker that serves says at short intervals, from a timer on its event loop,
that the loop turns; a loop that is merely busy does so late, one that is blocked not at all. A
worker that was silent for `worker_timeout` seconds

1. is asked, by a signal, to explain itself: the interpreter's fault handler writes the stacks of
   all threads to memory that both processes see, which works whatever the process is doing; where
   the main thread runs Python code, or waits in a system call, the requests in flight follow. Other
   workers accept in its place from now on;
2. if it is still silent then, is told to end (SIGTERM), with its report in the log, and its slot is
   filled anew at once;
3. is killed after `workers_kill_timeout` seconds. One that comes back before has the same time to
   finish its requests as every worker that ends.

A worker that boots does not speak. If it is not ready after `worker_start_timeout` seconds, it is
asked in the same way, and killed then: it has no requests, and whatever it was started for has
failed.

If the arbiter itself was held up, by a debugger or because the machine slept, nobody is judged by
that time.
"""

from __future__ import annotations

from granite.arbiter.poller import NEVER
from granite.arbiter.signals import SIGTERM, SIGUSR2
from granite.arbiter.slots import BOOTING, READY_STATE
from granite.errors import EXIT_BOOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.arbiter.fleet import Fleet
    from granite.arbiter.resources import Resources
    from granite.arbiter.slots import Worker

__all__ = ["Watchdog"]

# Seconds that a worker has for its report.
_REPORT = 0.5
# Seconds by which the arbiter may wake up too late and still trust its clock.
_HELD_UP = 1.0


class Watchdog:
    """A part of the arbiter. `replace` has the slot of a worker filled by another one, which is not
    told to end by that.
    """

    __slots__ = ("_ending", "_fleet", "_held", "_planned", "_replace")

    def __init__(
        self, fleet: Fleet, held: Resources, replace: Callable[[Worker, float], None]
    ) -> None:
        self._fleet = fleet
        self._held = held
        self._replace = replace
        self._planned = NEVER
        # Those that were told to end because of their silence, with the time of that.
        self._ending: list[tuple[Worker, float]] = []

    def next_deadline(self) -> float:
        """Return the monotonic time at which a worker has been silent for too long."""
        until = NEVER
        for worker in self._watched():
            until = min(until, _due_at(worker, worker.heard_at + worker.timeout))
        self._planned = until
        start_timeout = self._held.config.worker_start_timeout
        if start_timeout:
            for worker in self._starting():
                until = min(until, _due_at(worker, worker.started_at + start_timeout))
        return until

    def manage(self, now: float) -> None:
        """Take the steps that are due."""
        if now > self._planned + _HELD_UP:
            for worker in self._watched():
                worker.heard_at = max(worker.heard_at, now - worker.timeout / 2)
        for worker in self._watched():
            if worker.report_at != NEVER:
                self._follow_up(worker, now)
            elif now >= worker.heard_at + worker.timeout:
                worker.silent_since = worker.heard_at
                worker.report_at = now + _REPORT
                worker.send(SIGUSR2)
        self._pardon()
        start_timeout = self._held.config.worker_start_timeout
        if start_timeout:
            for worker in self._starting():
                self._judge_start(worker, now, start_timeout)

    def _judge_start(self, worker: Worker, now: float, timeout: float) -> None:
        if worker.report_at == NEVER:
            if now >= worker.started_at + timeout:
                worker.report_at = now + _REPORT
                worker.send(SIGUSR2)
        elif now >= worker.report_at:
            worker.report_at = NEVER
            text = f"{worker} was not ready within {timeout:g} s (worker_start_timeout)"
            worker.failure = EXIT_BOOT, f"{text}\n{worker.report.take()}".rstrip()
            worker.kill_at = now

    def _starting(self) -> list[Worker]:
        return [
            worker
            for worker in self._fleet.workers()
            if worker.state == BOOTING and worker.kill_at == NEVER
        ]

    def _watched(self) -> list[Worker]:
        return [
            slot.current
            for slot in self._fleet.slots
            if slot.current is not None
            and slot.current.state == READY_STATE
            and slot.current.timeout
        ]

    def _follow_up(self, worker: Worker, now: float) -> None:
        silent = now - worker.heard_at
        if worker.heard_at > worker.report_at - _REPORT:
            worker.report_at = NEVER
            silence = worker.heard_at - worker.silent_since
            self._held.log.warning(
                f"{worker} answers again, after {silence:.1f} s; what it did before",
                details=worker.report.take(),
            )
        elif now >= worker.report_at:
            worker.report_at = NEVER
            self._held.log.warning(
                f"{worker} has not answered for {silent:.1f} s and is told to end",
                details=worker.report.take(),
            )
            self._replace(worker, now)
            worker.end(SIGTERM, now + self._held.config.workers_kill_timeout)
            self._ending.append((worker, now))

    def _pardon(self) -> None:
        """Let those finish that have come back."""
        config = self._held.config
        alive = self._fleet.workers() if self._ending else []
        self._ending = [(worker, told) for worker, told in self._ending if worker in alive]
        for worker, told in self._ending:
            if worker.heard_at > told and worker.kill_at != NEVER:
                worker.kill_at = told + config.graceful_timeout + config.workers_kill_timeout


def _due_at(worker: Worker, late_at: float) -> float:
    return late_at if worker.report_at == NEVER else worker.report_at
