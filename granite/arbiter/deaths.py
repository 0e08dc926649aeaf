"""What follows from the end of a worker: nothing, a replacement, or the end of the server.

Owns that decision; the states are explained in `granite.arbiter.fleet`. Must not know how a worker
is collected, nor how the server ends. Main thread of the arbiter.
"""

from __future__ import annotations

from granite.arbiter import signals
from granite.arbiter.slots import BOOTING, STOPPING
from granite.errors import EXIT_BOOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.fleet import Fleet
    from granite.arbiter.news import News
    from granite.arbiter.recycling import Recycling
    from granite.arbiter.reload import Reload
    from granite.arbiter.resources import Resources
    from granite.arbiter.slots import Slot, Worker

__all__ = ["Deaths"]


class Deaths:
    """Take workers that have ended out of their slots."""

    __slots__ = ("_fleet", "_held", "_log", "_news", "_recycling", "_reload")

    def __init__(
        self, fleet: Fleet, held: Resources, news: News, reload: Reload, recycling: Recycling
    ) -> None:
        self._fleet = fleet
        self._held = held
        self._news = news
        self._reload = reload
        self._recycling = recycling
        self._log = held.log

    def follow(
        self, slot: Slot, worker: Worker, status: int, now: float, *, ending: bool
    ) -> int | None:
        """Draw the consequences of a worker's end with waitpid's `status`; `ending` says that the
        server is ending already. Return the status to end it with, None where it goes on.
        """
        ended = f"{worker} {signals.describe(status)}"
        details = worker.report.take()  # the stacks, where it was a fault
        was_next = worker is slot.next
        slot.remove(worker)
        if ending or worker.state == STOPPING:
            if details:
                self._log.warning(ended, details=details)
            else:
                self._log.debug(ended)
        elif was_next:
            self._not_followed(
                worker, now, worker.failure[1] if worker.failure else f"{ended} before it took over"
            )
        elif slot.current is not None:
            self._log.warning(f"{ended}; its replacement is on the way", details=details)
        elif worker.state == BOOTING:
            return self._not_started(slot, worker, status, now)
        elif not self._held.config.respawn_failed_workers:
            self._log.error(
                f"{ended}, and respawn_failed_workers is off: stopping", details=details
            )
            return EXIT_BOOT
        else:
            slot.cause = "error"
            delay = slot.refill_after(worker, now)
            when = f"in {delay:g} s" if delay else "now"
            self._log.warning(f"{ended}; a new one starts {when}", details=details)
        return None

    def _not_followed(self, worker: Worker, now: float, text: str) -> None:
        if self._reload.waits_for(worker):
            self._reload.failed(text)
        else:
            self._recycling.failed(text, now)

    def _not_started(self, slot: Slot, worker: Worker, status: int, now: float) -> int | None:
        """Another attempt would fail alike, which ends the server, unless other workers serve
        meanwhile: then there is time to mend what is in the way. A worker that has given no reason
        was killed, and says nothing of the next one, where there were workers before.
        """
        ended = f"worker {slot.index} {signals.describe(status)} before it was ready"
        code, text = worker.failure or (EXIT_BOOT, ended)
        config = self._held.config
        if config.reload and (self._news.up or config.reload_ignore_worker_failure):
            self._news.broken(text)
            slot.rest()
            return None
        respawn = config.respawn_failed_workers
        hopeful = self._fleet.ready() or worker.failure is None
        if not (self._news.up and respawn and hopeful):
            self._news.cannot_go_on(text)
            return code
        self._news.cannot_fill(slot, text, slot.postpone(now))
        if self._reload.waits_for(worker):
            self._reload.failed(text)
        return None
