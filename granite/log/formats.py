"""How a log line looks.

Owns the two forms, text and JSON, and that nobody forges a line: what a client sends may be part of
a message, so every character that could move a cursor or end a line is escaped, and the lines of a
traceback are indented. Must not know where lines go. Used by any thread: the cache of the time is
replaced as a whole.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ACCESS_FIELDS", "LEVELS", "Format", "JsonFormat", "TextFormat", "escape"]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
# What the arguments of an access record are, in their order.
ACCESS_FIELDS = ("client", "method", "target", "protocol", "status")

_TIME = "%Y-%m-%d %H:%M:%S"
_COLORS = {"debug": "36", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}


class Format:
    """One of the forms. `at` is the time of the record in seconds since the epoch; `details` is a
    traceback or the like, of several lines.
    """

    def __init__(self) -> None:
        self._second: tuple[int, str] = (-1, "")

    def error(self, level: str, logger: str, text: str, details: str, at: float) -> str:
        """Return a line of the error log, without the newline at its end."""
        raise NotImplementedError

    def access(self, text: str, fields: tuple[object, ...], at: float) -> str:
        """Return a line of the access log, without the newline at its end. `fields` are those of
        ACCESS_FIELDS, or none where the record is not the server's own.
        """
        raise NotImplementedError

    def _time(self, at: float) -> str:
        second = int(at)
        cached = self._second
        if cached[0] != second:
            cached = self._second = (second, self._show_time(second))
        return cached[1]

    def _show_time(self, second: int) -> str:
        return time.strftime(_TIME, time.localtime(second))


class TextFormat(Format):
    """`2026-11-21 01:23:00 [pid] info: message`, in the local time.

    With `color` the level is coloured; without `stamped`, for destinations that add time, process
    and level themselves, only the message is there.
    """

    def __init__(self, *, color: bool = False, stamped: bool = True) -> None:
        super().__init__()
        self._stamped = stamped
        self._levels = {
            level: f"\x1b[{code}m{level}\x1b[0m" if color else level
            for level, code in _COLORS.items()
        }

    def error(self, level: str, logger: str, text: str, details: str, at: float) -> str:
        """Return a line, and an indented one for each of `details`."""
        line = escape(text)
        if self._stamped:
            shown = self._levels.get(level, level)
            line = f"{self._time(at)} [{os.getpid()}] {shown}: {line}"
        if details:
            lines = details.rstrip("\n").split("\n")
            line += "".join(f"\n  {escape(item, keep_tabs=True)}" for item in lines)
        return line

    def access(self, text: str, fields: tuple[object, ...], at: float) -> str:
        """Return a line."""
        return f"{self._time(at)} {escape(text)}" if self._stamped else escape(text)


class JsonFormat(Format):
    """One JSON object per line, in ASCII: `time` (RFC 3339), `level`, `pid`, `logger`, `message`
    and `exception`; in the access log the fields of the request in the message's place.
    """

    def __init__(self) -> None:
        from json import dumps  # half a MiB, for this form alone

        super().__init__()
        self._dumps: Callable[[object], str] = dumps

    def error(self, level: str, logger: str, text: str, details: str, at: float) -> str:
        """Return an object in one line."""
        record = self._head(level, logger, at)
        record["message"] = text
        if details:
            record["exception"] = details.rstrip("\n")
        return self._dumps(record)

    def access(self, text: str, fields: tuple[object, ...], at: float) -> str:
        """Return an object in one line."""
        record = self._head("info", "granite.access", at)
        if fields:
            record.update(zip(ACCESS_FIELDS, fields, strict=False))
        else:
            record["message"] = text
        return self._dumps(record)

    def _head(self, level: str, logger: str, at: float) -> dict[str, object]:
        second, _, offset = self._time(at).rpartition(" ")
        return {
            "time": f"{second}.{int(at % 1 * 1000):03}{offset}",
            "level": level,
            "pid": os.getpid(),
            "logger": logger,
        }

    def _show_time(self, second: int) -> str:
        local = time.localtime(second)
        minutes = local.tm_gmtoff // 60
        sign = "-" if minutes < 0 else "+"
        hours, minutes = divmod(abs(minutes), 60)
        return time.strftime(f"%Y-%m-%dT%H:%M:%S {sign}{hours:02}:{minutes:02}", local)


def escape(text: str, *, keep_tabs: bool = False) -> str:
    """Return `text` with every character that does not print (newlines, terminal controls, marks
    that turn the writing direction, lone surrogates) as its Python escape.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or (keep_tabs and char == "\t")
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
