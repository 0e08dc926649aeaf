"""Forking in the middle of somebody's program: what keeps the program unharmed by it.

Owns what a program that calls `Granite.serve()` may expect: that its code behind the call runs
once, in the process that called, with its own signal handlers; that workers end without its exit
functions, and with those of the application. Must not know settings nor processes. Main thread, in
the arbiter and, from the fork on, in each worker.
"""

from __future__ import annotations

import os
import sys

from granite.errors import EXIT_BOOT, GraniteError, UsageError
from granite.log import write_error
from granite.settings.rules import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn

    from granite.settings.load import Loaded
else:
    import _signal  # the signal module loads enum, which an arbiter does without

__all__ = ["check_place", "serve", "show_errors_in_one_line", "thread_notes"]


def check_place() -> None:
    """Raise UsageError where the calling program cannot serve."""
    if "granite.worker" in sys.modules:  # which nothing but a worker imports
        raise UsageError(
            "serve() was called in a worker, by the import of the application: put the call under "
            'if __name__ == "__main__"'
        )
    threading = sys.modules.get("threading")
    if threading is not None and threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "serve() was called on another thread than the main one, which alone gets signals; "
            "granite.Server serves on the event loop of any thread"
        )
    events = sys.modules.get("asyncio.events")
    if events is not None and events._get_running_loop() is not None:
        raise UsageError(
            "serve() was called inside of a running event loop, which it would block; "
            "use granite.Server there"
        )


def thread_notes() -> list[Note]:
    """Return a remark for the log where the program has threads, which no fork takes along."""
    threading = sys.modules.get("threading")
    if threading is None or threading.active_count() < 2:
        return []
    main = threading.main_thread()
    names = ", ".join(thread.name for thread in threading.enumerate() if thread is not main)
    return [
        Note(
            "warning",
            f"threads run in this program ({names}): the workers are forked without them, and what "
            "they hold locked stays locked there; start them in the application instead",
        )
    ]


def serve(loaded: Loaded, load_target: Callable[[], object] | None) -> int:
    """Serve; return the status of `granite run`, after what went wrong has been written. Workers
    end in here.
    """
    from granite import launch

    arbiter = os.getpid()
    give_back = _signal_handlers()
    _Worker.expect(True)
    try:
        status = launch.serve(loaded, load_target)
    except GraniteError as exc:
        write_error(f"granite: {exc.report}")
        status = exc.exit_code
    except BaseException as exc:
        if os.getpid() == arbiter:
            give_back()
            raise
        status = _died_of(exc)
    finally:
        _Worker.expect(False)
    if os.getpid() != arbiter:
        _Worker.end(status)
    give_back()
    return status


def _signal_handlers() -> Callable[[], None]:
    """Return a function that gives the program's signals the handlers that they have now."""
    handlers = {number: _signal.getsignal(number) for number in _signal.valid_signals()}

    def give_back() -> None:
        for number, handler in handlers.items():
            # None: installed by something other than Python.
            if handler is not None and _signal.getsignal(number) is not handler:
                _signal.signal(number, handler)

    return give_back


class _Worker:
    """What is different in a forked worker: it has exit functions of its own, and ends here."""

    # Whether a fork of this process makes a worker.
    _expected = False
    _watching = False

    @classmethod
    def expect(cls, expected: bool) -> None:
        """Say whether the children that are forked from now on are workers."""
        if not cls._watching:
            os.register_at_fork(after_in_child=cls._forked)
            cls._watching = True
        cls._expected = expected

    @classmethod
    def _forked(cls) -> None:
        if not cls._expected:
            return
        cls._expected = False
        import atexit

        # The program's own functions would delete what it still uses.
        atexit._clear()
        for module, function in (
            ("logging", "shutdown"),
            ("multiprocessing.util", "_exit_function"),
        ):
            if module in sys.modules:
                atexit.register(getattr(sys.modules[module], function))

    @staticmethod
    def end(status: int) -> NoReturn:
        """End the process as the interpreter would at the end of a program, without going back
        through the frames of the caller.
        """
        import atexit

        try:
            if "threading" in sys.modules:
                sys.modules["threading"]._shutdown()
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        finally:
            os._exit(status)


def _died_of(exc: BaseException) -> int:
    if isinstance(exc, SystemExit):
        if exc.code is None or isinstance(exc.code, int):
            return (exc.code or 0) & 0xFF
        write_error(str(exc.code))
        return EXIT_BOOT
    sys.excepthook(type(exc), exc, exc.__traceback__)
    return EXIT_BOOT


def show_errors_in_one_line() -> None:
    """Have a GraniteError that nothing catches end the program as it ends `granite run`."""
    if getattr(sys.excepthook, "shows_granite_errors", False):
        return
    usual = sys.excepthook

    def show(kind: type[BaseException], exc: BaseException, tb: TracebackType | None) -> None:
        if isinstance(exc, GraniteError):
            write_error(f"granite: {exc}")
            raise SystemExit(exc.exit_code)
        usual(kind, exc, tb)

    show.shows_granite_errors = True  # type: ignore[attr-defined]
    sys.excepthook = show
