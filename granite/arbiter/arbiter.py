"""The arbiter's main loop: wait → handle → reap → manage.

Owns the decisions: when the server is up, when an empty slot is filled, when everything ends and
with which status. Must not know the application nor anything of HTTP. Main thread of the arbiter,
the only one.
"""

from __future__ import annotations

import time

from granite.arbiter import signals
from granite.arbiter.calls import Calls, HookFailed
from granite.arbiter.cover import Cover
from granite.arbiter.deaths import Deaths
from granite.arbiter.fleet import BecomeWorker, Fleet
from granite.arbiter.generation import Generation
from granite.arbiter.news import News
from granite.arbiter.poller import NEVER, Poller
from granite.arbiter.recycling import Recycling
from granite.arbiter.reload import Reload
from granite.arbiter.renewal import Renewal
from granite.arbiter.resources import Resources
from granite.arbiter.scaling import MOST_WORKERS, Scaling
from granite.arbiter.signals import (
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    SIGTTIN,
    SIGTTOU,
    SIGUSR1,
    SIGUSR2,
    SIGWINCH,
)
from granite.arbiter.slots import QUICK
from granite.arbiter.start import TEMPLATE, WorkerStart
from granite.arbiter.watchdog import Watchdog
from granite.errors import EXIT_BOOT, EXIT_OK, BootError, GraniteError
from granite.settings.rules import require_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from granite.arbiter.slots import Slot, Worker
    from granite.arbiter.swap import Swap
    from granite.metrics.aggregate import Aggregate
    from granite.metrics.exporter import Exporter
    from granite.settings.load import Loaded

__all__ = ["Arbiter", "WorkerStart", "run"]


class Arbiter:
    """The parent of the workers. `load_target` is handed to them: see WorkerStart."""

    def __init__(self, loaded: Loaded, load_target: Callable[[], Any] | None = None) -> None:
        config = loaded.config
        self._notes = loaded.notes
        self._load_target = load_target
        self._held = Resources(config)
        self._log = self._held.log
        self._poller = Poller()
        self._fleet = Fleet(config.workers, config.respawn_interval, self._poller)
        self._calls = Calls(loaded.hooks, config, self._log)
        self._fleet.on_channel = self._greet
        self._fleet.on_forked = lambda worker: self._calls.forked(worker.face, worker.pid)
        self._news = News(self._fleet, self._held)
        self._reload = Reload(self._fleet, self._held, self._calls, self._fork)
        self._recycling = Recycling(self._fleet, self._held, self._fork)
        self._watchdog = Watchdog(self._fleet, self._held, self._abandon)
        self._deaths = Deaths(self._fleet, self._held, self._news, self._reload, self._recycling)
        self._scaling = Scaling(self._fleet, self._calls, self._log)
        self._renewal = Renewal(
            loaded,
            self._held,
            self._calls,
            self._news,
            self._reload,
            self._poller,
            lambda size: self._scale(size, "as the settings say"),
        )
        self._generation = Generation(
            *(self._fleet, self._held, self._calls, self._news, self._poller),
            retire=self._retire,
            fail=self._cannot_go_on,
        )
        self._fleet.kin += [self._renewal.pid, self._generation.pid]
        for part in (self._fleet, self._renewal, self._generation):
            self._held.in_child.append(part.leave_in_child)
        self._swap: Swap | None = None
        if config.ssl_reload:
            from granite.arbiter.swap import Swap

            self._swap = Swap(self._fleet, self._held, lambda: self._reload.under_way)
            self._held.in_child.append(self._swap.leave_in_child)
        self._totals: Aggregate | None = None
        self._exporter: Exporter | None = None
        self._started = False
        self._exit_code: int | None = None
        self._stop_told: int | None = None
        # When a stop that was asked for begins: a load balancer may need time to see it.
        self._stop_at = NEVER
        self._ping_at = 0.0 if self._held.notifier.interval is not None else NEVER

    def run(self) -> int | WorkerStart:
        """Serve until told to end; return the exit status, or in a worker process, what the worker
        is to do.
        """
        try:
            exit_code = self._serve()
        except BecomeWorker as child:
            return self._become_worker(child)
        except HookFailed as failure:
            exit_code = failure.exit_code
        except BaseException as exc:
            if isinstance(exc, GraniteError):
                self._held.notifier.stopping(str(exc))
            self._renewal.stop()
            self._generation.stop(SIGTERM)
            self._fleet.abandon()
            self._end()
            raise
        return self._end() or exit_code

    def _serve(self) -> int:
        self._start()
        queue = self._held.signals
        assert queue is not None
        self._poller.register(queue.fd, lambda events: None)
        while True:
            self._manage()
            gone = self._fleet.gone() and self._generation.gone()
            if self._exit_code is not None and gone and self._answered():
                return self._exit_code
            self._poller.wait(self._next_deadline())
            taken = queue.take()
            for number in taken:
                self._handle(number)
            if SIGCHLD in taken or self._fleet.unsettled():
                self._reap()

    def _start(self) -> None:
        for note in self._notes:
            write = self._log.warning if note.level == "warning" else self._log.info
            write(note.text)
        self._calls.call("nworkers_changed", len(self._fleet.slots), None)
        self._calls.call("on_starting")
        self._started = True
        self._held.open()
        self._generation.begin()
        self._cover = Cover(self._fleet, self._held.sockets)
        if self._held.config.preload:
            self._preload()
        if self._held.config.metrics:
            self._measure()
        self._calls.listening(self._held.listeners)

    def _preload(self) -> None:
        """Have workers forked from templates."""
        from granite.arbiter.templates import Templates

        self._fleet.templates = Templates(self._fleet, self._held, self._poller)

    def _measure(self) -> None:
        """Have the workers' numbers collected, and served."""
        from granite.arbiter.view import FleetView
        from granite.metrics.aggregate import Aggregate
        from granite.metrics.exporter import Exporter

        totals = self._totals = Aggregate()
        self._fleet.on_beat = lambda worker, beat: totals.beat(worker.index, worker.pid, beat)
        view = FleetView(
            self._fleet,
            self._news,
            totals,
            ending=self._is_stopping,
            replaced=lambda: self._held.retired,
        )
        config = self._held.config
        name = f"metrics:{config.metrics_address}:{config.metrics_port}"
        self._exporter = Exporter(config, self._poller, view, self._held.claim(name))
        self._held.add_holder(self._exporter)
        self._held.in_child.append(self._exporter.close_in_child)
        self._log.info(f"metrics on {self._exporter.url}")

    def _answered(self) -> bool:
        """Whether everybody who was accepted at the port of the metrics is answered."""
        if self._exporter is None or self._stop_told == SIGQUIT:
            return True
        return self._exporter.finish(time.monotonic())

    def _end(self) -> int:
        """Leave nothing behind; return the status to end with if the hook for it failed, else 0."""
        self._held.remove_files()
        if self._exporter is not None:
            self._exporter.close()
        exit_code = EXIT_OK
        try:
            if self._started:
                self._calls.call("on_exit")
        except HookFailed as failure:
            exit_code = failure.exit_code
        finally:
            if self._news.up or self._stop_told:  # else one line has said it all
                self._log.info("stopped")
            self._held.release()
        return exit_code

    def _become_worker(self, child: BecomeWorker) -> WorkerStart:
        self._held.leave_in_child()
        sockets = self._held.sockets
        listeners: tuple[int, ...] = ()
        if child.index == TEMPLATE:  # what it forks gets them with its order
            for listener in self._held.listeners:
                listener.close()
        else:
            sockets.leave_in_child(child.index)
            listeners = sockets.for_slot(child.index)
        return WorkerStart(
            self._held.config,
            child.index,
            listeners,
            child.channel,
            report=child.report,
            titles=self._held.titles,
            hooks=self._calls.hooks,
            identity=self._held.identity,
            key_files=self._swap.good if self._swap is not None else None,
            load_target=self._load_target,
            server=self._calls.server,
            sharing=sockets.sharing(),
            worker=child.face,
        )

    def _next_deadline(self) -> float:
        """Return the monotonic time at which something is to be done by itself."""
        until = min(self._ping_at, self._fleet.next_deadline(), self._generation.next_deadline())
        if self._exporter is not None:
            until = min(until, self._exporter.next_deadline())
        if self._held.tickets is not None:
            until = min(until, self._held.tickets.next_deadline())
        if self._exit_code is not None:
            return until
        until = min(until, self._stop_at, self._fleet.next_refill())
        until = min(until, self._watchdog.next_deadline(), self._reload.next_deadline())
        if self._is_stopping():
            return until
        until = min(until, self._renewal.next_deadline())
        if self._swap is not None:
            until = min(until, self._swap.next_deadline())
        recycles = self._news.up and not self._reload.under_way
        return min(until, self._recycling.next_deadline()) if recycles else until

    def _handle(self, number: int) -> None:
        if number == SIGQUIT or (number == SIGINT and self._exit_code is not None):
            if self._stop_told != SIGQUIT:
                self._log.info("stopping at once: requests in flight are cut short")
                self._stop_told = SIGQUIT
            self._stop(SIGQUIT, QUICK, EXIT_OK)
        elif number == SIGUSR1:
            self._log.reopen()  # first, so that a worker finds the new files
            self._fleet.reopen_logs()
            self._log.info("logs reopened")
        elif self._exit_code is None:
            self._handle_while_up(number)

    def _handle_while_up(self, number: int) -> None:
        assert self._held.signals is not None
        size = len(self._fleet.slots)
        if number in (SIGINT, SIGTERM) or (number == SIGHUP and self._held.signals.hung_up()):
            self._ask_to_stop(number)
        elif self._is_stopping():
            if number != SIGCHLD:
                self._log.info(f"{signals.name(number)} is ignored: the server is stopping")
        elif number == SIGHUP:
            self._renewal.ask()
        elif number == SIGTTIN:
            self._scale(min(size + 1, MOST_WORKERS), "SIGTTIN")
        elif number == SIGTTOU:
            if size == 1:
                self._log.info("SIGTTOU: one worker stays")
            self._scale(max(size - 1, min(size, 1)), "SIGTTOU")
        elif number == SIGWINCH and not signals.has_terminal():  # else its window has changed
            self._scale(0, "SIGWINCH")
        elif number == SIGUSR2:
            self._generation.ask()

    def _ask_to_stop(self, number: int) -> None:
        """Stop, after the delay in which load balancers learn of it; at once if asked again."""
        self._generation.stop(number)
        delay = self._held.config.drain_delay
        if delay and self._news.up and self._stop_at == NEVER:
            self._log.info(f"stopping in {delay:g} s: requests are still served")
            self._stop_told = number
            self._stop_at = time.monotonic() + delay
            self._held.notifier.stopping(self._news.ending)
            self._fleet.notice()
        else:
            again = "; a second SIGINT cuts them short" if number == SIGINT else ""
            patience = f"for {self._held.config.graceful_timeout:g} s at the most"
            self._log.info(f"stopping: requests in flight may finish, {patience}{again}")
            self._stop_told = number
            self._stop(SIGTERM, self._patience(), EXIT_OK)

    def _retire(self) -> None:
        """Stop, since a successor has taken over."""
        self._stop_told = SIGTERM
        self._held.retire()
        self._stop(SIGTERM, self._patience(), EXIT_OK)

    def _is_stopping(self) -> bool:
        return self._exit_code is not None or self._stop_at != NEVER

    def _scale(self, size: int, why: str) -> None:
        try:
            self._scaling.to(size, time.monotonic() + self._patience(), why)
        except HookFailed as failure:
            self._fail(failure.exit_code)

    def _reap(self) -> None:
        now = time.monotonic()
        for slot, worker, status in self._fleet.reap():
            self._fleet.forget(worker)  # what it said last may still lie in the channel
            exit_code = self._deaths.follow(
                slot, worker, status, now, ending=self._exit_code is not None
            )
            worker.release()
            self._held.sockets.gone(worker.index, worker.pid)
            if self._totals is not None:
                self._totals.gone(worker.pid)
            if exit_code is not None:
                self._fail(exit_code)
            if not worker.pid:
                continue
            try:
                self._calls.reaped(worker.face, worker.pid)
            except HookFailed as failure:
                self._fail(failure.exit_code)

    def _manage(self) -> None:
        now = time.monotonic()
        if now >= self._ping_at:
            assert self._held.notifier.interval is not None
            self._held.notifier.watchdog()
            self._ping_at = now + self._held.notifier.interval
        if self._exit_code is None and now >= self._stop_at:
            self._ask_to_stop(SIGTERM)
        if not self._is_stopping():
            self._renew(now)
        if self._exit_code is None:
            for worker in self._fleet.promote(now + self._patience()):
                self._log.debug(f"{worker} is replaced and finishes its requests")
                successor = self._fleet.slot_of(worker).current
                if successor is not None and not self._reload.under_way:
                    self._recycling.succeeded(successor)
            self._fill(now)
        if self._exit_code is None:
            self._news.tell()
        if self._exit_code is None:
            self._watchdog.manage(now)
        if self._exit_code is None and self._news.up:
            self._look_after(now)
        if self._fleet.templates is not None:
            self._fleet.templates.manage(now)
        self._generation.manage(now, self._is_stopping())
        self._news.slow(now)
        for worker in self._fleet.kill(now):
            if worker.failure is None:  # else that is what is said
                self._log.warning(f"{worker} did not end in time and is killed")
        if self._exporter is not None:
            self._exporter.manage(now)
        if self._held.tickets is not None:
            self._held.tickets.manage(now)

    def _renew(self, now: float) -> None:
        try:
            self._renewal.manage(now)
        except HookFailed as failure:
            self._fail(failure.exit_code)

    def _look_after(self, now: float) -> None:
        """Do what keeps workers good and new."""
        try:
            if not self._is_stopping():
                self._reload.step()
            if not self._is_stopping() and self._swap is not None:
                self._swap.manage(now)
            if not self._is_stopping() and not self._reload.under_way:
                self._recycling.manage(now)
        except HookFailed as failure:
            self._fail(failure.exit_code)

    def _fill(self, now: float) -> None:
        """Start a worker in each slot whose time has come, and have the others covered."""
        while self._exit_code is None and (slot := self._fleet.empty(now)) is not None:
            self._refill(slot, now)
        if self._exit_code is None:
            self._cover.manage()

    def _refill(self, slot: Slot, now: float) -> None:
        try:
            self._fork(slot, slot.cause)
        except HookFailed as failure:
            self._fail(failure.exit_code)
        except BootError as exc:
            if not self._news.up:
                self._cannot_go_on(str(exc))
                return
            delay = slot.postpone(now)
            self._log.error(f"{exc}; the next attempt follows in {delay:g} s")

    def _fork(self, slot: Slot, cause: str) -> Worker:
        """Start a worker in a slot; raise HookFailed, BootError and, in the child, BecomeWorker."""
        self._held.sockets.for_slot(slot.index)  # made now, before the child needs them
        worker = self._fleet.spawn(slot, cause, self._calls.before_fork())
        worker.timeout = self._held.config.worker_timeout
        if self._totals is not None:
            self._totals.spawned(cause)
        return worker

    def _greet(self, worker: Worker) -> None:
        """Tell a worker that is about to get its process what all of the tree share."""
        if not self._held.config.ssl_certificate:
            return
        if self._held.tickets is None:
            from granite.arbiter.tickets import Tickets

            self._held.tickets = Tickets(self._fleet, self._held)
        self._held.tickets.greet(worker)

    def _abandon(self, worker: Worker, now: float) -> None:
        """Fill the slot of a worker that does not answer, which goes its own way."""
        slot = self._fleet.slot_of(worker)
        slot.cause = "timeout"
        slot.refill_after(worker, now)
        slot.dismiss(worker)

    def _cannot_go_on(self, text: str) -> None:
        self._news.cannot_go_on(text)
        self._fail(EXIT_BOOT)

    def _fail(self, exit_code: int) -> None:
        """End the tree with `exit_code`; if it is ending already, that remains how."""
        if self._exit_code is None:
            self._stop(SIGTERM, self._patience(), exit_code)
        else:
            self._exit_code = self._exit_code or exit_code

    def _stop(self, number: int, patience: float, exit_code: int) -> None:
        if self._exit_code is None:
            self._exit_code = exit_code
            if self._stop_at == NEVER:
                self._held.notifier.stopping(self._news.ending)
        self._renewal.stop()
        if self._swap is not None:
            self._swap.stop()
        self._generation.stop(number)
        self._held.close_listeners()
        self._fleet.stop(number, time.monotonic() + patience)

    def _patience(self) -> float:
        """Return the seconds after which a worker that was told to end is killed."""
        config = self._held.config
        return config.graceful_timeout + config.workers_kill_timeout


def run(
    loaded: Loaded,
    worker_main: Callable[[WorkerStart], int],
    load_target: Callable[[], Any] | None = None,
) -> int:
    """Serve the target that the settings name; return the exit status of this process.

    The process forks on the way: in the arbiter the status is the server's; in a worker,
    `worker_main` is called, with the arbiter's signals still blocked, and its result is the status.
    Where `load_target` is given, a worker gets its application from it instead. Raises BootError if
    the system refuses something before a worker runs, and UsageError for a setting that turns out
    wrong.
    """
    if load_target is None:
        require_target(loaded.config)
    outcome = Arbiter(loaded, load_target).run()
    return outcome if isinstance(outcome, int) else worker_main(outcome)
