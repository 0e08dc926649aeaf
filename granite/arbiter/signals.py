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
    "SIGTTOU",
    "SIGUSR1",
    "SIGUSR2",
    "SIGWINCH",
    "SignalQueue",
    "block",
    "describe",
    "end_in_child",
    "has_terminal",
    "name",
    "reset_for_exec",
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
SIGWINCH = int(_signal.SIGWINCH)

_TAKEN = (
    *(SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGWINCH),
)


class SignalQueue:
    """Take over the arbiter's signals. `fd` turns readable when one has arrived."""

    __slots__ = ("_before", "_on_terminal", "_wakeup_before", "_write", "fd")

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)
        self._wakeup_before = _signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {number: _signal.getsignal(number) for number in _TAKEN}
        self._on_terminal = os.isatty(2)
        for number in _TAKEN:
            if number == SIGHUP and self._before[number] == _signal.SIG_IGN:
                continue  # nohup's: the server is to outlive its terminal
            if number == SIGTTOU and _terminal_stops_writers():
                _signal.signal(number, _signal.SIG_IGN)
            else:
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
    for number in _TAKEN:
        if number != SIGHUP:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(SIGUSR1, on_usr1)
    unblock()


def reset_for_exec() -> None:
    """Give the signals their default actions, in a forked child that is about to execute another
    program, and end `block()`. What was ignored from the start stays so, as under nohup.
    """
    for number in _TAKEN:
        if number != SIGHUP or _signal.getsignal(number) is _enqueue:
            _signal.signal(number, _signal.SIG_DFL)
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


def has_terminal() -> bool:
    """Say whether a terminal controls this process, which then sends signals of its own, such as
    SIGWINCH whenever its window changes.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _terminal_stops_writers() -> bool:
    """Say whether the terminal sends SIGTTOU to a background process that writes to it (stty
    tostop): with a handler for it, the write would be tried again and again.
    """
    for fd in (1, 2):
        if os.isatty(fd):
            import termios

            return bool(termios.tcgetattr(fd)[3] & termios.TOSTOP)
    return False


def _enqueue(number: int, frame: object) -> None:
    """Do nothing: a handler has to exist for the interpreter to write the number to the pipe, if
    there is one.
    """
