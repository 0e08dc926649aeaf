"""The service manager: the sockets that it passes, and what it is told in return.

Owns the variables LISTEN_*, NOTIFY_SOCKET and WATCHDOG_* (sd_listen_fds(3), sd_notify(3),
sd_watchdog_enabled(3)). Must not know what a socket is used for. Main thread of the arbiter.
"""

from __future__ import annotations

import _socket
import os
import time

from granite.errors import BootError
from granite.settings.base import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["Notifier", "listen_fds"]

_FIRST = 3
_MOST = 1_000_000


def listen_fds(environ: MutableMapping[str, str]) -> list[tuple[int, str]]:
    """Return the descriptors that were passed to this process, each with its name or the empty
    text.

    The variables are then removed from `environ`, and the descriptors no longer reach programs that
    are started. Variables that are meant for another process stay. Raises BootError, in one line,
    if they cannot be read.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    text = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "")
    # The last one is systemd's further check of who is meant.
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"):
        environ.pop(variable, None)
    try:
        passed = list(range(_FIRST, _FIRST + decimal(text, _MOST)))
    except ValueError:
        raise BootError(
            f"LISTEN_FDS: expected the number of sockets passed, got {text!r}"
        ) from None
    named = names.split(":") if names else []
    if named and len(named) != len(passed):
        raise BootError(
            f"LISTEN_FDNAMES: expected a name for each of the {len(passed)} sockets passed, "
            f"got {names!r}"
        )
    fd = _FIRST
    try:
        for fd in passed:
            os.set_inheritable(fd, False)
    except OSError:
        raise BootError(
            f"LISTEN_FDS: expected {len(passed)} sockets from descriptor {_FIRST} on, "
            f"got none at {fd}"
        ) from None
    # systemd's own word for "without a name".
    named = ["" if name == "unknown" else name for name in named]
    return list(zip(passed, named or [""] * len(passed), strict=True))


class Notifier:
    """Tells the service manager how the service does; without one, nothing happens.

    No method raises or waits: a message that the manager does not take at once is dropped.
    `interval` is the number of seconds between two calls of `watchdog()` that keep the manager
    content, half of its limit; None if it does not watch. `environ` loses the variables.
    """

    __slots__ = ("_address", "interval")

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        path = environ.pop("NOTIFY_SOCKET", "")
        limit = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", "")
        # Others, such as vsock, are for virtual machines.
        self._address = path if path[:1] in ("/", "@") and len(path) > 1 else None
        self.interval: float | None = None
        if self._address is not None and watched in ("", str(os.getpid())):
            self.interval = _half(limit)

    def ready(self, status: str = "") -> None:
        """Say that requests are answered: after the start, and after each reload."""
        self._send("READY=1", f"MAINPID={os.getpid()}", *_status(status))

    def status(self, text: str) -> None:
        """Say in one line, for people, what the service does."""
        self._send(*_status(text))

    def reloading(self, status: str = "") -> None:
        """Say that a reload begins; `ready()` ends it (Type=notify-reload)."""
        now = time.monotonic_ns() // 1000  # CLOCK_MONOTONIC, as the manager compares it
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", *_status(status))

    def stopping(self, status: str = "") -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1", *_status(status))

    def hand_over(self, pid: int) -> None:
        """Say that the process `pid` is the service's from now on, and nothing any more."""
        self._send(f"MAINPID={pid}")
        self._address = None

    def watchdog(self) -> None:
        """Say that the service is alive."""
        if self.interval is not None:
            self._send("WATCHDOG=1")

    def _send(self, *fields: str) -> None:
        if self._address is None or not fields:
            return
        name = os.fsencode(self._address)
        if name.startswith(b"@"):
            name = b"\0" + name[1:]
        try:
            sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
            try:
                sock.setblocking(False)
                sock.sendto("\n".join(fields).encode("utf-8", "replace"), name)
            finally:
                sock.close()
        except OSError:
            pass


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.splitlines())}",) if text else ()


def _half(microseconds: str) -> float | None:
    try:
        return decimal(microseconds, 10**18 - 1) / 2_000_000 or None
    except ValueError:
        return None
