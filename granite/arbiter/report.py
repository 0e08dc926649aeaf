"""Where a worker writes what it does at its end, or when it is asked.

Owns a piece of memory that both processes see, so that nobody has to read while the other one
writes: the interpreter's fault handler writes to its descriptor from inside of a signal handler,
when nothing else of the process works any more. Must not know what is written, nor when. Main
thread of the arbiter.
"""

from __future__ import annotations

import os

__all__ = ["Report"]

_MOST = 64 * 1024


class Report:
    """The arbiter's end; `fd` is inherited by the worker, -1 where the system has no such memory
    (Linux has).
    """

    __slots__ = ("_read_to", "fd")

    def __init__(self) -> None:
        create = getattr(os, "memfd_create", None)
        try:
            self.fd: int = create("granite-report") if create is not None else -1
        except OSError:  # out of descriptors: then a fork that needs more fails more clearly
            self.fd = -1
        self._read_to = 0

    def take(self) -> str:
        """Return what has been written since the last call."""
        if self.fd < 0:
            return ""
        data = os.pread(self.fd, _MOST, self._read_to)
        self._read_to += len(data)
        return data.decode("utf-8", "backslashreplace").rstrip()

    def close(self) -> None:
        """Give the memory back; idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
