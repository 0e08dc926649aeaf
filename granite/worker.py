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
from typing import Any

from granite import log
from granite.arbiter import signals
from granite.arbiter.arbiter import WorkerStart
from granite.arbiter.channel import Reporter
from granite.errors import EXIT_BOOT, EXIT_OK, GraniteError, LoadError
from granite.interfaces import loading
from granite.serving import Serving, new_event_loop, run

__all__ = ["main"]


def main(start: WorkerStart, thresholds: tuple[int, int, int]) -> int:
    """Be the worker; return the process's exit status.

    `thresholds` are those of the garbage collector, to be set when the application is loaded.
    """
    importing = gc.get_threshold()
    signals.restore(defaults=True)
    reporter = Reporter(start.channel)
    try:
        log.configure(start.config)
        loading.enter_working_dir(start.config.working_dir)
        loop = new_event_loop(start.config.loop)
        # Before the application's import, which may ask for the loop, and outside of the loop,
        # where it may run its own.
        asyncio.set_event_loop(loop)
        app = loading.load(start.target, start.config.factory)
        gc.freeze()  # what is loaded stays: no collection need look at it again
        if gc.get_threshold() == importing:  # else the application has chosen its own
            gc.set_threshold(*thresholds)
        return run(loop, _serve(app, start, reporter))
    except LoadError as exc:
        return _failed(reporter, exc, exc.details)
    except GraniteError as exc:
        return _failed(reporter, exc, None)


def _failed(reporter: Reporter, exc: GraniteError, details: str | None) -> int:
    reporter.failed(exc.exit_code, f"{exc}\n{details}" if details else str(exc))
    return exc.exit_code


async def _serve(app: Any, start: WorkerStart, reporter: Reporter) -> int:
    stop, hurry = _watch_signals(reporter)
    serving = Serving(app, start.config)
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


def _watch_signals(reporter: Reporter) -> tuple[asyncio.Event, asyncio.Event]:
    """Return the events "drain" and "end at once", tied to the signals and the arbiter's life."""
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

    def on_quit() -> None:
        stop.set()
        hurry.set()

    def on_arbiter_gone() -> None:
        loop.remove_reader(reporter.fd)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, on_interrupt)
    loop.add_signal_handler(signal.SIGQUIT, on_quit)
    loop.add_reader(reporter.fd, on_arbiter_gone)
    return stop, hurry
