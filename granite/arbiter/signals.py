"""Signals as a queue that the arbiter's loop reads.

Owns the handlers, which only enqueue (the interpreter's C handler writes the number to a pipe), and
what a forked child has to undo. Must not know what a signal means. Main thread only.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

__all__ = [
    "SIGCHLD",
    "SIGINT",
    "SIGKILL",
    "SIGQUIT",
    "SIGTERM",
    "SignalQueue",
    "block",
    "describe",
    "restore",
]

SIGCHLD = int(_signal.SIGCHLD)
SIGINT = int(_signal.SIGINT)
SIGKILL = int(_signal.SIGKILL)
SIGQUIT = int(_signal.SIGQUIT)
SIGTERM = int(_signal.SIGTERM)

_TAKEN = (SIGCHLD, SIGINT, SIGQUIT, SIGTERM)


class SignalQueue:
    """Take over the arbiter's signals. `fd` turns readable when one has arrived."""

    __slots__ = ("_write", "fd")

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        _signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in _TAKEN:
            _signal.signal(number, _enqueue)

    def take(self) -> list[int]:
        """Return the numbers of the signals that have arrived, in order, without waiting."""
        try:
            return list(os.read(self.fd, 4096))
        except BlockingIOError:
            return []

    def close_in_child(self) -> None:
        """Give the queue up in a forked child, where its pipe is the arbiter's."""
        _signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._write)


def block() -> None:
    """Hold the arbiter's signals back, around a fork: one that reached the child would land in the
    arbiter's queue.
    """
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _TAKEN)


def restore(defaults: bool = False) -> None:
    """End `block()`; with `defaults`, in a child, give the signals their default actions first."""
    if defaults:
        for number in _TAKEN:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _TAKEN)


def describe(status: int) -> str:
    """Say how a process ended, from the status that waitpid returned."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        names = [
            name
            for name in dir(_signal)
            if name.startswith("SIG") and getattr(_signal, name) == number
        ]
        return f"was killed by {names[0] if names else f'signal {number}'}"
    return f"exited with status {os.WEXITSTATUS(status)}"


def _enqueue(number: int, frame: object) -> None:
    """Do nothing: a handler has to exist for the interpreter to write the number to the pipe."""
