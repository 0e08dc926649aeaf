"""Where this server stands between the one that it replaces and the one that replaces it.

Owns which of the two handovers there is; what each is, say `granite.arbiter.inherited` and
`granite.arbiter.upgrade`, which are loaded when there is one. Must not know how they go on. Main
thread of the arbiter.
"""

from __future__ import annotations

from granite.arbiter.poller import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.arbiter.calls import Calls
    from granite.arbiter.fleet import Fleet
    from granite.arbiter.inherited import Succession
    from granite.arbiter.news import News
    from granite.arbiter.poller import Poller
    from granite.arbiter.resources import Resources
    from granite.arbiter.upgrade import Upgrade

__all__ = ["Generation"]


class Generation:
    """A part of the arbiter. `retire` is called when a successor has taken over, `fail` with a
    reason when this server cannot take over as one.
    """

    __slots__ = (
        *("_calls", "_fail", "_fleet", "_held", "_news", "_poller", "_retire", "_succession"),
        "_upgrade",
    )

    def __init__(
        self,
        fleet: Fleet,
        held: Resources,
        calls: Calls,
        news: News,
        poller: Poller,
        *,
        retire: Callable[[], object],
        fail: Callable[[str], object],
    ) -> None:
        self._fleet = fleet
        self._held = held
        self._calls = calls
        self._news = news
        self._poller = poller
        self._retire = retire
        self._fail = fail
        self._upgrade: Upgrade | None = None
        self._succession: Succession | None = None

    def begin(self) -> None:
        """The sockets are open, and the signals taken over."""
        if self._held.inherited is not None:
            from granite.arbiter.inherited import Succession

            self._succession = Succession(self._held, self._poller, self._fail)

    def ask(self) -> None:
        """Have this server replaced by a successor."""
        if self._upgrade is None:
            from granite.arbiter.upgrade import Upgrade

            self._upgrade = Upgrade(
                self._fleet, self._held, self._calls, self._poller, self._retire
            )
        self._upgrade.ask(self._news.up)

    def next_deadline(self) -> float:
        """Return the monotonic time at which there is something to do."""
        return NEVER if self._upgrade is None else self._upgrade.next_deadline()

    def manage(self, now: float, stopping: bool) -> None:
        """Do what there is to do; less of it where the server is `stopping`."""
        if self._upgrade is not None:
            self._upgrade.manage(now)
        if stopping or self._succession is None or not self._news.up:
            return
        if self._succession.manage():
            self._succession = None

    def stop(self, number: int) -> None:
        """The server stops, as the signal `number` says: so does a successor that is not ready."""
        if self._upgrade is not None:
            self._upgrade.stop(number)

    def gone(self) -> bool:
        """Whether there is no process of a successor, or it is the server."""
        return self._upgrade is None or self._upgrade.gone()

    def pid(self) -> int:
        """Return the process id of a successor, 0 while there is none."""
        return 0 if self._upgrade is None else self._upgrade.pid

    def leave_in_child(self) -> None:
        """Give up, in a forked child, what is the arbiter's alone."""
        if self._upgrade is not None:
            self._upgrade.leave_in_child()
