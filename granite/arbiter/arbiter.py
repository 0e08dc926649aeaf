"""The arbiter's main loop: wait → handle → reap → manage.

Owns the decisions: when the server is up, when a dead worker is replaced, when everything ends and
with which status. Must not know the application nor anything of HTTP. Main thread of the arbiter,
the only one.
"""

from __future__ import annotations

import time

from granite.arbiter import signals
from granite.arbiter.calls import Calls, HookFailed
from granite.arbiter.fleet import BOOTING, STOPPING, BecomeWorker, Fleet, Slot, Worker
from granite.arbiter.resources import Resources
from granite.arbiter.signals import (
    SIGHUP,
    SIGINT,
    SIGKILL,
    SIGQUIT,
    SIGTERM,
    SIGTTIN,
    SIGUSR1,
    SIGUSR2,
)
from granite.arbiter.start import WorkerStart
from granite.errors import EXIT_BOOT, EXIT_OK, BootError, UsageError
from granite.log import write_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from granite.settings.load import Loaded

__all__ = ["Arbiter", "WorkerStart", "run"]

# Seconds that a worker gets for a quick end before it is killed.
_QUICK = 3.0


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
        self._started = False
        self._announced = False
        self._status = ""
        self._exit_code: int | None = None
        self._kill_at: float | None = None
        self._ping_at: float | None = 0.0 if self._held.notifier.interval is not None else None

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
        except BaseException:
            self._fleet.abandon()
            self._end()
            raise
        return self._end() or exit_code

    def _serve(self) -> int:
        self._start()
        assert self._held.signals is not None
        while True:
            self._manage()
            if self._exit_code is not None and not any(self._fleet.occupied()):
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
        deadlines = [
            at for at in (self._kill_at, self._ping_at, self._next_refill()) if at is not None
        ]
        timeout = max(0.0, min(deadlines) - time.monotonic()) * 1000 + 1 if deadlines else None
        self._fleet.listen(signal_fd, timeout)

    def _handle(self, number: int) -> None:
        if number == SIGQUIT or (number == SIGINT and self._exit_code is not None):
            self._stop(SIGQUIT, _QUICK, EXIT_OK)
        elif number in (SIGINT, SIGTERM, SIGHUP):
            if self._exit_code is None:
                self._log.info("stopping: requests in flight may finish")
                self._stop(SIGTERM, self._patience(), EXIT_OK)
        elif number == SIGUSR1:
            self._log.reopen()  # first, so that a worker finds the new files
            self._fleet.signal(SIGUSR1)
        elif number in (SIGTTIN, SIGUSR2):
            self._log.warning(f"{signals.name(number)} has no effect in this release")

    def _reap(self) -> None:
        now = time.monotonic()
        for slot, worker, status in self._fleet.reap():
            worker.read(now)  # what it said last may still lie in the channel
            worker.channel.close()
            ended = f"worker {slot.index} (pid {worker.pid}) {signals.describe(status)}"
            if self._exit_code is not None or worker.state == STOPPING:
                slot.worker = None
                self._log.debug(ended)
            elif worker.state == BOOTING:
                slot.worker = None
                self._give_up(slot, worker, status)
            elif not self._config.respawn_failed_workers:
                slot.worker = None
                self._log.error(f"{ended}, and respawn_failed_workers is off: stopping")
                self._fail(EXIT_BOOT)
            else:
                delay = slot.vacate(worker, now)
                self._log.warning(f"{ended}; a new one starts in {delay:g} s")
            try:
                self._calls.reaped(worker.face, worker.pid)
            except HookFailed as failure:
                self._fail(failure.exit_code)

    def _manage(self) -> None:
        now = time.monotonic()
        if self._ping_at is not None and now >= self._ping_at:
            assert self._held.notifier.interval is not None
            self._held.notifier.watchdog()
            self._ping_at = now + self._held.notifier.interval
        if self._exit_code is None:
            self._fill(now)
        if self._exit_code is None:
            self._tell()
        elif self._kill_at is not None and now >= self._kill_at:
            self._log.warning("a worker did not end in time and is killed")
            self._kill_at = None
            self._fleet.stop(SIGKILL)

    def _fill(self, now: float) -> None:
        """Start a worker in each slot whose time has come."""
        while self._exit_code is None and (slot := self._fleet.empty(now)) is not None:
            self._spawn(slot, now)

    def _spawn(self, slot: Slot, now: float) -> None:
        try:
            worker = self._fleet.spawn(slot, self._calls.before_fork())
        except HookFailed as failure:
            self._fail(failure.exit_code)
        except BootError as exc:
            if self._announced:
                delay = slot.postpone(now)
                self._log.error(f"{exc}; the next attempt follows in {delay:g} s")
            else:
                write_error(f"granite: {exc}")
                self._fail(EXIT_BOOT)
        else:
            self._calls.forked(worker.face, worker.pid)

    def _tell(self) -> None:
        """Say that the server is up, once, and then what has changed."""
        ready, size = self._fleet.ready(), len(self._fleet.slots)
        status = f"{ready} of {size} workers ready"
        if not self._announced and ready == size:
            self._announced = True
            self._log.info("1 worker is ready" if size == 1 else f"{size} workers are ready")
            for listener in self._held.listeners:
                origin = f" ({listener.origin})" if listener.origin else ""
                self._log.info(f"listening on {listener.url}{origin}")
            self._held.notifier.ready(status)
        elif self._announced and status != self._status:
            self._held.notifier.status(status)
        self._status = status

    def _give_up(self, slot: Slot, worker: Worker, status: int) -> None:
        """End the tree because a worker could not start: another attempt would fail alike."""
        if worker.failure is not None:
            code, text = worker.failure
        else:
            code, text = (
                EXIT_BOOT,
                f"worker {slot.index} {signals.describe(status)} before it was ready",
            )
        if self._announced:
            for line in text.splitlines():  # the worker's traceback may follow
                self._log.critical(line)
        else:
            write_error(f"granite: {text}")
        self._fail(code)

    def _fail(self, exit_code: int) -> None:
        """End the tree with `exit_code`; if it is ending already, that remains how."""
        if self._exit_code is None:
            self._stop(SIGTERM, self._patience(), exit_code)
        else:
            self._exit_code = self._exit_code or exit_code

    def _stop(self, number: int, patience: float, exit_code: int) -> None:
        if self._exit_code is None:
            self._exit_code = exit_code
            self._held.notifier.stopping("stopping")
        self._held.close_listeners()
        self._kill_at = time.monotonic() + patience
        self._fleet.stop(number)

    def _patience(self) -> float:
        """Return the seconds after which a worker that was told to end is killed."""
        return self._config.graceful_timeout + self._config.workers_kill_timeout

    def _next_refill(self) -> float | None:
        return self._fleet.next_refill() if self._exit_code is None else None


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
    if loaded.config.target is None and load_target is None:
        raise UsageError(
            'expected a target, "module:attribute" such as package.main:app, got nothing'
        )
    outcome = Arbiter(loaded, load_target).run()
    return outcome if isinstance(outcome, int) else worker_main(outcome)
