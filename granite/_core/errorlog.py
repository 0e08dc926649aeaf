"""The logger "granite.error", as whatever serves writes to it.

Owns who takes the lines: the standard library's logger, or, as long as nobody in this process has
imported `logging`, which would cost it 2 MiB, a writer of granite's own. Must not know how a line
looks. Any thread.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any

__all__ = ["ErrorLog", "error_log", "log_details"]

_NAME = "granite.error"


class ErrorLog:
    """Has the methods of `logging.Logger`. `writer`, a `granite.log.Log`, has them as well; None:
    the standard library's logger is taken.
    """

    def __init__(self) -> None:
        self.writer: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.writer or _logger(), name)

    def detailed(self, level: int, text: str, *args: object, details: str) -> None:
        """Write a line with `details` where a traceback would stand; "" for none."""
        writer = self.writer
        if writer is None:
            log_details(_logger(), level, text, args, details)
        else:
            writer.log(level, text, *args, details=details)


error_log = ErrorLog()


def _logger() -> Logger:
    import logging

    return logging.getLogger(_NAME)


def log_details(
    logger: Logger, level: int, text: object, args: tuple[object, ...], details: str
) -> None:
    """Give `logger` a record with the text of a traceback."""
    if logger.isEnabledFor(level):
        record = logger.makeRecord(_NAME, level, __file__, 0, text, args, None)
        record.exc_text = details or None  # where formatters keep, and look for, a traceback's text
        logger.handle(record)
