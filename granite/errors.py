"""Exit codes, and the errors that end a process with one of them.

Owns the mapping from a failure to an exit code. Knows no other module. Any thread may raise these.
"""

from __future__ import annotations

__all__ = [
    "EXIT_BOOT",
    "EXIT_LOAD",
    "EXIT_OK",
    "EXIT_USAGE",
    "BootError",
    "GraniteError",
    "LifespanError",
    "LoadError",
    "UsageError",
    "reason",
]

EXIT_OK = 0
EXIT_BOOT = 1
EXIT_USAGE = 2
EXIT_LOAD = 3


class GraniteError(Exception):
    """A failure that is reported to the operator as its message, without a traceback of granite's
    own.

    `exit_code` is the status that the process ends with. `details` is a traceback of the
    operator's own code that belongs to the message, or None.
    """

    exit_code: int = EXIT_BOOT
    details: str | None = None

    @property
    def report(self) -> str:
        """The message in one line, and the details below it."""
        return f"{self}\n{self.details}" if self.details else str(self)


class BootError(GraniteError):
    """The server could not start: a port in use, a missing directory, an event loop that is not
    installed.
    """


class UsageError(GraniteError):
    """A wrong option, a wrong value, an unknown command."""

    exit_code = EXIT_USAGE


class LoadError(GraniteError):
    """The application could not be loaded.

    `details` is the formatted traceback where the application's own code raised, and None where the
    target itself (its module, its attribute) is what is wrong.
    """

    exit_code = EXIT_LOAD

    def __init__(self, message: str, details: str | None = None) -> None:
        super().__init__(message)
        self.details = details


class LifespanError(LoadError):
    """The application's lifespan failed during startup: it said so, it raised, or it returned too
    early.
    """


def reason(exc: BaseException) -> str:
    """Return what the system says of an error, such as "no such file or directory", without number
    and file name.
    """
    return (isinstance(exc, OSError) and exc.strerror and exc.strerror.lower()) or str(exc)
