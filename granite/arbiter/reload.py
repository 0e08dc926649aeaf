"""What SIGHUP does: the workers are replaced by ones that load the application anew.

Owns the order of a reload and how it ends, in the log and for the service manager. Must not know
how a worker is forked or what ends it. Main thread of the arbiter.

Theory of operation: one slot after the other gets a next worker, and the reload goes on when that
one is ready. So no more than one worker boots at a time, as many as before serve, and code that
cannot start is met by the first slot, where it ends the reload and nothing else; slots that were
replaced before stay so. The former workers finish their requests meanwhile and afterwards: the
reload is over when the last replacement serves and no former worker accepts connections any more,
so that whoever connects then meets the new code. One that does not even react is not waited for
longer than some seconds. What is asked for during a reload becomes one more
after it, however often; a replacement that hangs in its start is given up for it. So is one that
boots for another reason when a reload begins.
"""

from __future__ import annotations

import time

from granite.arbiter.calls import HookFailed
from granite.arbiter.poller import NEVER
from granite.arbiter.signals import SIGTERM
from granite.arbiter.slots import BOOTING, QUICK
from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.arbiter.calls import Calls
    from granite.arbiter.fleet import Fleet
    from granite.arbiter.resources import Resources
    from granite.arbiter.slots import Slot, Worker

__all__ = ["Reload"]

# Seconds that the former workers have to stop accepting before the reload is over without it.
_LEAVE = 5.0


class Reload:
    """The reload that is under way, if one is. `fork` starts a worker in a slot, because of a
    cause; it raises BootError and HookFailed.
    """

    __slots__ = (
        *("_asked", "_asked_at", "_calls", "_fleet", "_fork", "_held", "_leave_by", "_left"),
        *("_log", "_since", "_worker"),
    )

    def __init__(
        self, fleet: Fleet, held: Resources, calls: Calls, fork: Callable[[Slot, str], Worker]
    ) -> None:
        self._fleet = fleet
        self._held = held
        self._log = held.log
        self._calls = calls
        self._fork = fork
        self._asked = False
        self._asked_at = self._since = 0.0
        # The slots that are still to come; None while there is no reload.
        self._left: list[Slot] | None = None
        self._worker: Worker | None = None
        # While it is all that is missing: when the former workers are not waited for any longer.
        self._leave_by = NEVER

    def ask(self) -> None:
        """Reload, as soon as a reload that is under way is over."""
        self._asked = True
        self._asked_at = time.monotonic()
        if self._left is None:
            return
        worker = self._worker
        if worker is not None and worker.state == BOOTING and worker.slow_at == NEVER:
            self._log.info(f"{worker} is given up for another reload")
            self._give_up(worker)
            self._forget()
        else:
            boots = worker is not None and worker.state == BOOTING
            waits = f", which waits for {worker}" if boots else ""
            self._log.info(f"another reload follows the one that is under way{waits}")

    @property
    def under_way(self) -> bool:
        """Whether a reload goes on, or is about to begin."""
        return self._asked or self._left is not None

    def next_deadline(self) -> float:
        """Return the monotonic time at which there may be something to do by itself."""
        return self._leave_by

    def waits_for(self, worker: Worker) -> bool:
        """Say whether the reload goes on when `worker` is ready."""
        return worker is self._worker

    def refuse(self, why: str) -> None:
        """Say that there is no reload."""
        self._log.error(f"not reloaded, the workers that serve go on: {why}")
        self._held.notifier.reloading("reloading")  # who waits for a reload waits for both
        self._held.notifier.ready(f"{self._fleet}; not reloaded: {why}")

    def at_once(self, why: str) -> None:
        """Tell all workers to end, and have all slots filled anew without waiting for that; a
        reload that is under way is over. Raises HookFailed if a hook ends the server.
        """
        self._asked = False
        self._forget()
        self._log.info(f"reloading: {why}")
        self._calls.call("on_reload")
        config = self._held.config
        now = time.monotonic()
        for slot in self._fleet.slots:
            for worker in (slot.current, slot.next):
                if worker is not None:
                    booting = worker.state == BOOTING
                    patience = QUICK if booting else config.graceful_timeout
                    slot.dismiss(worker)
                    worker.end(SIGTERM, now + patience + config.workers_kill_timeout)
            slot.hasten("reload")

    def step(self) -> None:
        """Do what can be done without waiting. Raises HookFailed if a hook ends the server."""
        while self._asked or self._left is not None:
            if self._left is None:
                self._begin()
            elif self._worker is not None and self._worker.state == BOOTING:
                return
            elif self._left:
                slot = self._left.pop(0)
                if slot in self._fleet.slots:  # else it was scaled away meanwhile
                    self._replace(slot)
            elif self._may_finish():
                self._finish()
            else:
                return

    def failed(self, text: str) -> None:
        """End the reload, since its worker has died; `text` says of what, its details in further
        lines.
        """
        reason, _, details = text.partition("\n")
        self._log.error(
            f"the reload failed, the workers that serve go on: {reason}", details=details
        )
        if self._fleet.templates is not None:
            self._fleet.templates.discard()
        self._end(f"{self._fleet}; the reload failed: {reason}")

    def _begin(self) -> None:
        self._asked = False
        self._since = self._asked_at
        booting = self._fleet.replacing()
        if booting is not None:  # perhaps with the former application
            self._give_up(booting)
        self._log.info("reloading: one worker after the other is replaced")
        self._held.notifier.reloading("reloading")
        self._log.reopen()  # first, so that a worker finds the new files
        self._fleet.reopen_logs()
        try:
            self._calls.call("on_reload")
        except HookFailed as failure:
            self._hook_failed(failure)
        else:
            self._left = list(self._fleet.slots)
            self._renew_template()

    def _may_finish(self) -> bool:
        """Say whether the former workers have stopped accepting, or have had the time for it."""
        now = time.monotonic()
        if self._leave_by == NEVER:
            self._worker = None
            self._leave_by = now + _LEAVE
        return now >= self._leave_by or not self._fleet.leaving()

    def _finish(self) -> None:
        if self._fleet.slots:
            self._log.info("reloaded")
        else:
            self._log.info("the reload is over: there is no worker to replace any more")
        if self._fleet.templates is not None:
            self._fleet.templates.settle()
        self._end(str(self._fleet))

    def _renew_template(self) -> None:
        if self._fleet.templates is not None:
            try:
                self._fleet.templates.renew()
            except BootError as exc:
                self.failed(str(exc))

    def _replace(self, slot: Slot) -> None:
        self._worker = None
        if slot.current is None:
            slot.hasten("reload")  # who fills it loads the application anew by nature
            return
        if self._fleet.templates is None and slot.current.started_at > self._since:
            self._worker = slot.current  # it does so already
            return
        try:
            self._worker = self._fork(slot, "reload")
        except BootError as exc:
            self.failed(str(exc))
        except HookFailed as failure:
            self._hook_failed(failure)

    def _give_up(self, worker: Worker) -> None:
        self._fleet.slot_of(worker).dismiss(worker)
        config = self._held.config
        worker.end(SIGTERM, time.monotonic() + config.workers_kill_timeout)

    def _hook_failed(self, failure: HookFailed) -> None:
        if failure.meant:
            raise failure
        self.failed("a hook raised")

    def _end(self, status: str) -> None:
        self._forget()
        self._held.notifier.ready(status)

    def _forget(self) -> None:
        self._left = None
        self._worker = None
        self._leave_by = NEVER
