"""Being given the grandchildren whose parent has ended, as the first process of the system is.

Owns the system call, which Python has no function for. Must not know whose children they are. Main
thread of the arbiter; imported only with `preload`.
"""

from __future__ import annotations

import _ctypes

from granite.errors import BootError

__all__ = ["adopt"]

_PR_SET_CHILD_SUBREAPER = 36


def adopt(on: bool) -> None:
    """Become the parent of orphaned descendants, or leave them to the first process again.

    A process that has become a child of this one stays so. Raises BootError where the system cannot
    do it: Linux can.
    """
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
