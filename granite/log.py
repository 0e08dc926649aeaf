"""Where log lines go and how they look.

Owns the format, for both writers: `Log`, which the arbiter uses, and the handlers of the stdlib
loggers "granite.error" and "granite.access", which a worker uses. The arbiter's does without
`logging`, whose import would cost its process 2 MiB. Must not know what is logged. A `Log` is used
by one thread; `logging` locks by itself.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.config import Config

__all__ = ["Log", "configure"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_TIME = "%Y-%m-%d %H:%M:%S"


class Log:
    """Write lines of at least the severity `level` (a value of the setting `log_level`) to standard
    error.
    """

    def __init__(self, level: str) -> None:
        self._least = _LEVELS[level]

    def debug(self, text: str) -> None:
        """Write a line of severity debug."""
        self._write("debug", text)

    def info(self, text: str) -> None:
        """Write a line of severity info."""
        self._write("info", text)

    def warning(self, text: str) -> None:
        """Write a line of severity warning."""
        self._write("warning", text)

    def error(self, text: str) -> None:
        """Write a line of severity error."""
        self._write("error", text)

    def _write(self, level: str, text: str) -> None:
        if _LEVELS[level] >= self._least:
            write_error(f"{time.strftime(_TIME)} [{os.getpid()}] {level}: {text}")


def write_error(text: str) -> None:
    """Write a line to standard error at once; one that is closed or full loses it."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass


def configure(config: Config) -> None:
    """Give the stdlib loggers of a worker their handlers: errors to standard error, access to
    standard output.
    """
    import logging

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            record.severity = record.levelname.lower()
            return super().format(record)

    errors = logging.StreamHandler(sys.stderr)
    errors.setFormatter(Formatter(f"%(asctime)s [{os.getpid()}] %(severity)s: %(message)s", _TIME))
    root = logging.getLogger("granite")
    root.handlers = [errors]
    root.setLevel(_LEVELS[config.log_level])
    root.propagate = False

    access = logging.getLogger("granite.access")
    access.propagate = False
    if config.access_log:
        lines = logging.StreamHandler(sys.stdout)
        lines.setFormatter(logging.Formatter("%(asctime)s %(message)s", _TIME))
        access.handlers = [lines]
        access.setLevel(logging.INFO)
    else:
        access.disabled = True
