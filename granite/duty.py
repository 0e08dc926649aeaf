"""What a worker does while it serves, whatever the event loop: the signals, the log, the tie to the
arbiter, the sockets.

Owns what happens when a signal comes, and the order of the steps in which a worker opens. Must not
know how it started, nor how serving works inside. On the event loop of the worker's main thread.
"""

from __future__ import annotations

import os

from granite import log
from granite._core.errorlog import error_log
from granite.errors import EXIT_BOOT, GraniteError
from granite.link import Link, most_requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any

    from granite._core.tls import TlsContext
    from granite.arbiter.channel import Reporter
    from granite.arbiter.start import WorkerStart
    from granite.link import AnyLoop, Witness
    from granite.serving import Serving
else:
    import _signal

__all__ = ["Duty", "LogReopener", "call_hook", "try_hook"]


class LogReopener:
    """The handler of SIGUSR1. Log files are not exchanged in the middle of whatever runs when it
    comes, but on the event loop, once that is there.
    """

    def __init__(self) -> None:
        self._asked = False
        self._loop: AnyLoop | None = None

    def __call__(self, number: int, frame: object) -> None:
        """Reopen the files, or note that this was asked for."""
        if self._loop is None:
            self._asked = True
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(log.reopen)

    def use(self, loop: AnyLoop) -> None:
        """Reopen on `loop`, which runs, from now on, and what was asked for before at once.

        The loop watches other signals; it does not watch this one, since it would give it back its
        default action, which kills, before the process has ended.
        """
        self._loop = loop
        _signal.signal(_signal.SIGUSR1, self)  # the application's import may have changed it
        if self._asked:
            log.reopen()


class Duty:
    """One worker's, from when its application is loaded. `secure` makes connections TLS."""

    def __init__(
        self,
        start: WorkerStart,
        reporter: Reporter,
        reopener: LogReopener,
        witness: Witness,
        secure: TlsContext | None,
    ) -> None:
        self.start = start
        self.config = start.config
        self.reporter = reporter
        self.witness = witness
        self._reopener = reopener
        self._secure = secure
        self._link: Link | None = None
        self._interrupts = 0

    def begin(self, loop: AnyLoop, stop: Callable[[], object], hurry: Callable[[], object]) -> None:
        """Be there for signals and the arbiter, on `loop`: they call `stop`, and `hurry` behind it
        where the end is not to wait for anything.
        """

        def on_interrupt() -> None:
            # A terminal sends it to the whole tree, and the arbiter's SIGTERM follows: only a
            # second SIGINT is impatience.
            self._interrupts += 1
            stop()
            if self._interrupts > 1:
                hurry()
            self._interrupted()

        def on_quit() -> None:
            stop()
            hurry()
            self._interrupted()

        loop.add_signal_handler(_signal.SIGTERM, stop)
        loop.add_signal_handler(_signal.SIGINT, on_interrupt)
        loop.add_signal_handler(_signal.SIGQUIT, on_quit)
        self._reopener.use(loop)
        self.witness.install()
        self._link = Link(loop, self.reporter, self.config, stop, self._renew)

    def of_serving(self) -> dict[str, Any]:
        """Return what a `Serving` is told by the worker."""
        assert self._link is not None
        return {
            "secure": self._secure,
            "max_requests": most_requests(self.config),
            "on_max_requests": self._link.recycle,
            "worker": self.start.index,
        }

    def open(self, serving: Serving) -> bool:
        """Accept connections, and tell the arbiter that the worker is ready; return False where
        that fails, which it is told as well. Raises GraniteError.
        """
        assert self._link is not None
        self.witness.serving = serving
        try:
            # Not earlier: of an application that cannot start, one line tells.
            serving.tell_interface()
            serving.share(self.start.index, self.start.sharing)
            serving.accept(self.start.listeners)
            # In the same step: nobody is answered by a worker that is not known to be ready.
            self._link.start(serving)
        except GraniteError:
            raise
        except Exception:
            self.tell_failure()
            return False
        if self.config.reload:
            self._tell_broken(serving.application.app)
        for listener in self.start.listeners:
            os.close(listener)
        return True

    def tell_failure(self) -> int:
        """Tell the arbiter of the exception that is being handled; return the exit status."""
        import traceback

        what = f"the server could not start\n{traceback.format_exc().rstrip()}"
        self.reporter.failed(EXIT_BOOT, what)
        return EXIT_BOOT

    def draining(self) -> None:
        """Tell the arbiter that no more connections are accepted."""
        assert self._link is not None
        self._link.draining()

    def end(self) -> None:
        """Tell the arbiter the last, and nothing more."""
        assert self._link is not None
        self._link.stop()

    def _renew(self, paths: bytes, fds: list[int]) -> None:
        from granite.secure import renew

        assert self._secure is not None
        renew(self._secure, self.config, paths, fds)

    def _tell_broken(self, app: Any) -> None:
        from granite.development import ErrorPage

        if isinstance(app, ErrorPage):
            self.reporter.broken(app.report)

    def _interrupted(self) -> None:
        worker = self.start.worker
        if worker is not None and worker.alive:  # once, as it ends the worker
            worker.alive = False
            try_hook(self.start, "worker_int", worker)


def call_hook(start: WorkerStart, name: str, *arguments: object) -> None:
    """Call a hook, if there are any; raises HookError."""
    if start.server is not None:
        from granite.hooks import call

        call(start.hooks, name, *arguments)


def try_hook(start: WorkerStart, name: str, *arguments: object) -> None:
    """Call a hook at a time when nobody can be stopped by its failure, which is logged."""
    try:
        call_hook(start, name, *arguments)
    except GraniteError as exc:
        error_log.error("%s", exc, exc_info=exc.__cause__)
