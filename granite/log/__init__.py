"""Where log lines go and how they look.

Owns the formats and destinations of the error log and the access log, and two writers that share
them: `Log`, and the handlers of the stdlib loggers "granite.error" and "granite.access". `Log` does
without `logging`, whose import would cost a process 2 MiB: the arbiter uses it, and a worker until
its program imports `logging`. Must not know what is logged. Any thread may log.
"""

from __future__ import annotations

import sys

from granite.imports import AfterImport
from granite.log.sinks import close, take_over
from granite.log.writer import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.log.sinks import Sink
    from granite.settings.config import Config

__all__ = ["Log", "access_sink", "close", "configure", "reopen", "take_over", "write_error"]


def write_error(text: str) -> None:
    """Write a line to standard error at once; one that is closed or full loses it."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass


def configure(config: Config, owner: tuple[int, int] | None = None) -> None:
    """Give a worker its error log, which from the import of `logging` on is that of the stdlib
    loggers with their handlers; or apply `log_config`.

    Of other loggers none is touched unless `log_config` names it. `owner`, a user's and a group's
    id, gets the files that are created on the way, where this process may give them away. What the
    arbiter has opened before the fork is taken over. Raises BootError if a destination cannot be
    opened, UsageError if `log_config` is wrong.
    """
    from granite._core.errorlog import error_log

    def by_logging() -> None:
        from granite.log import handlers

        handlers.configure(config, owner)
        error_log.writer = None

    if config.log_config is not None or "logging" in sys.modules:
        by_logging()
        return
    error_log.writer = Log(config, owner)
    AfterImport(("logging",), by_logging).begin()


def access_sink() -> Sink | None:
    """Return where the access log of this process goes, if the logger "granite.access" does nothing
    but write there: no configuration of the program's has given it other handlers or filters.
    """
    from granite._core.errorlog import error_log

    if error_log.writer is not None:
        sink: Sink | None = error_log.writer.access_sink
        return sink
    from granite.log import handlers

    return handlers.access_sink()


def reopen() -> None:
    """Open the files of this process again, after they were moved away; one that cannot be opened
    stays as it is, and that is logged.
    """
    from granite._core.errorlog import error_log

    if error_log.writer is not None:
        error_log.writer.reopen()
        return
    from granite.log import handlers

    handlers.reopen()
