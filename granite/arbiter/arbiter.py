"""The arbiter's main loop: wait → handle → reap → manage.

Owns the decisions: when the server is up, when an empty slot is filled, when everything ends and
with which status. Must not know the application nor anything of HTTP. Main thread of the arbiter,
the only one.
"""

from __future__ import annotations

import time

from granite.arbiter import signals
from granite.arbiter.calls import Calls, HookFailed
from granite.arbiter.deaths import Deaths
from granite.arbiter.fleet import BecomeWorker, Fleet
from granite.arbiter.news import News
from granite.arbiter.reload import Reload
from granite.arbiter.resources import Resources
from granite.arbiter.signals import (
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    SIGTTIN,
    SIGUSR1,
    SIGUSR2,
)
from granite.arbiter.slots import NEVER, QUICK
from granite.arbiter.start import WorkerStart
from granite.errors import EXIT_BOOT, EXIT_OK, BootError, GraniteError
from granite.settings.rules import require_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from granite.arbiter.slots import Slot, Worker
    from granite.settings.load import Loaded

__all__ = ["Arbiter", "WorkerStart", "run"]


class Arbiter:
    """The parent of the workers. `load_target` is handed to them: see WorkerStart."""

    def __init__(self, loaded: Loaded, load_target: Callable[[], Any] | None = None) -> None:
        self._config = loaded.config
        self._notes = loaded.notes
        self._load_target = load_target
        self._held = Resources(self._config)
        self._log = self._held.log
        self._fleet = Fleet(self._config.workers, self._config.respawn_interval)
        self._calls = Calls(loaded.hooks, self._config, self._log)
        self._news = News(self._fleet, self._held)
        self._reload = Reload(self._fleet, self._held, self._calls, self._fork)
        self._deaths = Deaths(self._fleet, self._held, self._news, self._reload)
        self._started = False
        self._exit_code: int | None = None
        self._stop_told: int | None = None
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
            self._fleet.abandon()
            self._end()
            raise
        return self._end() or exit_code

    def _serve(self) -> int:
        self._start()
        assert self._held.signals is not None
        while True:
            self._manage()
            if self._exit_code is not None and not self._fleet.workers():
                return self._exit_code
            self._wait(self._held.signals.fd)
            for number in self._held.signals.take():
                self._handle(number)
            self._reap()

    def _start(self) -> None:
        for note in self._notes:
            write = self._log.warning if note.level == "warning" else self._log.info
            write(note.text)
        self._calls.call("nworkers_changed", self._config.workers, None)
        self._calls.call("on_starting")
        self._started = True
        self._held.open()
        self._calls.listening(self._held.listeners)

    def _end(self) -> int:
        """Leave nothing behind; return the status to end with if the hook for it failed, else 0."""
        self._held.remove_files()
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
        return WorkerStart(
            self._config,
            child.index,
            tuple(listener.fd for listener in self._held.listeners),
            child.channel,
            titles=self._held.titles,
            hooks=self._calls.hooks,
            identity=self._held.identity,
            load_target=self._load_target,
            server=self._calls.server,
            worker=child.face,
        )

    def _wait(self, signal_fd: int) -> None:
        """Sleep until a signal, a message from a worker, or the next deadline."""
        until = min(self._ping_at, self._fleet.next_deadline())
        if self._exit_code is None:
            until = min(until, self._fleet.next_refill())
        self._fleet.listen(signal_fd, until)

    def _handle(self, number: int) -> None:
        assert self._held.signals is not None
        if number == SIGQUIT or (number == SIGINT and self._exit_code is not None):
            if self._stop_told != SIGQUIT:
                self._log.info("stopping at once: requests in flight are cut short")
                self._stop_told = SIGQUIT
            self._stop(SIGQUIT, QUICK, EXIT_OK)
        elif number == SIGUSR1:
            self._log.reopen()  # first, so that a worker finds the new files
            self._fleet.signal(SIGUSR1)
            self._log.info("logs reopened")
        elif number in (SIGTTIN, SIGUSR2):
            self._log.warning(f"{signals.name(number)} has no effect in this release")
        elif number in (SIGINT, SIGTERM, SIGHUP) and self._exit_code is None:
            if number == SIGHUP and not self._held.signals.hung_up():
                self._reload.ask()
            else:
                self._log.info("stopping: requests in flight may finish")
                self._stop_told = number
                self._stop(SIGTERM, self._patience(), EXIT_OK)

    def _reap(self) -> None:
        now = time.monotonic()
        for slot, worker, status in self._fleet.reap():
            worker.read(now)  # what it said last may still lie in the channel
            worker.channel.close()
            exit_code = self._deaths.follow(
                slot, worker, status, now, ending=self._exit_code is not None
            )
            if exit_code is not None:
                self._fail(exit_code)
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
        if self._exit_code is None:
            for worker in self._fleet.promote(now + self._patience()):
                self._log.debug(f"{worker} is replaced and finishes its requests")
            self._fill(now)
        if self._exit_code is None:
            self._news.tell()
        if self._exit_code is None and self._news.up:
            self._go_on_reloading()
        self._news.slow(now)
        for worker in self._fleet.kill(now):
            self._log.warning(f"{worker} did not end in time and is killed")

    def _fill(self, now: float) -> None:
        """Start a worker in each slot whose time has come."""
        while self._exit_code is None and (slot := self._fleet.empty(now)) is not None:
            self._refill(slot, now)

    def _refill(self, slot: Slot, now: float) -> None:
        try:
            self._fork(slot)
        except HookFailed as failure:
            self._fail(failure.exit_code)
        except BootError as exc:
            if not self._news.up:
                self._news.cannot_go_on(str(exc))
                self._fail(EXIT_BOOT)
                return
            delay = slot.postpone(now)
            self._log.error(f"{exc}; the next attempt follows in {delay:g} s")

    def _fork(self, slot: Slot) -> Worker:
        """Start a worker in a slot; raise HookFailed, BootError and, in the child, BecomeWorker."""
        worker = self._fleet.spawn(slot, self._calls.before_fork())
        self._calls.forked(worker.face, worker.pid)
        return worker

    def _go_on_reloading(self) -> None:
        try:
            self._reload.step()
        except HookFailed as failure:
            self._fail(failure.exit_code)

    def _fail(self, exit_code: int) -> None:
        """End the tree with `exit_code`; if it is ending already, that remains how."""
        if self._exit_code is None:
            self._stop(SIGTERM, self._patience(), exit_code)
        else:
            self._exit_code = self._exit_code or exit_code

    def _stop(self, number: int, patience: float, exit_code: int) -> None:
        if self._exit_code is None:
            self._exit_code = exit_code
            self._held.notifier.stopping(self._news.ending)
        self._held.close_listeners()
        self._fleet.stop(number, time.monotonic() + patience)

    def _patience(self) -> float:
        """Return the seconds after which a worker that was told to end is killed."""
        return self._config.graceful_timeout + self._config.workers_kill_timeout


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
