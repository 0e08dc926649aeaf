"""A worker's life: after the fork → load the application → serve → drain → exit.

Owns the process: its signals, its log, its exit status, and the tie to the arbiter. Must not know
how the arbiter manages workers, nor how serving works inside. Main thread of the worker process.
"""

from __future__ import annotations

import gc
import os

from granite import log, process
from granite.arbiter import signals
from granite.arbiter.channel import Reporter
from granite.duty import Duty, LogReopener, call_hook, try_hook
from granite.errors import GraniteError
from granite.event_loops import EarlyLoop
from granite.interfaces.choice import Application, choose
from granite.link import Witness
from granite.preparation import keep, load, load_interface, settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from granite._core.tls import TlsContext
    from granite.arbiter.start import WorkerStart
    from granite.secure import KeyMaterial
else:
    import _signal

__all__ = ["main", "resume"]


def main(start: WorkerStart, thresholds: tuple[int, int, int]) -> int:
    """Be the worker; return the process's exit status.

    `thresholds` are those of the garbage collector, to be set when the application is loaded.
    """
    importing = gc.get_threshold()
    reopener = LogReopener()
    signals.reset_in_child(reopener)
    witness = _witness(start)

    def prepare(early: EarlyLoop) -> tuple[TlsContext | None, Application]:
        # Files are opened as whoever started the server.
        log.configure(start.config, process.owner(start.identity))
        call_hook(start, "post_fork", start.server, start.worker)
        material = settle(start)
        secure = material.context() if material is not None else None
        # The loop does not run while the application is loaded, which may run its own.
        with early:
            application = _load_or_explain(start, early)
        load_interface(application.interface, start.config.loop)
        keep(importing, thresholds)
        return secure, application

    return _live(start, prepare, reopener, witness)


def resume(start: WorkerStart, application: Application, material: KeyMaterial | None) -> int:
    """Be a worker that a template has forked, where the application is loaded and `material` read;
    return the process's exit status.
    """
    reopener = LogReopener()
    _signal.signal(_signal.SIGUSR1, reopener)
    witness = _witness(start)
    signals.unblock()

    def prepare(early: EarlyLoop) -> tuple[TlsContext | None, Application]:
        log.take_over()
        call_hook(start, "post_fork", start.server, start.worker)
        secure = material.context() if material is not None else None
        _complete(start, application, early)
        return secure, application

    return _live(start, prepare, reopener, witness)


def _live(
    start: WorkerStart,
    prepare: Callable[[EarlyLoop], tuple[TlsContext | None, Application]],
    reopener: LogReopener,
    witness: Witness,
) -> int:
    """Serve what `prepare` returns, which may raise GraniteError, until the worker's end."""
    reporter = Reporter(start.channel)
    early = EarlyLoop(start.config.interface, start.config.loop)
    try:
        _introduce(start)
        secure, application = prepare(early)
        duty = Duty(start, reporter, reopener, witness, secure)
        if application.is_async:
            from granite import worker_async

            return worker_async.serve(duty, application, early.get())
        from granite import worker_wsgi

        return worker_wsgi.serve(duty, application)
    except GraniteError as exc:
        reporter.failed(exc.exit_code, exc.report)
        return exc.exit_code
    finally:
        signals.end_in_child()
        early.close()
        _say_goodbye(start)


def _witness(start: WorkerStart) -> Witness:
    witness = Witness(start.report, lambda: _aborted(start))
    witness.install()
    return witness


def _introduce(start: WorkerStart) -> None:
    start.titles.worker(start.index)
    if start.worker is not None:
        start.worker.pid = os.getpid()


def _load_or_explain(start: WorkerStart, early: EarlyLoop) -> Application:
    """Return the application, or where files are watched and it cannot be loaded, the page that
    tells of it.
    """
    if not start.config.reload:
        return _load(start, early)
    from granite import development

    development.prepare()
    try:
        return _load(start, early)
    except GraniteError as exc:
        return Application(development.ErrorPage(exc), "asgi")


def _load(start: WorkerStart, early: EarlyLoop) -> Application:
    application = choose(load(start), start.config.interface)
    _complete(start, application, early)
    return application


def _complete(start: WorkerStart, application: Application, early: EarlyLoop) -> None:
    """Do with the application what comes before it is served, and before the loop runs; raises
    HookError, LifespanError, BootError.
    """
    if start.worker is not None:
        start.worker.loaded(application.app)
        call_hook(start, "post_worker_init", start.worker)
        start.worker.booted = True
        if "pre_request" in start.hooks or "post_request" in start.hooks:
            from granite.request_hooks import wrap

            application.call = wrap(
                application.call, application.interface, start.hooks, start.worker
            )
    if application.is_async:
        application.begin(early.get())


def _say_goodbye(start: WorkerStart) -> None:
    if start.worker is not None:
        start.worker.alive = False
        try_hook(start, "worker_exit", start.server, start.worker)


def _aborted(start: WorkerStart) -> None:
    if start.worker is not None:
        start.worker.aborted = True
        try_hook(start, "worker_abort", start.worker)
