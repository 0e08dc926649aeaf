"""The two logs: each a destination and the form that its lines have there.

Owns which form goes with which destination. Must not know who writes. Any thread may write; opening
is the main thread's.
"""

from __future__ import annotations

import os

from granite.log.formats import Format, JsonFormat, TextFormat
from granite.log.sinks import Sink, obtain
from granite.settings.destination import STDERR, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.config import Config

__all__ = ["Output", "access_output", "error_output"]


class Output:
    """Writes records of a log: see `Format` for their parts. Never raises for its destination."""

    __slots__ = ("_format", "sink")

    def __init__(self, sink: Sink, form: Format) -> None:
        self.sink = sink
        self._format = form

    def error(self, level: str, logger: str, text: str, details: str, at: float) -> None:
        """Write a record of the error log."""
        self.sink.write(level, self._format.error(level, logger, text, details, at))

    def access(self, text: str, fields: tuple[object, ...], at: float) -> None:
        """Write a record of the access log."""
        self.sink.write("info", self._format.access(text, fields, at))


def error_output(config: Config, owner: tuple[int, int] | None = None) -> Output:
    """Open the error log; raise BootError if that is impossible. A new file is `owner`'s."""
    return _output(config, obtain(config, config.log_file, STDERR, owner))


def access_output(config: Config, owner: tuple[int, int] | None = None) -> Output:
    """Open the access log; raise BootError if that is impossible. A new file is `owner`'s."""
    return _output(config, obtain(config, config.access_log_file, STDOUT, owner))


def _output(config: Config, sink: Sink) -> Output:
    if config.log_format == "json":
        return Output(sink, JsonFormat())
    return Output(
        sink, TextFormat(color=_is_colored(config.log_color, sink), stamped=not sink.stamps)
    )


def _is_colored(wish: str, sink: Sink) -> bool:
    if not sink.colors or wish == "never":
        return False
    if wish == "always":
        return True
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sink.is_terminal() and os.environ.get("TERM") != "dumb"
