"""The fork of a process that is to be somebody else's child.

Owns the process in between: it forks, waits until its child may be an orphan, and ends. Must not
know what is forked, nor who adopts it. Main thread of a template.
"""

from __future__ import annotations

import os
import warnings

from granite.arbiter import signals
from granite.arbiter.fork import flush_streams, refused
from granite.errors import EXIT_OK

__all__ = ["Birth", "fork_orphan"]


class Birth:
    """A new process `pid`, and its parent `between`, which ends with `orphan()`, or with this
    process.
    """

    __slots__ = ("_go", "between", "pid")

    def __init__(self, pid: int, between: int, go: int) -> None:
        self.pid = pid
        self.between = between
        self._go = go

    def orphan(self) -> None:
        """Have the parent end; return when it has."""
        os.close(self._go)
        _wait(self.between)


def fork_orphan() -> Birth | None:
    """Fork a process whose parent is about to end; return None in it, with the arbiter's signals
    blocked. Raises BootError if the system refuses.
    """
    flush_streams()
    told, tell = os.pipe()
    until, go = os.pipe()
    signals.block()
    try:
        between = _fork()
    except OSError as exc:
        signals.unblock()
        _close(told, tell, until, go)
        raise refused(exc) from None
    if not between:
        _close(told, go)
        _fork_and_wait(tell, until)
        _close(tell, until)
        return None
    signals.unblock()
    _close(tell, until)
    text = os.read(told, 32)
    os.close(told)
    if text:
        return Birth(int(text), between, go)
    os.close(go)
    code = _wait(between)
    raise refused(OSError(code, os.strerror(code) if code > 0 else "Interrupted"))


def _fork_and_wait(tell: int, until: int) -> None:
    """Be the process in between; return in its child."""
    code = EXIT_OK
    try:
        pid = _fork()
        if not pid:
            return
        os.write(tell, b"%d" % pid)
        os.close(tell)
        os.read(until, 1)  # its end
    except OSError as exc:
        code = exc.errno or 1
    os._exit(code)


def _fork() -> int:
    with warnings.catch_warnings():
        # Of threads: the template has named them.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _wait(pid: int) -> int:
    """Return the status of a child that is about to end, negative if it was killed."""
    try:
        status = os.waitpid(pid, 0)[1]
    except ChildProcessError:  # the application has SIGCHLD ignored: it is gone all the same
        return EXIT_OK
    return os.waitstatus_to_exitcode(status)


def _close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)
