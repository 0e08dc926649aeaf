"""The writer of whoever does without `logging`: the arbiter, and workers that have not imported it.

Owns what a method call becomes: a record of the error log. Without the standard library's logging,
unless `log_config` sends the arbiter's lines through it. Must not know how lines look nor where
they go. Any thread may log.
"""

from __future__ import annotations

import sys
import time

from granite.log import sinks
from granite.log.formats import LEVELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger

    from granite.log.outputs import Output
    from granite.log.sinks import Sink
    from granite.settings.config import Config

__all__ = ["Log"]

_NAME = "granite.error"
_SILENT = 1000


class Log:
    """Write the lines of the error log, as the settings `log…` of `config` say.

    Both logs are opened here, so that a fault is known before anything is served. `owner`, a user's
    and a group's id, gets the files that are created on the way, where this process may give them
    away. Raises BootError if a destination cannot be opened, UsageError if `log_config` is wrong.

    The methods take what those of `logging.Logger` take: a text, the arguments for its `%`, and
    `exc_info`; or, in its place, `details`, a traceback that is text already. They never raise.
    """

    def __init__(self, config: Config, owner: tuple[int, int] | None = None) -> None:
        self._least = LEVELS[config.log_level] if config.log else _SILENT
        self._logger: Logger | None = None
        self._output: Output | None = None
        self.access_sink: Sink | None = None
        if config.log_config is not None:
            self._logger = _logger(config, owner)
        elif config.log:
            from granite.log.outputs import access_output, error_output

            self._output = error_output(config, owner)
            if config.access_log:
                self.access_sink = access_output(config, owner).sink

    def debug(self, text: object, *args: object, **options: object) -> None:
        """Write a line of severity debug."""
        self.log("debug", text, *args, **options)

    def info(self, text: object, *args: object, **options: object) -> None:
        """Write a line of severity info."""
        self.log("info", text, *args, **options)

    def warning(self, text: object, *args: object, **options: object) -> None:
        """Write a line of severity warning."""
        self.log("warning", text, *args, **options)

    warn = warning

    def error(self, text: object, *args: object, **options: object) -> None:
        """Write a line of severity error."""
        self.log("error", text, *args, **options)

    def critical(self, text: object, *args: object, **options: object) -> None:
        """Write a line of severity critical."""
        self.log("critical", text, *args, **options)

    def exception(self, text: object, *args: object, **options: object) -> None:
        """Write a line of severity error, and the traceback of the exception that is handled."""
        self.log("error", text, *args, **({"exc_info": True} | options))

    def log(self, level: int | str, text: object, *args: object, **options: object) -> None:
        """Write a line of severity `level`, a name or the standard library's number for it."""
        name, number = _level(level)
        exception = options.get("exc_info")
        details = str(options.get("details") or "")
        if self._logger is not None and details:
            from granite._core.errorlog import log_details

            log_details(self._logger, number, text, args, details)
        elif self._logger is not None:
            self._logger.log(number, text, *args, exc_info=_exception(exception), stacklevel=3)
        elif number >= self._least and self._output is not None:
            details = details or (_traceback(exception) if exception else "")
            self._output.error(name, _NAME, _merged(text, args), details, time.time())

    def reopen(self) -> None:
        """Open the files of this process again, after they were moved away; one that cannot be
        opened stays as it is, and that is logged.
        """
        failures = sinks.reopen()
        if self._logger is not None:
            from granite.log import handlers

            failures += handlers.reopen_files()
        for failure in failures:
            self.error(failure)


def _logger(config: Config, owner: tuple[int, int] | None) -> Logger:
    import logging

    from granite.log import handlers

    handlers.configure(config, owner, fresh=True)
    return logging.getLogger(_NAME)


def _level(level: int | str) -> tuple[str, int]:
    if isinstance(level, str):
        name = level.lower()
        return name, LEVELS.get(name, LEVELS["info"])
    known = [name for name, number in LEVELS.items() if number <= level]
    return known[-1] if known else "debug", level


def _merged(text: object, args: tuple[object, ...]) -> str:
    try:
        if not args:
            return str(text)
        # `log.info("%(pid)s", {"pid": 1})`, as in the standard library.
        if len(args) == 1 and isinstance(args[0], dict) and args[0]:
            return str(text) % args[0]
        return str(text) % args
    except Exception as exc:
        return f"{text!s} (its arguments do not fit: {type(exc).__name__})"


def _exception(given: object) -> BaseException | None:
    """Return what the argument `exc_info` means: True, an exception or `sys.exc_info()`."""
    if isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        return given
    return sys.exc_info()[1] if given else None


def _traceback(given: object) -> str:
    exception = _exception(given)
    if exception is None:
        return ""
    import traceback  # a quarter of a MiB, for the day when something goes wrong

    return "".join(traceback.format_exception(exception))
