"""A template's process as the arbiter sees it, and the worker that it is to fork.

Owns what is held of the two. Must not know which template is to fork what: the theory of operation
is in `granite.arbiter.templates`. Main thread of the arbiter; imported only with `preload`.
"""

from __future__ import annotations

import os

from granite.arbiter.adoption import is_alive
from granite.arbiter.channel import open_channel
from granite.arbiter.fork import refused
from granite.arbiter.orders import END
from granite.arbiter.poller import NEVER
from granite.arbiter.signals import SIGKILL, SIGTERM, SIGUSR2
from granite.arbiter.slots import QUICK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.channel import Channel
    from granite.arbiter.orders import Order
    from granite.arbiter.report import Report
    from granite.arbiter.slots import Worker

__all__ = ["ENDING", "FORKING", "IDLE", "LOADING", "Birth", "Family", "Template"]

LOADING = "loading"
IDLE = "idle"
FORKING = "forking"
ENDING = "ending"


class Birth:
    """A worker that is wanted, with its order. `new` says that the application is to be loaded
    anew for it, `family` is what the order has brought forth so far, `again` that it is the second
    attempt.
    """

    __slots__ = ("again", "family", "new", "order", "worker")

    def __init__(self, worker: Worker, order: Order, new: bool) -> None:
        self.worker = worker
        self.order = order
        self.new = new
        self.family = Family(0, 0)
        self.again = False

    def close(self) -> None:
        """Give the worker's end of its channel back."""
        os.close(self.order.channel)

    def repeat(self) -> None:
        """Be ready for another attempt. Raises BootError."""
        try:
            mine, theirs = open_channel()  # of the one before, somebody may live
        except OSError as exc:
            raise refused(exc) from None
        self.worker.channel.close()
        self.worker.channel = mine
        self.order.channel = theirs
        self.family = Family(0, 0)
        self.again = True


class Family:
    """A worker's process and its parent, as long as they are known, else 0."""

    __slots__ = ("parent", "worker")

    def __init__(self, worker: int, parent: int) -> None:
        self.worker = worker
        self.parent = parent

    def clear_away(self) -> bool:
        """After the template's death: collect what is this process's of the two, and end a worker
        that nobody waits for any more. Return True when nothing can come any more.
        """
        if self.parent:
            if is_alive(self.parent):
                return False  # it is about to end, and leaves the worker to somebody
            self.parent = 0
        if self.worker and is_alive(self.worker):
            os.kill(self.worker, SIGKILL)
            return False
        return True


class Template:
    """A template's process. `birth` is the order that it has, `first` the first worker that it has
    forked and that serves, as long as there is none the last one, `timeout` the seconds that its
    workers may be silent. It is killed at `kill_at`.
    """

    __slots__ = (
        *("asked", "birth", "channel", "failure", "first", "kill_at", "pid", "report", "state"),
        "timeout",
    )

    def __init__(self, pid: int, channel: Channel, report: Report, timeout: float) -> None:
        self.pid = pid
        self.timeout = timeout
        self.channel = channel
        self.report = report
        self.asked = False
        self.state = LOADING
        self.birth: Birth | None = None
        self.first: Worker | None = None
        self.failure: tuple[int, str] | None = None
        self.kill_at = NEVER

    def __str__(self) -> str:
        return f"the template (pid {self.pid})"

    def send(self, number: int) -> None:
        """Send the process a signal."""
        try:  # noqa: SIM105 (contextlib costs the arbiter memory)
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # the program around the arbiter reaped it

    def explain(self) -> None:
        """Have it write to its report what it is doing; once."""
        if not self.asked:
            self.asked = True
            self.send(SIGUSR2)

    def release(self) -> None:
        """Give back what the arbiter holds of it; idempotent."""
        self.channel.close()
        self.report.close()

    def end(self, now: float) -> None:
        """Tell it to end, after the order that it has."""
        if self.state == LOADING:
            self.send(SIGTERM)  # it hears nothing yet
        else:
            self.channel.send(END)
        self.state = ENDING
        self.kill_at = min(self.kill_at, now + QUICK)
