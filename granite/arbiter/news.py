"""What an operator and the service manager are told of the server as a whole.

Owns the lines of the start, the status, and where a failure is written: before the server was up,
plainly on standard error, for whoever has just typed the command; afterwards in the log. Must not
know what follows from anything. Main thread of the arbiter.
"""

from __future__ import annotations

from granite.arbiter.slots import READY_STATE
from granite.log import write_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.fleet import Fleet
    from granite.arbiter.resources import Resources
    from granite.arbiter.slots import Slot

__all__ = ["News"]


class News:
    """`up` turns true when all workers are ready for the first time; `ending` is what the service
    manager is told when the server ends.
    """

    __slots__ = ("_broken", "_fleet", "_held", "_status", "ending", "up")

    def __init__(self, fleet: Fleet, held: Resources) -> None:
        self._fleet = fleet
        self._held = held
        self._status = ""
        self._broken: set[str] = set()
        self.up = False
        self.ending = "stopping"

    def tell(self) -> None:
        """Say that the server is up, once, and then what has changed."""
        size, status = len(self._fleet.slots), str(self._fleet)
        filled = self._fleet.filled()
        if not self.up and size and self._fleet.ready() == size:
            self.up = True
            log = self._held.log
            log.info("1 worker is ready" if size == 1 else f"{size} workers are ready")
            for listener in self._held.listeners:
                origin = f" ({listener.origin})" if listener.origin else ""
                log.info(f"listening on {listener.url}{origin}")
            self._held.notifier.ready(status)
        elif self.up:
            for worker in filled:
                self._held.log.info(f"{worker} is ready")
            if status != self._status:
                self._held.notifier.status(status)
        self._status = status
        for worker in self._fleet.workers():
            if worker.broken and worker.state == READY_STATE:
                self.broken(worker.broken)

    def broken(self, text: str) -> None:
        """Say what is wrong with the application while its files are watched; once, until they have
        changed.
        """
        if text not in self._broken:
            self._broken.add(text)
            reason, _, details = text.partition("\n")
            self._held.log.error(f"{reason}; waiting for the next change", details=details)

    def forget_broken(self) -> None:
        """The files have changed: what is wrong with them now is news."""
        self._broken.clear()

    def slow(self, now: float) -> None:
        """Name the workers that are late."""
        for worker in self._fleet.slow(now):
            self._held.log.warning(
                f"{worker} is not ready yet: waiting for the application's import and startup"
            )

    def cannot_fill(self, slot: Slot, text: str, delay: float) -> None:
        """Say why a slot stays empty for now; once, until it is another reason."""
        when = f"in {delay:g} s" if delay else "now"
        again = f"worker {slot.index} cannot start, the next attempt follows {when}"
        if any(text == other.trouble for other in self._fleet.slots):
            self._held.log.debug(again)
        else:
            reason, _, details = text.partition("\n")
            others = "; the others serve" if self._fleet.ready() else ""
            self._held.log.error(f"{again}{others}: {reason}", details=details)
        slot.trouble = text

    def cannot_go_on(self, text: str) -> None:
        """Say why the server ends; `text` may have further lines, such as a worker's traceback."""
        reason, _, details = text.partition("\n")
        self.ending = reason
        if self.up:
            self._held.log.critical(reason, details=details)
        else:
            write_error(f"granite: {text}")
