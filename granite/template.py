"""The template of `preload`: it loads the application once, and forks the workers from itself.

Owns its process, and the fork. Must not know how the arbiter manages workers, nor anything of the
application but how it is loaded. Main thread of the template; in a forked worker it hands over to
`granite.worker`.

Theory of operation. Everything that is the same in all workers is done here, before any fork: files
are read, privileges given up, the application is imported. What a fork cannot share is not made
before: an event loop, a thread, what secures connections. Then the template waits for orders of the
arbiter, one at a time. A worker is to be the arbiter's child, which waits for it and is told how it
ended: so it is forked by a process between the two (`granite.birth`), and

    FORK → (both forks) → FORKED → (the arbiter adopts orphans) → ADOPTS → (the one in between ends)
    → ORPHANED

so that the arbiter knows by number whatever may become its child, whoever dies meanwhile. The
worker's sockets come with the order; nothing that a worker holds stays open here.

The template ends when it is told to, and when the arbiter has ended. The functions that the
application has registered for the end of its process (`atexit`) run in the workers alone.
"""

from __future__ import annotations

import gc
import os
import select

from granite import log, process, worker
from granite._core.errorlog import error_log
from granite.arbiter import signals
from granite.arbiter.channel import RENEW, Reporter
from granite.arbiter.fork import flush_streams
from granite.arbiter.orders import ADOPTS, END, FORK, FORKED, ORPHANED, REFUSED, REOPEN, Order
from granite.birth import fork_orphan
from granite.errors import EXIT_OK, BootError, GraniteError
from granite.interfaces.choice import choose
from granite.link import Witness
from granite.preparation import keep, load, load_interface, settle
from granite.sharing import Census

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from granite.arbiter.channel import Message
    from granite.arbiter.start import WorkerStart
    from granite.interfaces.choice import Application
    from granite.secure import KeyMaterial
else:
    import _signal

__all__ = ["main"]

# Signals that mean something to an application that waits for its end, and nothing to a template.
_ENDINGS = (_signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)


def main(start: WorkerStart, thresholds: tuple[int, int, int]) -> int:
    """Be the template, and after a fork the worker; return that one's exit status, or that of a
    template which could not load the application.

    `thresholds` are those of the garbage collector, to be set when the application is loaded.
    """
    importing = gc.get_threshold()
    signals.reset_in_child(_ignore)
    Witness(start.report, _do_nothing).install()
    arbiter = Reporter(start.channel)
    start.titles.template()
    try:
        # Files are opened, and read, as whoever started the server.
        log.configure(start.config, process.owner(start.identity))
        material = settle(start)
        application = _load(start)
    except GraniteError as exc:
        arbiter.failed(exc.exit_code, exc.report)
        return exc.exit_code
    # No collection before: what it frees is in pages that are shared, where every worker would put
    # objects of its own.
    keep(importing, thresholds)
    order = _Template(arbiter, material).run()
    if start.report >= 0:
        os.close(start.report)
    return worker.resume(_worker_start(start, order), application, material)


def _load(start: WorkerStart) -> Application:
    """Return the application, and log what workers cannot share of what it has made. What serves it
    is loaded, too.
    """
    census = Census()
    app = load(start)
    for remark in census.remarks():
        error_log.warning("%s", remark)
    application = choose(app, start.config.interface)
    load_interface(application.interface, start.config.loop)
    return application


def _worker_start(start: WorkerStart, order: Order) -> WorkerStart:
    face = None
    if start.server is not None:
        start.server.worker_age = order.age - 1
        face = start.server.new_worker()
    return start.of_worker(order.index, order.listeners, order.channel, order.report, face)


class _Template:
    """The template's loop. `arbiter` is the channel to it, `material` what workers will show."""

    def __init__(self, arbiter: Reporter, material: KeyMaterial | None) -> None:
        self._arbiter = arbiter
        self._material = material
        self._handlers = {number: _signal.getsignal(number) for number in _ENDINGS}
        self._messages: list[Message] = []
        self._ending = False

    def run(self) -> Order:
        """Follow orders until the process is to end; return in a worker, with its order."""
        # A terminal sends these to the whole tree: what follows is the arbiter's to say.
        for number in (_signal.SIGINT, _signal.SIGQUIT):
            _signal.signal(number, _ignore)
        _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
        self._arbiter.ready()
        while (found := self._next(FORK)) is not None:
            try:
                order = Order.read(*found[1:])
            except BootError as exc:
                self._arbiter.send(REFUSED, str(exc).encode())
                continue
            if self._follow(order):
                return order
        flush_streams()
        os._exit(EXIT_OK)

    def _next(self, wanted: bytes) -> Message | None:
        """Wait for a message of a kind, and do what others say; return None if there will not be
        one: the process is to end, after what it is about.
        """
        poll = select.poll()
        poll.register(self._arbiter.fd, select.POLLIN)
        while True:
            while self._messages:
                message = self._messages.pop(0)
                kind = message[0]
                if kind == wanted:
                    return message
                if kind == REOPEN:
                    log.reopen()
                elif kind == RENEW:
                    self._renew(*message[1:])
                elif kind == END:
                    self._ending = True
            if self._arbiter.gone or (self._ending and wanted == FORK):
                return None
            poll.poll()
            self._messages += self._arbiter.receive()

    def _renew(self, paths: bytes, fds: list[int]) -> None:
        try:
            if self._material is not None:
                self._material.renew(paths, fds)
        except BootError as exc:
            error_log.error("%s", exc)
        for fd in fds:
            os.close(fd)

    def _follow(self, order: Order) -> bool:
        """Fork a worker; return True in it."""
        answer, payload = REFUSED, b""
        birth = None
        try:
            birth = fork_orphan()
        except BootError as exc:
            payload = str(exc).encode()
        else:
            if birth is None:
                self._become_worker()
                return True
            answer, payload = FORKED, b"%d %d" % (birth.pid, birth.between)
        for fd in order.fds():
            os.close(fd)
        self._arbiter.send(answer, payload)
        if birth is not None:
            self._next(ADOPTS)
            birth.orphan()
            self._arbiter.send(ORPHANED)
        return False

    def _become_worker(self) -> None:
        self._arbiter.close()
        for number, handler in self._handlers.items():
            if handler is not None:  # else it was installed by something other than Python
                _signal.signal(number, handler)


def _do_nothing() -> None:
    """It has no hook to call."""


def _ignore(number: int, frame: object) -> None:
    """Do nothing. Unlike what is ignored by the system, a program that the application starts does
    not inherit it.
    """
