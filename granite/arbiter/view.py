"""What the arbiter shows of itself to whoever measures it.

Owns nothing: it reads the fleet when it is asked. Must not know how it is shown. Main thread of the
arbiter.
"""

from __future__ import annotations

from granite.arbiter.recycling import resident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.arbiter.fleet import Fleet
    from granite.arbiter.news import News
    from granite.metrics.aggregate import Aggregate

__all__ = ["FleetView"]


class FleetView:
    """The numbers of all workers are in `totals`; `ending` says whether a stop was asked for,
    `replaced` whether a successor has taken over.
    """

    __slots__ = ("_ending", "_fleet", "_news", "_replaced", "totals")

    def __init__(
        self,
        fleet: Fleet,
        news: News,
        totals: Aggregate,
        *,
        ending: Callable[[], bool],
        replaced: Callable[[], bool],
    ) -> None:
        self._fleet = fleet
        self._news = news
        self._ending = ending
        self._replaced = replaced
        self.totals = totals

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Why no requests should be sent here, empty if they should."""
        if self._replaced():  # a new connection reaches the successor, which is ready
            return ""
        if self._ending():
            return "the server is stopping"
        if not self._news.up:
            return "the server is starting"
        if any(worker.broken for worker in self._fleet.settled()):  # files are watched
            return "the application cannot be loaded"
        return "" if self._fleet.ready() else "no worker is ready"

    def workers(self) -> list[tuple[int, int, str, float, int | None, list[int] | None]]:
        """Return slot, process id, state, monotonic start, resident bytes and newest numbers of
        each worker.
        """
        return [
            (
                worker.index,
                worker.pid,
                worker.state,
                worker.started_at,
                resident(worker.pid) or None,
                self.totals.snapshot(worker.pid),
            )
            for worker in self._fleet.workers()
        ]
