"""The file that holds the arbiter's process id.

Owns when an existing file means that a server runs, and that ours never appears half written. Must
not know who reads it. Main thread of the arbiter; a worker never touches it.
"""

from __future__ import annotations

import os

from granite.errors import BootError, reason

__all__ = ["PidFile"]

_MODE = 0o644
# A number and a newline are far shorter; whatever is longer is no pid file.
_MOST = 64


class PidFile:
    """The file at `path`, once it is written; `check()` comes first, before anything is opened. The
    process `former` may have it: this one is its successor.
    """

    __slots__ = ("_former", "_path", "_pid")

    def __init__(self, path: str, former: int | None = None) -> None:
        self._path = os.path.abspath(path)  # noqa: PTH100 (pathlib costs the arbiter)
        self._former = former
        self._pid: int | None = None

    def check(self) -> None:
        """Raise BootError if the file names a process that lives, or holds something else than a
        process id, or cannot be read.

        One whose process is gone, and an empty one, are stale and will be replaced.
        """
        try:
            content = self._read()
        except FileNotFoundError:
            return
        except OSError as exc:
            raise self._refused("read", exc) from None
        if not content.strip():
            return
        pid = _number(content)
        if pid is None:
            raise BootError(f"pid_file: {self._path!r} holds no process id and is left as it is")
        # A container often gives the same number to each start.
        if pid not in (os.getpid(), self._former) and _lives(pid):
            raise BootError(f"pid_file: already running (pid {pid}), says {self._path!r}")

    def write(self) -> None:
        """Write this process's id, readable for all, in one step; raise BootError if that cannot be
        done or another server was faster.
        """
        self.check()
        pid = os.getpid()
        new = f"{self._path}.{pid}"
        _unlink(new)
        try:
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
            try:
                os.fchmod(fd, _MODE)  # whatever the umask
                os.write(fd, b"%d\n" % pid)
            finally:
                os.close(fd)
            os.replace(new, self._path)  # noqa: PTH105 (pathlib costs the arbiter)
        except OSError as exc:
            _unlink(new)
            raise self._refused("write", exc) from None
        self._pid = pid

    def remove(self) -> None:
        """Remove the file if this process wrote it and it still names this process; idempotent."""
        if self._pid is None or self._pid != os.getpid():
            return
        try:
            if _number(self._read()) == self._pid:
                _unlink(self._path)
        except OSError:
            pass
        self._pid = None

    def _read(self) -> bytes:
        # Without waiting for a writer, should it be a pipe.
        fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(fd, _MOST)
        finally:
            os.close(fd)

    def _refused(self, action: str, exc: OSError) -> BootError:
        return BootError(f"pid_file: cannot {action} {self._path!r}: {reason(exc)}")


def _number(content: bytes) -> int | None:
    text = content.strip()
    if not text.isdigit() or len(text) > 10 or not 0 < int(text) < 2**31:
        return None
    return int(text)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # a process of another user
        pass
    return True


def _unlink(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108 (pathlib costs the arbiter)
    except OSError:
        return
