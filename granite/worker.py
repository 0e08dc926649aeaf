"""A worker's life: after the fork → load the application → serve → drain → exit.

Owns the process: its signals, its log, its exit status, and the tie to the arbiter. Must not know
how the arbiter manages workers, nor how serving works inside. Main thread of the worker process.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from granite import log, process
from granite.arbiter import signals
from granite.arbiter.channel import Reporter
from granite.arbiter.start import WorkerStart
from granite.errors import EXIT_BOOT, EXIT_OK, GraniteError
from granite.interfaces.choice import Application, choose
from granite.link import Link, Witness, most_requests
from granite.preparation import keep, load, settle
from granite.serving import GRACE, Serving, new_event_loop, run

if TYPE_CHECKING:
    from granite._core.transport import SecureContext
    from granite.secure import KeyMaterial

__all__ = ["main", "resume"]


class _LogReopener:
    """The handler of SIGUSR1. Log files are not exchanged in the middle of whatever runs when it
    comes, but on the event loop, once that is there.
    """

    def __init__(self) -> None:
        self._asked = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, number: int, frame: object) -> None:
        if self._loop is None:
            self._asked = True
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(log.reopen)

    def use(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reopen on `loop`, which runs, from now on, and what was asked for before at once.

        The loop watches other signals; it does not watch this one, since it would give it back its
        default action, which kills, before the process has ended.
        """
        self._loop = loop
        signal.signal(signal.SIGUSR1, self)  # the application's import may have changed it
        if self._asked:
            log.reopen()


def main(start: WorkerStart, thresholds: tuple[int, int, int]) -> int:
    """Be the worker; return the process's exit status.

    `thresholds` are those of the garbage collector, to be set when the application is loaded.
    """
    importing = gc.get_threshold()
    reopener = _LogReopener()
    signals.reset_in_child(reopener)
    witness = _witness(start)

    def prepare() -> tuple[asyncio.AbstractEventLoop, SecureContext | None, Application]:
        # Files are opened as whoever started the server.
        log.configure(start.config, process.owner(start.identity))
        _hook(start, "post_fork", start.server, start.worker)
        material = settle(start)
        secure = material.context() if material is not None else None
        # Before the application's import, which may ask for the loop.
        loop = _open_loop(start)
        application = _load_or_explain(start, loop)
        keep(importing, thresholds)
        return loop, secure, application

    return _live(start, prepare, reopener, witness)


def resume(start: WorkerStart, app: Any, material: KeyMaterial | None) -> int:
    """Be a worker that a template has forked, where the application `app` is loaded and `material`
    read; return the process's exit status.
    """
    reopener = _LogReopener()
    signal.signal(signal.SIGUSR1, reopener)
    witness = _witness(start)
    signals.unblock()

    def prepare() -> tuple[asyncio.AbstractEventLoop, SecureContext | None, Application]:
        log.take_over()
        _hook(start, "post_fork", start.server, start.worker)
        secure = material.context() if material is not None else None
        loop = _open_loop(start)
        return loop, secure, _complete(start, app, loop)

    return _live(start, prepare, reopener, witness)


def _live(
    start: WorkerStart,
    prepare: Callable[[], tuple[asyncio.AbstractEventLoop, SecureContext | None, Application]],
    reopener: _LogReopener,
    witness: Witness,
) -> int:
    """Serve what `prepare` returns, which may raise GraniteError, until the worker's end."""
    reporter = Reporter(start.channel)
    try:
        _introduce(start)
        loop, secure, application = prepare()
        serving = _serve(application, secure, start, reporter, reopener, witness)
        return run(loop, serving, application)
    except GraniteError as exc:
        reporter.failed(exc.exit_code, exc.report)
        return exc.exit_code
    finally:
        signals.end_in_child()
        _say_goodbye(start)


def _witness(start: WorkerStart) -> Witness:
    witness = Witness(start.report, lambda: _aborted(start))
    witness.install()
    return witness


def _introduce(start: WorkerStart) -> None:
    start.titles.worker(start.index)
    if start.worker is not None:
        start.worker.pid = os.getpid()


def _open_loop(start: WorkerStart) -> asyncio.AbstractEventLoop:
    """Make the event loop. It does not run while the application is loaded, which may run its own.
    Raises BootError.
    """
    loop = new_event_loop(start.config.loop)
    asyncio.set_event_loop(loop)
    return loop


def _load_or_explain(start: WorkerStart, loop: asyncio.AbstractEventLoop) -> Application:
    """Return the application, or where files are watched and it cannot be loaded, the page that
    tells of it.
    """
    if not start.config.reload:
        return _load(start, loop)
    from granite import development

    development.prepare()
    try:
        return _load(start, loop)
    except GraniteError as exc:
        return Application(development.ErrorPage(exc), "asgi")


def _load(start: WorkerStart, loop: asyncio.AbstractEventLoop) -> Application:
    return _complete(start, load(start), loop)


def _complete(start: WorkerStart, app: Any, loop: asyncio.AbstractEventLoop) -> Application:
    """Return the application that is loaded as the server is to call it, with what it does before
    the loop runs behind it; raises LoadError, HookError, LifespanError.
    """
    application = choose(app, start.config.interface)
    if start.worker is not None:
        start.worker.loaded(app)
        _hook(start, "post_worker_init", start.worker)
        start.worker.booted = True
        if "pre_request" in start.hooks or "post_request" in start.hooks:
            from granite.request_hooks import wrap, wrap_rsgi

            wrapped = wrap_rsgi if application.interface == "rsgi" else wrap
            application.call = wrapped(application.call, start.hooks, start.worker)
    application.begin(loop)
    return application


def _hook(start: WorkerStart, name: str, *arguments: object) -> None:
    """Call a hook; raises HookError."""
    if start.server is not None:
        from granite.hooks import call

        call(start.hooks, name, *arguments)


def _try_hook(start: WorkerStart, name: str, *arguments: object) -> None:
    """Call a hook at a time when nobody can be stopped by its failure, which is logged."""
    try:
        _hook(start, name, *arguments)
    except GraniteError as exc:
        logging.getLogger("granite.error").error("%s", exc, exc_info=exc.__cause__)


def _say_goodbye(start: WorkerStart) -> None:
    if start.worker is not None:
        start.worker.alive = False
        _try_hook(start, "worker_exit", start.server, start.worker)


async def _serve(
    application: Application,
    secure: SecureContext | None,
    start: WorkerStart,
    reporter: Reporter,
    reopener: _LogReopener,
    witness: Witness,
) -> int:
    stop, hurry = _watch_signals(lambda: _interrupted(start))
    reopener.use(asyncio.get_running_loop())
    witness.install()
    link = Link(reporter, start.config, stop.set)

    async def begin(application: Application) -> Serving:
        serving = Serving(
            application,
            start.config,
            secure=secure,
            max_requests=most_requests(start.config),
            on_max_requests=lambda: link.recycle(),
            worker=start.index,
        )
        await serving.start()
        return serving

    starting = asyncio.ensure_future(
        _or_explain(begin, application) if start.config.reload else begin(application)
    )
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return EXIT_OK
    serving: Serving | None = None
    try:
        serving = witness.serving = starting.result()
        # Not earlier: of an application that cannot start, one line tells.
        serving.tell_interface()
        serving.share(start.index, start.sharing)
        serving.accept(start.listeners)
        # In the same step, so that nobody is answered by a worker that is not known to be ready.
        link.start(serving)
    except GraniteError:
        raise
    except Exception:
        reporter.failed(EXIT_BOOT, f"the server could not start\n{traceback.format_exc().rstrip()}")
        if serving is not None:
            await serving.stop(0.0)
        return EXIT_BOOT
    if start.config.reload:
        _tell_broken(serving.application.app, reporter)
    for listener in start.listeners:
        os.close(listener)
    await stopping
    await serving.stop(start.config.graceful_timeout, hurry, GRACE, link.draining)
    link.stop()
    return EXIT_OK


async def _or_explain(
    begin: Callable[[Application], Awaitable[Serving]], application: Application
) -> Serving:
    """Serve the application, or the page that tells why it cannot be."""
    from granite.development import ErrorPage

    try:
        return await begin(application)
    except GraniteError as exc:
        return await begin(Application(ErrorPage(exc), "asgi"))


def _tell_broken(app: Any, reporter: Reporter) -> None:
    from granite.development import ErrorPage

    if isinstance(app, ErrorPage):
        reporter.broken(app.report)


def _interrupted(start: WorkerStart) -> None:
    if start.worker is not None and start.worker.alive:  # once, as it ends the worker
        start.worker.alive = False
        _try_hook(start, "worker_int", start.worker)


def _aborted(start: WorkerStart) -> None:
    if start.worker is not None:
        start.worker.aborted = True
        _try_hook(start, "worker_abort", start.worker)


def _watch_signals(interrupted: Callable[[], None]) -> tuple[asyncio.Event, asyncio.Event]:
    """Return the events "drain" and "end at once", tied to the signals.

    `interrupted` is called at each SIGINT and SIGQUIT.
    """
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()
    interrupts = 0

    def on_interrupt() -> None:
        # A terminal sends it to the whole tree, and the arbiter's SIGTERM follows: only a second
        # SIGINT is impatience.
        nonlocal interrupts
        interrupts += 1
        stop.set()
        if interrupts > 1:
            hurry.set()
        interrupted()

    def on_quit() -> None:
        stop.set()
        hurry.set()
        interrupted()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    loop.add_signal_handler(signal.SIGQUIT, on_quit)
    return stop, hurry
