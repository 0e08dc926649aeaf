"""Where log lines go and how they look.

Owns the formats and destinations of the error log and the access log, and two writers that share
them: `Log`, which the arbiter uses, and the handlers of the stdlib loggers "granite.error" and
"granite.access", which a worker uses. The arbiter's does without `logging`, whose import would cost
its process 2 MiB. Must not know what is logged. A `Log` is used by one thread; `logging` locks by
itself.
"""

from __future__ import annotations

import sys

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
    """Give the stdlib loggers of a worker their handlers, or apply `log_config`.

    Of other loggers none is touched unless `log_config` names it. `owner`, a user's and a group's
    id, gets the files that are created on the way, where this process may give them away. What the
    arbiter has opened before the fork is taken over. Raises BootError if a destination cannot be
    opened, UsageError if `log_config` is wrong.
    """
    from granite.log import handlers

    handlers.configure(config, owner)


def access_sink() -> Sink | None:
    """Return where the access log of this process goes, if the logger "granite.access" does nothing
    but write there: no configuration of the program's has given it other handlers or filters.
    """
    from granite.log import handlers

    return handlers.access_sink()


def reopen() -> None:
    """Open the files of this process again, after they were moved away; one that cannot be opened
    stays as it is, and that is logged.
    """
    from granite.log import handlers

    handlers.reopen()
