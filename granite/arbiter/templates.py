"""The templates that workers are forked from with `preload`.

Owns the templates' processes and the orders that they get. Must not know the application, nor why a
worker is wanted. Main thread of the arbiter; imported only with `preload`.

Theory of operation. A template is LOADING until it says that it is ready, then IDLE, or FORKING
while it has an order, until it is told to end: then it is ENDING. Workers that are wanted wait in a
row; the template that is to fork the first one gets the order as soon as it is idle, and answers
with the process id. Until then the worker is there for everybody, but has no process: what it is
sent is kept for it. There are

- a current template. It is forked when a worker is wanted and there is none. Its death is the
  failure of workers that wait for it to load; one that it was forking has a second chance. Workers
  that live are the arbiter's children;
- during a reload a next one, which loads the application anew. Workers that are wanted by the
  reload wait for it, others go on to be forked from the current one until it is idle. With the
  first of its workers that serves it becomes current; where the reload fails before, it ends.

A template that does not answer an order is killed. The arbiter adopts orphans only for the moment
that an order takes: before and afterwards they belong to the first process of the system, as ever.
What the order brings forth it knows by number, and collects, if the template dies in between.
"""

from __future__ import annotations

import os
import time

from granite.arbiter import signals
from granite.arbiter.adoption import Adoption, is_child
from granite.arbiter.channel import FAILED, READY, RENEW, open_channel
from granite.arbiter.fleet import BecomeWorker
from granite.arbiter.fork import fork, refused
from granite.arbiter.orders import ADOPTS, FORKED, ORPHANED, REFUSED, REOPEN, Order
from granite.arbiter.poller import NEVER
from granite.arbiter.report import Report
from granite.arbiter.signals import SIGKILL
from granite.arbiter.slots import BOOTING, QUICK, READY_STATE, STOPPING
from granite.arbiter.start import TEMPLATE
from granite.arbiter.template import ENDING, FORKING, IDLE, LOADING, Birth, Family, Template
from granite.errors import EXIT_BOOT, BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.fleet import Fleet
    from granite.arbiter.poller import Poller
    from granite.arbiter.resources import Resources
    from granite.arbiter.slots import Worker

__all__ = ["Templates"]

# Seconds in which an order is to be answered; a fork takes some milliseconds.
_ANSWER = 10.0


class Templates:
    """All templates of the workers of `fleet`. Raises BootError where the system cannot do it."""

    __slots__ = (
        "_adoption",
        "_current",
        "_fleet",
        "_former",
        "_held",
        "_log",
        "_lost",
        "_next",
        "_poller",
        "_renewing",
        "_strays",
        "_waiting",
    )

    def __init__(
        self,
        fleet: Fleet,
        held: Resources,
        poller: Poller,
    ) -> None:
        self._adoption = Adoption(fleet.pids)
        self._fleet = fleet
        self._held = held
        self._log = held.log
        self._poller = poller
        self._current: Template | None = None
        self._next: Template | None = None
        self._renewing = False
        self._former: list[Template] = []
        self._waiting: list[Birth] = []
        self._lost: list[Worker] = []
        # Of templates that have died, what may still become this process's.
        self._strays: list[Family] = []

    def order(self, worker: Worker, channel: int, *, new: bool) -> None:
        """Have a process made for `worker`, with its end of the channel, which is taken over; with
        `new` from the application as it is loaded by the reload that is under way.
        """
        age = 0 if worker.face is None else worker.face.age
        sockets = self._held.sockets.for_slot(worker.index)
        order = Order(worker.index, age, channel, worker.report.fd, sockets)
        self._waiting.append(Birth(worker, order, new))

    def renew(self) -> None:
        """Load the application anew, for a reload that begins. Raises BootError, and BecomeWorker
        in the child.
        """
        self.discard()
        if self._current is not None:  # else what is wanted is loaded anew by nature
            self._renewing = True
            self._next = self._fork()

    def settle(self) -> None:
        """The reload is over. What was loaded anew is given up, unless a worker has proven it good,
        or is about to.
        """
        if self._next is None:
            return
        first = self._next.first
        waits = self._next.birth is not None or any(birth.new for birth in self._waiting)
        if first is not None and first.state == READY_STATE:
            self._promote()
        elif not waits and (first is None or first.state != BOOTING):
            self.discard()

    def _promote(self) -> None:
        if self._next is not None:
            if self._current is not None:
                self._retire(self._current)
            self._current, self._next = self._next, None
            self._renewing = False

    def discard(self) -> None:
        """Give up what was loaded anew."""
        self._renewing = False
        if self._next is not None:
            self._retire(self._next)
            self._next = None

    def reopen_logs(self) -> None:
        """Have the log files opened again that the next workers inherit."""
        for template in self._all():
            template.channel.send(REOPEN)

    def hand_down(self, paths: bytes, fds: list[int]) -> None:
        """Give the next workers the files of certificates and keys as they are now."""
        for template in self._all():
            template.channel.send(RENEW, paths, fds)

    def next_deadline(self) -> float:
        """Return the monotonic time at which a template is to be killed, or a worker that gets no
        process is to be collected.
        """
        if self._lost:
            return 0.0
        return min((template.kill_at for template in self._all()), default=NEVER)

    def manage(self, now: float) -> None:
        """Do what can be done without waiting. Raises BecomeWorker in a child."""
        for template in self._all():
            if template.kill_at <= now:
                self._log.warning(f"{template} does not answer and is killed")
                template.kill_at = NEVER
                template.send(SIGKILL)
        first = None if self._next is None else self._next.first
        if first is not None and first.state == READY_STATE:
            self._promote()
        for birth in list(self._waiting):
            if birth.worker.state == STOPPING:
                self._lose(birth, None)
            elif birth.worker.report_at != NEVER or birth.worker.failure is not None:
                self._hurry(birth)
            else:
                self._have_forked(birth, now)

    def stop(self) -> None:
        """Fork no more, and have the templates end; idempotent."""
        for birth in list(self._waiting):
            self._lose(birth, None)
        self.discard()
        if self._current is not None:
            self._retire(self._current)
            self._current = None

    def alive(self) -> bool:
        """Whether a template has not been collected yet, or something that it has left."""
        return bool(self._all() or self._strays or self._lost)

    def reap(self) -> list[Worker]:
        """Collect the templates that have ended; return the workers that will get no process."""
        for template in self._all():
            try:
                pid, status = os.waitpid(template.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else was faster
                pid, status = template.pid, 0
            if pid:
                self._bury(template, status)
        if self._strays:
            self._strays = [family for family in self._strays if not family.clear_away()]
            self._adopt_no_more()
        self._adoption.collect()
        lost, self._lost = self._lost, []
        return lost

    def pids(self) -> set[int]:
        """Return the processes that are, or may become, this one's children."""
        families = [t.birth.family for t in self._all() if t.birth is not None] + self._strays
        found = {template.pid for template in self._all()}
        return found.union(*((family.worker, family.parent) for family in families))

    def leave_in_child(self) -> None:
        """Give up, in a forked child, what is the arbiter's alone."""
        for template in self._all():
            template.release()
        for birth in self._waiting:
            birth.close()

    def _all(self) -> list[Template]:
        return [t for t in (self._current, self._next, *self._former) if t is not None]

    def _source(self, birth: Birth) -> Template | None:
        """Return the template that is to fork a worker, None if there is none."""
        template = self._next
        if not (birth.new and self._renewing) and (template is None or template.state != IDLE):
            template = self._current
        return template

    def _hurry(self, birth: Birth) -> None:
        """The worker has waited for too long, and its time for an explanation has begun, or is
        over: so it is for the template.
        """
        template = self._source(birth)
        if template is None or template.state != LOADING:
            self._lose(birth, None)
        elif birth.worker.failure is None:
            template.explain()
        else:
            code, text = birth.worker.failure
            birth.worker.failure = None
            if template.failure is None:  # else it is another worker that has said so
                template.failure = code, f"{text}\n{template.report.take()}".rstrip()
                template.send(SIGKILL)

    def _have_forked(self, birth: Birth, now: float) -> None:
        """Pass an order on, if the template that it is for is idle."""
        template = self._source(birth)
        if template is None:
            self._start_for(birth)
        elif template.state == IDLE and not self._is_forking():
            template.birth = birth
            template.state = FORKING
            template.kill_at = now + _ANSWER
            template.channel.send(*birth.order.message())
            birth.close()
            self._waiting.remove(birth)

    def _start_for(self, birth: Birth) -> None:
        try:
            if birth.new and self._renewing:
                self._next = self._fork()
            else:
                self._current = self._fork()
        except BootError as exc:
            self._lose(birth, (EXIT_BOOT, str(exc)))

    def _fork(self) -> Template:
        try:
            mine, theirs = open_channel()
        except OSError as exc:
            raise refused(exc) from None
        report = Report()
        try:
            pid = fork()
        except BootError:
            mine.close()
            os.close(theirs)
            report.close()
            raise
        if not pid:
            mine.close()
            raise BecomeWorker(TEMPLATE, theirs, report.fd, None)
        os.close(theirs)
        # Its workers have the settings as they are now.
        template = Template(pid, mine, report, self._held.config.worker_timeout)
        self._poller.register(mine.fd, lambda events: self._hear(template))
        return template

    def _hear(self, template: Template) -> None:
        fd = template.channel.fd
        for kind, payload in template.channel.receive():
            if kind == READY and template.state == LOADING:
                template.state = IDLE
                self._log.debug(f"{template} has loaded the application")
            elif kind == FAILED:
                text = payload[1:].decode("utf-8", "replace")
                template.failure = (*payload[:1], EXIT_BOOT)[0], text
                template.kill_at = min(template.kill_at, time.monotonic() + QUICK)
            elif template.birth is not None and kind == FORKED:
                self._forked(template, template.birth, payload)
            elif template.birth is not None and kind == ORPHANED:
                self._orphaned(template, template.birth)
            elif template.birth is not None and kind == REFUSED:
                worker = template.birth.worker
                self._have_answer(template)
                self._give_up(worker, (EXIT_BOOT, payload.decode("utf-8", "replace")))
        if template.channel.fd < 0:
            self._poller.unregister(fd)

    def _forked(self, template: Template, birth: Birth, payload: bytes) -> None:
        """What the template names is looked at: it runs as the application's user, and has run the
        application.
        """
        worker, _, parent = payload.partition(b" ")
        family = Family(_number(worker), _number(parent))
        self._adoption.begin()
        if not all(map(self._adoption.may_come, (family.worker, family.parent))):
            self._distrust(template)
            return
        birth.family = family
        template.channel.send(ADOPTS)

    def _orphaned(self, template: Template, birth: Birth) -> None:
        if not birth.family.worker or not is_child(birth.family.worker):
            birth.family = Family(0, 0)
            self._distrust(template)
            return
        birth.worker.timeout = template.timeout
        birth.worker.forked(birth.family.worker)
        if template.first is None or template.first.state != READY_STATE:
            template.first = birth.worker
        self._have_answer(template)
        self._fleet.listen(birth.worker)

    def _distrust(self, template: Template) -> None:
        self._log.error(f"{template} names a process that is none of its, and is killed")
        template.send(SIGKILL)

    def _have_answer(self, template: Template) -> None:
        template.birth = None
        if template.state == FORKING:
            template.state = IDLE
            template.kill_at = NEVER
        self._adopt_no_more()

    def _adopt_no_more(self) -> None:
        if not self._strays and not self._is_forking():
            self._adoption.end()

    def _is_forking(self) -> bool:
        return any(template.birth is not None for template in self._all())

    def _bury(self, template: Template, status: int) -> None:
        self._hear(template)  # what it said last may still lie in the channel
        self._poller.unregister(template.channel.fd)
        ended = f"{template} {signals.describe(status)}"
        if template.state == LOADING:
            why = f"the template {signals.describe(status)} before it had loaded the application"
            details = template.report.take()  # the stacks, where it was a fault
            failure = template.failure or (EXIT_BOOT, f"{why}\n{details}".rstrip())
            for birth in list(self._waiting):
                if (birth.new and self._renewing) == (template is self._next):
                    self._lose(birth, failure)
        elif template.state == ENDING:
            self._log.debug(ended)
        else:
            self._log.warning(
                f"{ended}; a new one starts when a worker is wanted",
                details=template.report.take(),
            )
        if template.birth is not None:
            self._strays.append(template.birth.family)
            self._try_again(template.birth, f"{ended} while it forked a worker")
            template.birth = None
        template.release()
        if template is self._current:
            self._current = None
        elif template is self._next:
            self._next = None
        else:
            self._former.remove(template)
        self._adopt_no_more()

    def _try_again(self, birth: Birth, why: str) -> None:
        """The template has died over it, which need not have to do with it, but may."""
        failure = EXIT_BOOT, why
        if not birth.again:
            try:
                birth.repeat()
            except BootError as exc:
                failure = EXIT_BOOT, str(exc)
            else:
                self._fleet.greet(birth.worker)
                self._waiting.append(birth)
                return
        self._give_up(birth.worker, failure)

    def _retire(self, template: Template) -> None:
        template.end(time.monotonic())
        self._former.append(template)

    def _lose(self, birth: Birth, failure: tuple[int, str] | None) -> None:
        self._waiting.remove(birth)
        birth.close()
        self._give_up(birth.worker, failure)

    def _give_up(self, worker: Worker, failure: tuple[int, str] | None) -> None:
        worker.failure = worker.failure or failure
        self._lost.append(worker)


def _number(text: bytes) -> int:
    """Return a process id, 0 for anything else."""
    return int(text) if text.isdigit() and len(text) < 12 else 0
