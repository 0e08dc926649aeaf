"""How this process was started: what another one needs to be started alike.

Owns the command, the working directory, the variables and the file mode mask as they were before
granite, or the program around it, changed any of them. Must not know what for. Made first of all,
on the main thread of the arbiter.
"""

from __future__ import annotations

import os
import sys

__all__ = ["INHERITED", "Origin"]

# The variable by which an arbiter gives its sockets to its successor.
INHERITED = "GRANITE_INHERITED"

# For this process alone; what they announce is taken already.
_OWN = (INHERITED, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


class Origin:
    """`cwd` is the working directory, by the name under which a shell has entered it: where that is
    a link, such as to the latest release, a successor starts in what it leads to then. `umask` is
    the file mode mask.
    """

    __slots__ = ("_environ", "cwd", "umask")

    def __init__(self) -> None:
        # The system's copy: hooks, config files and programs may have changed the process's own.
        # Read at once, since whoever sets a process's title writes over it.
        self._environ = _read("/proc/self/environ")
        if b"=" not in self._environ:
            assignments = [name + b"=" + value for name, value in os.environb.items()]
            self._environ = b"\0".join(assignments)
        self.cwd = _working_directory()
        self.umask = os.umask(0o077)  # the system tells it in no other way
        os.umask(self.umask)

    def command(self) -> list[str]:
        """Return the program and its arguments."""
        return [sys.executable, *sys.orig_argv[1:]]

    def environ(self) -> dict[str, str]:
        """Return the variables, without those of a handover of sockets."""
        found = {}
        for assignment in self._environ.split(b"\0"):
            name, equals, value = os.fsdecode(assignment).partition("=")
            if name and equals and name not in _OWN:
                found[name] = value
        return found

    def obstacle(self) -> str:
        """Return why this process cannot be started a second time, empty if it can."""
        if os.getpid() == 1:
            return "this is process 1, with which its container would end"
        if not sys.executable or sys.argv[:1] in ([], [""], ["-"]):
            return "the program was not started from a file"
        # PF_FORKNOEXEC of sched.h: the command is that of the process that forked this one.
        status = _read("/proc/self/stat").rpartition(b")")[2].split()
        if "--multiprocessing-fork" in sys.orig_argv or (status and int(status[6]) & 0x40):
            return "this process was forked by another program"
        return ""


def _working_directory() -> str:
    name = os.environ.get("PWD", "")
    try:
        current = os.getcwd()  # noqa: PTH109 (pathlib costs the arbiter)
        if name[:1] == "/" and os.path.samefile(name, current):  # noqa: PTH121
            return name
    except OSError:  # there is no such name; or the directory is gone, and another one is set
        return name if name[:1] == "/" else "/"
    return current


def _read(path: str) -> bytes:
    """Return the content of a file of the system's, nothing where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return b"".join(iter(lambda: os.read(fd, 65536), b""))
    except OSError:
        return b""
    finally:
        os.close(fd)
