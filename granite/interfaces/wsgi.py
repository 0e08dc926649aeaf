"""The Python half of WSGI (PEP 3333): what every environ has.

Owns the constant part of the environ, and the stream `wsgi.errors`. Must not know how requests are
served. The stream is written to by any thread.
"""

from __future__ import annotations

from _thread import allocate_lock

from granite import __version__
from granite._core.errorlog import error_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from granite.settings.config import Config

__all__ = ["ErrorStream", "constants"]

_ERROR = 40  # logging.ERROR


class ErrorStream:
    """`wsgi.errors`: what is written becomes records of the error log, each of them what has been
    written up to the end of a line. Of several lines, such as a traceback, the first is the
    message.
    """

    def __init__(self) -> None:
        self._begun = ""
        self._lock = allocate_lock()

    def write(self, text: str) -> int:
        """Log the lines that are complete with this; return the number of characters."""
        with self._lock:
            lines, end, rest = (self._begun + text).rpartition("\n")
            self._begun = rest
        if end:
            first, _, others = lines.partition("\n")
            error_log.detailed(_ERROR, "%s", first, details=others)  # where tracebacks are
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Do nothing: a line is logged when it is complete."""


def constants(config: Config, stopping: object) -> dict[str, Any]:
    """Return what the environ of every request says of the process. `stopping` says by `is_set()`
    that the server is going to stop.
    """
    return {
        "wsgi.errors": ErrorStream(),
        "wsgi.multithread": (config.blocking_threads or 1) > 1,
        "wsgi.multiprocess": config.workers > 1,
        "wsgi.run_once": False,
        "SERVER_SOFTWARE": f"granite/{__version__}",
        "granite.stopping": stopping,
    }
