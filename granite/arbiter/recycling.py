"""Workers that are replaced because of what they have become: old, big, or used up.

Owns when a worker has served long enough, and its replacement. Must not know how a worker is
forked, nor what ends the server. Main thread of the arbiter.

Theory of operation: a worker's requests are counted by itself, and it says when they are enough;
its age and its memory are watched from here. Whatever the reason, the worker goes on serving until
its successor is ready, and one successor boots at a time, so that workers that started together
are not replaced together. A reload comes first. A successor that cannot start changes nothing: the
worker stays, and the next attempt follows after a delay that doubles.
"""

from __future__ import annotations

import os

from granite.arbiter.calls import HookFailed
from granite.arbiter.poller import NEVER, doubled
from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.arbiter.fleet import Fleet
    from granite.arbiter.resources import Resources
    from granite.arbiter.slots import Slot, Worker

__all__ = ["Recycling", "resident"]

LIFETIME = "lifetime"
RSS = "rss"

_FIRST_DELAY = 1.0
_LONGEST_DELAY = 60.0
# Seconds: a worker that has too much memory at this age would have a successor that soon has, too.
_YOUNG = 10.0
_LONGEST_PAUSE = 600.0


class Recycling:
    """A part of the arbiter. `fork` starts a worker in a slot, because of a cause; it raises
    BootError and HookFailed.
    """

    __slots__ = ("_delay", "_fleet", "_fork", "_held", "_look_at", "_pause", "_retry_at")

    def __init__(self, fleet: Fleet, held: Resources, fork: Callable[[Slot, str], Worker]) -> None:
        self._fleet = fleet
        self._held = held
        self._fork = fork
        self._look_at = 0.0
        self._retry_at = 0.0
        self._delay = 0.0
        # Before the next look at memory, when replacing workers does not help.
        self._pause = 0.0

    def next_deadline(self) -> float:
        """Return the monotonic time at which there may be something to do."""
        until = NEVER if self._held.config.workers_max_rss is None else self._look_at
        for worker in self._fleet.settled():
            due_at = 0.0 if _due(worker, 0.0, self._held.config.rss_samples) else worker.expires_at
            until = min(until, max(due_at, self._retry_at))
        return until if self._fleet.replacing() is None else NEVER

    def manage(self, now: float) -> None:
        """Look at the workers, and start the successor of one whose time has come. Raises
        HookFailed if a hook ends the server.
        """
        config = self._held.config
        settled = self._fleet.settled()
        if config.workers_lifetime is not None:
            for worker in settled:
                if worker.expires_at == NEVER:
                    jitter = config.workers_lifetime_jitter * worker.jitter
                    worker.expires_at = worker.ready_at + config.workers_lifetime + jitter
        if config.workers_max_rss is not None and now >= self._look_at:
            self._look_at = now + config.rss_sample_interval
            for worker in settled:
                most = config.workers_max_rss + config.workers_max_rss_jitter * worker.jitter
                above = resident(worker.pid) > most * 2**20
                worker.over_memory = worker.over_memory + 1 if above else 0
        if now < self._retry_at or self._fleet.replacing() is not None:
            return
        for worker in settled:
            cause = _due(worker, now, config.rss_samples)
            if cause:
                self._replace(worker, cause, now)
                return

    def failed(self, text: str, now: float) -> None:
        """The successor has died; `text` says of what, its details in further lines."""
        self._delay = doubled(self._delay, _FIRST_DELAY, _LONGEST_DELAY)
        self._retry_at = now + self._delay
        reason, _, details = text.partition("\n")
        self._held.log.error(
            f"a worker cannot be replaced, it goes on; the next attempt follows in "
            f"{self._delay:g} s: {reason}",
            details=details,
        )

    def succeeded(self, worker: Worker) -> None:
        """`worker` is ready and has taken its slot."""
        self._delay = 0.0
        self._held.log.info(f"{worker} is ready")

    def _replace(self, worker: Worker, cause: str, now: float) -> None:
        self._held.log.info(f"{worker} is replaced: {_reason(worker, cause, now)}")
        if cause == RSS:
            self._pause_if_young(worker, now)
        try:
            self._fork(self._fleet.slot_of(worker), cause)
        except BootError as exc:
            self.failed(str(exc), now)
        except HookFailed as failure:
            if failure.meant:
                raise
            self.failed("a hook raised", now)

    def _pause_if_young(self, worker: Worker, now: float) -> None:
        """Put the next look at memory off where each new worker would soon be replaced again."""
        config = self._held.config
        if now - worker.ready_at > _YOUNG + config.rss_sample_interval * config.rss_samples:
            self._pause = 0.0
            return
        if not self._pause:
            self._held.log.warning(
                f"workers_max_rss: a worker takes {_size(worker)} soon after its start, which is "
                "more"
            )
        self._pause = doubled(self._pause, _YOUNG, _LONGEST_PAUSE)
        self._look_at = max(self._look_at, now + self._pause)


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 if it cannot be known."""
    try:
        fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it has ended, or the system has no such files
        return 0
    try:
        return int(os.read(fd, 256).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
    finally:
        os.close(fd)


def _due(worker: Worker, now: float, samples: int) -> str:
    """Return why a worker is to be replaced now, empty if it is not."""
    if worker.wish:
        return worker.wish
    if worker.over_memory >= samples:
        return RSS
    return LIFETIME if now >= worker.expires_at else ""


def _reason(worker: Worker, cause: str, now: float) -> str:
    if cause == LIFETIME:
        return f"it has reached workers_lifetime, {now - worker.ready_at:.0f} s"
    if cause == RSS:
        return f"it is above workers_max_rss, with {_size(worker)}"
    return "it has served max_requests"


def _size(worker: Worker) -> str:
    return f"{resident(worker.pid) / 2**20:.0f} MiB"
