"""What an operator and the service manager are told of the server as a whole.

Owns the lines of the start, the status, and where a failure is written: before the server was up,
plainly on standard error, for whoever has just typed the command; afterwards in the log. Must not
know what follows from anything. Main thread of the arbiter.
"""

from __future__ import annotations

from granite.log import write_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.fleet import Fleet
    from granite.arbiter.resources import Resources

__all__ = ["News"]


class News:
    """`up` turns true when all workers are ready for the first time."""

    __slots__ = ("_fleet", "_held", "_status", "up")

    def __init__(self, fleet: Fleet, held: Resources) -> None:
        self._fleet = fleet
        self._held = held
        self._status = ""
        self.up = False

    def tell(self) -> None:
        """Say that the server is up, once, and then what has changed."""
        size, status = len(self._fleet.slots), str(self._fleet)
        if not self.up and self._fleet.ready() == size:
            self.up = True
            log = self._held.log
            log.info("1 worker is ready" if size == 1 else f"{size} workers are ready")
            for listener in self._held.listeners:
                origin = f" ({listener.origin})" if listener.origin else ""
                log.info(f"listening on {listener.url}{origin}")
            self._held.notifier.ready(status)
        elif self.up and status != self._status:
            self._held.notifier.status(status)
        self._status = status

    def cannot_go_on(self, text: str) -> None:
        """Say why the server ends; `text` may have further lines, such as a worker's traceback."""
        if not self.up:
            write_error(f"granite: {text}")
            return
        for line in text.splitlines():
            self._held.log.critical(line)
