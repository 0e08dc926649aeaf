"""What takes log lines: a standard stream, a file, syslog.

Owns the descriptors, and the table of those that this process has open: both logs, and the writers
of arbiter and worker, share them, and a forked child takes them over. Each line is one `write()` on
a descriptor that appends, so several processes may share a file without a lock. Nothing here raises
once it is open: a full disk or a closed pipe loses lines. Must not know how a line looks. Any
thread may write; opening, reopening and closing is the main thread's.
"""

from __future__ import annotations

import os
import stat
import sys

from granite.errors import BootError, reason
from granite.settings.destination import FILE, STANDARD, STDERR, STDOUT, SYSLOG, Destination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from granite.settings.config import Config

    class Writer(Protocol):
        """Collects lines, and writes them to a sink's descriptor."""

        def flush(self) -> None: ...
        def reopened(self) -> None: ...


__all__ = ["FileSink", "Sink", "StreamSink", "close", "obtain", "reopen", "take_over"]

_MODE = 0o640


class Sink:
    """Takes lines; this one drops them.

    `stamps`: it adds time, process and level by itself. `colors`: it may be told to colour them.
    """

    stamps = False
    colors = False
    # Who collects lines for this destination.
    writer: Writer | None = None

    def write(self, level: str, line: str) -> None:
        """Write `line`, which has no newline at its end. Never raises."""

    def write_lines(self, lines: bytes) -> None:
        """Write lines of severity info, each with its newline. Never raises."""
        for line in lines.decode("utf-8", "backslashreplace").splitlines():
            self.write("info", line)

    def fileno(self) -> int:
        """Return the descriptor to which whole lines may be written, -1 if there is none."""
        return -1

    def is_terminal(self) -> bool:
        """Whether a human is looking."""
        return False

    def take_over(self) -> None:
        """Be ready in this process, if it was the parent that has opened the destination."""

    def reopen(self) -> str | None:
        """Open the destination again where that has a meaning; return what went wrong."""
        return None

    def close(self) -> None:
        """Let go of the descriptor."""


class _Descriptor(Sink):
    """Write lines to `fd`."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._torn = False

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.fd

    def write(self, level: str, line: str) -> None:
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._torn:  # the next line is not to end a broken one
            data = b"\n" + data
        left = data
        try:
            while left:
                left = left[os.write(self.fd, left) :]
        except OSError:
            self._torn = self._torn if left is data else True
        else:
            self._torn = False


class StreamSink(_Descriptor):
    """Write lines to standard output or standard error, by their descriptors: a line is never
    buffered, nor cut in two among the lines of other processes.
    """

    colors = True

    def is_terminal(self) -> bool:
        """Whether a human is looking."""
        return os.isatty(self.fd)


class FileSink(_Descriptor):
    """Append lines to the file at `path`, which is created if needed. Raises OSError."""

    def __init__(self, path: str, owner: tuple[int, int] | None) -> None:
        # The working directory may change before the file is opened again.
        self._path = os.path.abspath(path)  # noqa: PTH100 (pathlib costs 0.7 MiB)
        self._owner = owner
        super().__init__(self._open())

    def reopen(self) -> str | None:
        """Open what goes by the path now; return why that failed, in which case all stays."""
        try:
            fd = self._open()
        except OSError as exc:
            return f"cannot open the log {self._path!r} again: {reason(exc)}"
        if self.writer is not None:
            self.writer.flush()  # what has been, to the old file
        os.dup2(fd, self.fd, inheritable=False)  # at once: another thread may be writing
        os.close(fd)
        if self.writer is not None:
            self.writer.reopened()
        return None

    def close(self) -> None:
        """Close the file; what is written afterwards is lost."""
        os.close(self.fd)
        self.fd = -1

    def _open(self) -> int:
        # Without O_NONBLOCK the opening of a pipe would wait for its reader.
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK
        try:
            fd = os.open(self._path, flags)
        except FileNotFoundError:
            fd = self._create(flags | os.O_CREAT)
        os.set_blocking(fd, True)
        return fd

    def _create(self, flags: int) -> int:
        try:
            fd = os.open(self._path, flags | os.O_EXCL, _MODE)
        except FileExistsError:  # another process was faster, or it is a link to nothing
            return os.open(self._path, flags, _MODE)
        # Only what this process has made is given away: a link in the directory may name any file.
        if self._owner is not None and os.geteuid() == 0 and stat.S_ISREG(os.fstat(fd).st_mode):
            os.fchown(fd, *self._owner)
        return fd


# By destination, facility and tag. Module state, since the descriptors are the process's as well.
_opened: dict[tuple[str, str, str], Sink] = {}


def obtain(config: Config, text: str, standard: str, owner: tuple[int, int] | None = None) -> Sink:
    """Return the sink for the destination `text`, opening it if this process has not yet.

    `standard` is the kind of `-`. A file that is created is given to `owner`. Raises BootError.
    """
    destination = Destination.parse(text)
    kind = standard if destination.kind == STANDARD else destination.kind
    name = kind if destination.kind == STANDARD else str(destination)
    key = (name, config.syslog_facility, config.syslog_tag)
    try:
        if key in _opened:
            _opened[key].take_over()
        else:
            _opened[key] = _open(config, kind, destination, owner)
    except OSError as exc:
        raise BootError(f"cannot open the log {text!r}: {reason(exc)}") from None
    return _opened[key]


def _open(
    config: Config, kind: str, destination: Destination, owner: tuple[int, int] | None
) -> Sink:
    if kind in (STDOUT, STDERR):
        stream = sys.__stdout__ if kind == STDOUT else sys.__stderr__
        # None where the descriptor was closed at the start: it belongs to something else by now.
        return Sink() if stream is None else StreamSink(1 if kind == STDOUT else 2)
    if kind == FILE:
        return FileSink(destination.path, owner)
    from granite.log.syslog import SyslogSink

    sink = SyslogSink(destination, config.syslog_facility, config.syslog_tag)
    if sink.is_away():
        from granite.log import write_error

        where = destination.path if destination.kind == SYSLOG else str(destination)
        write_error(
            f"granite: syslog: nobody listens at {where}; lines are lost until somebody does"
        )
    return sink


def reopen() -> list[str]:
    """Open the files of this process again; return what went wrong."""
    failures = [sink.reopen() for sink in list(_opened.values())]
    return [failure for failure in failures if failure is not None]


def take_over() -> None:
    """Be ready in this process, a forked one, to write where its parent did."""
    for sink in _opened.values():
        sink.take_over()


def close() -> None:
    """Close what this process has open; its writers must not be used any more."""
    while _opened:
        _opened.popitem()[1].close()
