"""Being given the grandchildren whose parent has ended, as the first process of the system is.

Owns the system call, which Python has no function for, and the strangers that come with whoever is
meant: what the application of a worker that ends just then has started. Must not know templates.
Main thread of the arbiter; imported only with `preload`.
"""

from __future__ import annotations

import _ctypes
import os

from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Adoption", "is_alive", "is_child"]

_PR_SET_CHILD_SUBREAPER = 36


class Adoption:
    """Adopt orphans from `begin()` until `end()`. `known` returns the children that somebody waits
    for. Raises BootError where the system cannot do it: Linux can.
    """

    __slots__ = ("_before", "_known", "_strangers")

    def __init__(self, known: Callable[[], set[int]]) -> None:
        self._known = known
        self._before: set[int] = set()
        self._strangers: set[int] = set()
        _adopt(False)

    def begin(self) -> None:
        """Become the parent of whatever descendant becomes an orphan."""
        self._before = _children()
        _adopt(True)

    def end(self) -> None:
        """Leave orphans to the first process again. Those that have come and that nobody knows are
        collected when they end; idempotent.
        """
        _adopt(False)
        if self._before:  # the template at least
            self._strangers |= _children() - self._before - self._known()
            self._before = set()

    def may_come(self, pid: int) -> bool:
        """Say whether a process may be one that will be adopted: it is none of ours as yet."""
        return pid > 1 and pid not in self._before and pid not in self._known()

    def collect(self) -> None:
        """Collect the strangers that have ended."""
        self._strangers = {pid for pid in self._strangers if is_alive(pid)}


def is_alive(pid: int) -> bool:
    """Collect a process that has ended; say whether it is a child of this one that has not."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def is_child(pid: int) -> bool:
    """Say whether a process is a child of this one, ended or not."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> set[int]:
    """Return the children of this process; none where the system does not tell."""
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:  # noqa: PTH123
            return set(map(int, file.read().split()))
    except OSError:
        return set()


def _adopt(on: bool) -> None:
    try:
        # ctypes proper, which is written in Python, costs ten times the memory.
        function = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
    except OSError:
        function = 0
    arguments = (_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)
    if not function or _ctypes.call_cdeclfunction(function, arguments):
        raise BootError(
            "preload: this system does not let a process adopt its descendants (prctl); start "
            "without preload"
        )
