"""Text for the terminal: columns, bold titles, and writing that survives a closed pipe.

Owns how commands print. Must not know what they print. Runs on the main thread.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["bold", "entry", "width", "wrap", "write"]

_WIDTH = 80
_LEAST, _MOST = 60, 100
_BOLD, _PLAIN = "\033[1m", "\033[0m"


def write(text: str) -> None:
    """Write `text` to standard output. A reader that has gone, such as `head`, is no error."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def bold(text: str) -> str:
    """Return `text`, bold where standard output is a terminal that knows how."""
    if os.environ.get("TERM", "dumb") == "dumb" or not sys.stdout.isatty():
        return text
    return f"{_BOLD}{text}{_PLAIN}"


def width() -> int:
    """Return how many characters a line may have: 80, or as the terminal has it, from 60 to 100."""
    if not sys.stdout.isatty():
        return _WIDTH
    from shutil import get_terminal_size

    return max(_LEAST, min(get_terminal_size((_WIDTH, 0)).columns, _MOST))


def wrap(text: str, length: int) -> list[str]:
    """Return the words of `text` in lines of at most `length` characters, but for longer words. A
    no-break space is shown as a space and does not part words.
    """
    lines: list[str] = []
    for word in filter(None, text.split(" ")):
        if lines and len(lines[-1]) + 1 + len(word) <= length:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return [line.replace("\xa0", " ") for line in lines]


def entry(name: str, text: str, column: int, indent: str = "  ") -> Iterable[str]:
    """Yield the lines of a name and its text, which begins at `column`; a name that does not fit
    before it gets a line of its own.
    """
    first = indent + name
    lines = wrap(text, width() - column)
    if len(first) > column - 2 or not lines:
        yield first
    else:
        yield first.ljust(column) + lines.pop(0)
    for line in lines:
        yield " " * column + line
