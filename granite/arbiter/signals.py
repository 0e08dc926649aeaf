"""Signals as a queue that the arbiter's loop reads.

Owns the handlers, which only enqueue (the interpreter's C handler writes the number to a pipe), and
what a forked child has to undo. Must not know what a signal means. Main thread only.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
else:
    import _signal

__all__ = [
    "SIGCHLD",
    "SIGHUP",
    "SIGINT",
    "SIGKILL",
    "SIGQUIT",
    "SIGTERM",
    "SIGTTIN",
    "SIGUSR1",
    "SIGUSR2",
    "SignalQueue",
    "block",
    "describe",
    "end_in_child",
    "name",
    "reset_in_child",
    "unblock",
]

SIGCHLD = int(_signal.SIGCHLD)
SIGHUP = int(_signal.SIGHUP)
SIGINT = int(_signal.SIGINT)
SIGKILL = int(_signal.SIGKILL)
SIGQUIT = int(_signal.SIGQUIT)
SIGTERM = int(_signal.SIGTERM)
SIGTTIN = int(_signal.SIGTTIN)
SIGTTOU = int(_signal.SIGTTOU)
SIGUSR1 = int(_signal.SIGUSR1)
SIGUSR2 = int(_signal.SIGUSR2)

_TAKEN = (SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGUSR1, SIGUSR2)
# A background process that writes to its terminal may be sent it; a write that finds a handler for
# it would be tried again and again.
_IGNORED = (SIGTTOU,)


class SignalQueue:
    """Take over the arbiter's signals. `fd` turns readable when one has arrived."""

    __slots__ = ("_before", "_on_terminal", "_wakeup_before", "_write", "fd")

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        self._wakeup_before = _signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {number: _signal.getsignal(number) for number in (*_TAKEN, *_IGNORED)}
        self._on_terminal = os.isatty(2)
        for number in _IGNORED:
            _signal.signal(number, _signal.SIG_IGN)
        for number in _TAKEN:
            # nohup's: the server is to outlive its terminal.
            if number != SIGHUP or self._before[number] != _signal.SIG_IGN:
                _signal.signal(number, _enqueue)

    def take(self) -> list[int]:
        """Return the numbers of the signals that have arrived, in order, without waiting."""
        try:
            return list(os.read(self.fd, 4096))
        except BlockingIOError:
            return []

    def hung_up(self) -> bool:
        """Say whether the terminal to which this process writes is gone: SIGHUP then means that it
        was closed.
        """
        return self._on_terminal and not os.isatty(2)

    def close(self) -> None:
        """Give the signals back to whoever had them before; those that end a process stay ignored,
        for its end has begun. A program that goes on takes them back itself.
        """
        for number, handler in self._before.items():
            if number in (SIGHUP, SIGINT, SIGQUIT, SIGTERM):
                _signal.signal(number, _signal.SIG_IGN)
            elif handler is not None:  # else it was installed by something other than Python
                _signal.signal(number, handler)
        _signal.set_wakeup_fd(self._wakeup_before, warn_on_full_buffer=False)
        os.close(self.fd)
        os.close(self._write)

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


def unblock() -> None:
    """End `block()`."""
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _TAKEN)


def reset_in_child(on_usr1: Callable[[int, object], None]) -> None:
    """Give the signals their default actions in a forked child, and end `block()`.

    SIGUSR1 gets the handler `on_usr1`, since its default would end a worker that is told to reopen
    its log files while it starts. SIGHUP goes on doing nothing: a terminal sends it to the whole
    tree, and what follows from it is the arbiter's to say.
    """
    for number in (*_TAKEN, *_IGNORED):
        if number != SIGHUP:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(SIGUSR1, on_usr1)
    unblock()


def end_in_child() -> None:
    """Have no signal but SIGKILL disturb the end of a child, which has begun."""
    for number in (SIGINT, SIGQUIT, SIGTERM):
        # Not ignored, which programs that it starts would inherit.
        _signal.signal(number, _enqueue)


def describe(status: int) -> str:
    """Say how a process ended, from the status that waitpid returned."""
    if os.WIFSIGNALED(status):
        return f"was killed by {name(os.WTERMSIG(status))}"
    return f"exited with status {os.WEXITSTATUS(status)}"


def name(number: int) -> str:
    """Return the name of a signal, such as SIGTERM."""
    names = [
        known
        for known in dir(_signal)
        if known.startswith("SIG") and getattr(_signal, known) == number
    ]
    return names[0] if names else f"signal {number}"


def _enqueue(number: int, frame: object) -> None:
    """Do nothing: a handler has to exist for the interpreter to write the number to the pipe, if
    there is one.
    """
