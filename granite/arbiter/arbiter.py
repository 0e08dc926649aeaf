"""The arbiter's main loop: wait → handle → reap → manage.

Owns the decisions: when the server is up, when a dead worker is replaced, when everything ends and
with which status. Must not know the application nor anything of HTTP. Main thread of the arbiter,
the only one.
"""

from __future__ import annotations

import select
import time

from granite.arbiter import signals
from granite.arbiter.fleet import BOOTING, STOPPING, BecomeWorker, Fleet, Slot, Worker
from granite.arbiter.listeners import Listener, open_listeners
from granite.arbiter.signals import SIGINT, SIGKILL, SIGQUIT, SIGTERM, SignalQueue
from granite.errors import EXIT_BOOT, EXIT_OK, UsageError
from granite.log import Log, write_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.settings.config import Config
    from granite.settings.load import Loaded

__all__ = ["Arbiter", "WorkerStart", "run"]

# Seconds beyond the graceful timeout: the lifespan's last second, the cancelled tasks', the
# interpreter's end.
_KILL_MARGIN = 5.0
# Seconds that a worker gets for a quick end before it is killed.
_QUICK = 3.0


class WorkerStart:
    """What a worker process needs to know: plain values, made by the arbiter before the fork."""

    __slots__ = ("channel", "config", "index", "listeners", "target")

    def __init__(
        self, target: str, config: Config, index: int, listeners: tuple[int, ...], channel: int
    ) -> None:
        self.target = target
        self.config = config
        self.index = index
        self.listeners = listeners
        self.channel = channel


class Arbiter:
    """The parent of the workers that serve `target`."""

    def __init__(self, target: str, config: Config) -> None:
        self._target = target
        self._config = config
        self._log = Log(config.log_level)
        self._fleet = Fleet(1)
        self._listeners: list[Listener] = []
        self._signals: SignalQueue | None = None
        self._announced = False
        self._exit_code: int | None = None
        self._kill_at: float | None = None

    def run(self) -> int | WorkerStart:
        """Serve until told to end; return the exit status, or in a worker process, what the worker
        is to do.
        """
        self._listeners = open_listeners(self._config)
        self._signals = SignalQueue()
        try:
            while True:
                self._manage()
                if self._exit_code is not None and not any(self._fleet.occupied()):
                    self._close_listeners()
                    return self._exit_code
                self._wait()
                for number in self._signals.take():
                    self._handle(number)
                self._reap()
        except BecomeWorker as child:
            self._signals.close_in_child()
            descriptors = tuple(listener.fd for listener in self._listeners)
            return WorkerStart(self._target, self._config, child.index, descriptors, child.channel)

    def _wait(self) -> None:
        """Sleep until a signal, a message from a worker, or the next deadline."""
        assert self._signals is not None
        poll = select.poll()
        poll.register(self._signals.fd, select.POLLIN)
        workers = {
            worker.channel.fd: worker
            for _, worker in self._fleet.occupied()
            if worker.channel.fd >= 0
        }
        for fd in workers:
            poll.register(fd, select.POLLIN)
        deadlines = [at for at in (self._kill_at, self._next_refill()) if at is not None]
        timeout = max(0.0, min(deadlines) - time.monotonic()) * 1000 + 1 if deadlines else None
        for fd, _ in poll.poll(timeout):
            if fd in workers:
                workers[fd].read(time.monotonic())

    def _handle(self, number: int) -> None:
        if number == SIGQUIT or (number == SIGINT and self._exit_code is not None):
            self._stop(SIGQUIT, _QUICK, EXIT_OK)
        elif number in (SIGINT, SIGTERM) and self._exit_code is None:
            self._log.info("stopping: requests in flight may finish")
            self._stop(SIGTERM, self._config.graceful_timeout + _KILL_MARGIN, EXIT_OK)

    def _reap(self) -> None:
        now = time.monotonic()
        for slot, worker, status in self._fleet.reap():
            worker.read(now)  # what it said last may still lie in the channel
            worker.channel.close()
            if self._exit_code is not None or worker.state == STOPPING:
                slot.worker = None
                self._log.debug(
                    f"worker {slot.index} (pid {worker.pid}) {signals.describe(status)}"
                )
            elif worker.state == BOOTING:
                slot.worker = None
                self._give_up(slot, worker, status)
            else:
                delay = slot.vacate(worker, now)
                ended = f"worker {slot.index} (pid {worker.pid}) {signals.describe(status)}"
                self._log.warning(f"{ended}; a new one starts in {delay:g} s")

    def _manage(self) -> None:
        now = time.monotonic()
        if self._exit_code is not None:
            if self._kill_at is not None and now >= self._kill_at:
                self._log.warning("a worker did not end in time and is killed")
                self._kill_at = None
                self._fleet.kill(SIGKILL)
            return
        self._fleet.fill(now)
        if not self._announced and self._fleet.all_ready():
            self._announced = True
            for listener in self._listeners:
                self._log.info(f"listening on {listener.url}")

    def _give_up(self, slot: Slot, worker: Worker, status: int) -> None:
        """End the tree because a worker could not start: another attempt would fail alike."""
        if worker.failure is not None:
            code, text = worker.failure
        else:
            code, text = (
                EXIT_BOOT,
                f"worker {slot.index} {signals.describe(status)} before it was ready",
            )
        write_error(f"granite: {text}")
        self._stop(SIGTERM, self._config.graceful_timeout + _KILL_MARGIN, code)

    def _stop(self, number: int, patience: float, exit_code: int) -> None:
        if self._exit_code is None:
            self._exit_code = exit_code
        self._close_listeners()
        self._kill_at = time.monotonic() + patience
        self._fleet.kill(number)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    def _next_refill(self) -> float | None:
        return self._fleet.next_refill() if self._exit_code is None else None


def run(loaded: Loaded, worker_main: Callable[[WorkerStart], int]) -> int:
    """Serve the target that the settings name; return the exit status of this process.

    The process forks on the way: in the arbiter the status is the server's; in a worker,
    `worker_main` is called, with the arbiter's signals still blocked, and its result is the status.
    Raises BootError if a socket cannot be opened or a process not be forked.
    """
    config = loaded.config
    if config.target is None:
        raise UsageError(
            'expected a target, "module:attribute" such as package.main:app, got nothing'
        )
    outcome = Arbiter(config.target, config).run()
    return outcome if isinstance(outcome, int) else worker_main(outcome)
