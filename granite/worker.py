"""A worker's life: after the fork → load the application → serve → drain → exit.

Owns the process: its signals, its log, its exit status, and the tie to the arbiter. Must not know
how the arbiter manages workers, nor how serving works inside. Main thread of the worker process.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from granite import environment, log, process
from granite.arbiter import signals
from granite.arbiter.channel import Reporter
from granite.arbiter.start import WorkerStart
from granite.errors import EXIT_BOOT, EXIT_OK, GraniteError
from granite.interfaces import loading
from granite.secure import load_context
from granite.serving import Serving, new_event_loop, run

if TYPE_CHECKING:
    from granite._core.transport import SecureContext

__all__ = ["main"]


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
    reporter = Reporter(start.channel)
    try:
        secure = _settle(start)
        loop = new_event_loop(start.config.loop)
        # Before the application's import, which may ask for the loop, and outside of the loop,
        # where it may run its own.
        asyncio.set_event_loop(loop)
        app = _load(start)
        gc.freeze()  # what is loaded stays: no collection need look at it again
        if gc.get_threshold() == importing:  # else the application has chosen its own
            gc.set_threshold(*thresholds)
        return run(loop, _serve(app, secure, start, reporter, reopener))
    except GraniteError as exc:
        reporter.failed(exc.exit_code, exc.report)
        return exc.exit_code
    finally:
        signals.end_in_child()
        _say_goodbye(start)


def _settle(start: WorkerStart) -> SecureContext | None:
    """Become the process that the settings ask for, and return what makes its connections secure;
    raises GraniteError.
    """
    config = start.config
    start.titles.worker(start.index)
    if start.worker is not None:
        start.worker.pid = os.getpid()
    # Files are opened, and read, as whoever started the server.
    log.configure(config, process.owner(start.identity))
    _hook(start, "post_fork", start.server, start.worker)
    environment.load_files(config.env_files)
    secure = load_context(config)
    if start.identity is not None:
        start.identity.assume()
    environment.extend_path(config.pythonpath)
    return secure


def _load(start: WorkerStart) -> Any:
    """Return the application, as the server is to call it; raises LoadError and HookError."""
    if start.load_target is not None:
        app = loading.call(start.load_target)
    else:
        assert start.config.target is not None
        app = loading.load(start.config.target, start.config.factory)
    if start.worker is None:
        return app
    start.worker.loaded(app)
    _hook(start, "post_worker_init", start.worker)
    start.worker.booted = True
    if "pre_request" in start.hooks or "post_request" in start.hooks:
        from granite.request_hooks import wrap

        return wrap(app, start.hooks, start.worker)
    return app


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
        import logging

        logging.getLogger("granite.error").error("%s", exc, exc_info=exc.__cause__)


def _say_goodbye(start: WorkerStart) -> None:
    if start.worker is not None:
        start.worker.alive = False
        _try_hook(start, "worker_exit", start.server, start.worker)


async def _serve(
    app: Any,
    secure: SecureContext | None,
    start: WorkerStart,
    reporter: Reporter,
    reopener: _LogReopener,
) -> int:
    stop, hurry = _watch_signals(reporter, lambda: _interrupted(start))
    reopener.use(asyncio.get_running_loop())
    serving = Serving(app, start.config, secure=secure)
    starting = asyncio.ensure_future(serving.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return EXIT_OK
    try:
        starting.result()
        serving.accept(start.listeners)
        # In the same step, so that nobody is answered by a worker that is not known to be ready.
        reporter.ready()
    except GraniteError:
        raise
    except Exception:
        reporter.failed(EXIT_BOOT, f"the server could not start\n{traceback.format_exc().rstrip()}")
        await serving.stop(0.0)
        return EXIT_BOOT
    for listener in start.listeners:
        os.close(listener)
    await stopping
    await serving.stop(start.config.graceful_timeout, hurry)
    return EXIT_OK


def _interrupted(start: WorkerStart) -> None:
    if start.worker is not None and start.worker.alive:  # once, as it ends the worker
        start.worker.alive = False
        _try_hook(start, "worker_int", start.worker)


def _watch_signals(
    reporter: Reporter, interrupted: Callable[[], None]
) -> tuple[asyncio.Event, asyncio.Event]:
    """Return the events "drain" and "end at once", tied to the signals and the arbiter's life.

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

    def on_arbiter_gone() -> None:
        loop.remove_reader(reporter.fd)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    loop.add_signal_handler(signal.SIGQUIT, on_quit)
    loop.add_reader(reporter.fd, on_arbiter_gone)
    return stop, hurry
