"""What an arbiter has of the one whose successor it is: its sockets, and its leave to take over.

Owns the passed sockets until somebody claims them, and the successor's side of the handover; the
theory of operation is in `granite.arbiter.handover`. Must not know how sockets are opened or
workers run. Loaded in a successor alone; the main thread of the arbiter.
"""

from __future__ import annotations

import _socket
import os

from granite.arbiter.handover import FAILED, GO, HELLO, READY, TAKEN, TICKET_KEYS, Line, read
from granite.arbiter.origin import INHERITED
from granite.arbiter.systemd import Notifier
from granite.errors import BootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from granite.arbiter.handover import Passed
    from granite.arbiter.poller import Poller
    from granite.arbiter.resources import Resources

__all__ = ["Inherited", "Succession", "SuccessorNotifier"]

# The name of a socket that systemd had passed to the first arbiter begins with it.
_ACTIVATED = "systemd:"


class Inherited:
    """What the process `former` has passed. `taken` turns true when its place is taken: from then
    on files that belong to the sockets are this process's.
    """

    __slots__ = ("_sockets", "former", "line", "taken")

    def __init__(self, former: int, line: Line, sockets: list[Passed]) -> None:
        self.former = former
        self.line = line
        self.taken = False
        self._sockets = sockets

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Inherited | None:
        """Return what was passed to this process, None if it is nobody's successor.

        The variable is removed from `environ`, and the descriptors no longer reach programs that
        are started. Raises BootError if something is not as an arbiter leaves it.
        """
        found = read(environ.pop(INHERITED, ""))
        if found is None:
            return None
        former, fd, sockets = found
        try:
            for passed in (fd, *(one.fd for one in sockets)):
                os.set_inheritable(passed, False)
            return cls(former, Line(fd), sockets)
        except OSError:
            raise BootError(
                f"the server that is to be replaced (pid {former}) has passed descriptors that are "
                "not open: was one of them closed before the server started?"
            ) from None

    def claim(self, name: str) -> list[tuple[int, int]]:
        """Return slot and descriptor of the sockets that go by `name`, ordered by slot; they are
        the caller's from then on.

        A port that the system has chosen also goes by its number.
        """
        for first in self._sockets:
            if name == first.name or name == _bound(first):
                break
        else:
            return []
        # Two addresses with port 0 have one name, and each has its port.
        port = _bound(first)
        found = [one for one in self._sockets if one.name == first.name and _bound(one) == port]
        self._sockets = [one for one in self._sockets if one not in found]
        return sorted((one.slot, one.fd) for one in found)

    def activated(self) -> list[tuple[int, str]]:
        """Return the sockets that systemd had passed to the first arbiter, each with its name or
        the empty text; they are the caller's from then on.
        """
        found = [one for one in self._sockets if one.name.startswith(_ACTIVATED)]
        self._sockets = [one for one in self._sockets if one not in found]
        return [(one.fd, one.name.removeprefix(_ACTIVATED)) for one in found]

    def leave_in_child(self) -> None:
        """Give up, in a forked child, what is the arbiter's alone."""
        self.line.close()
        self.discard()

    def remove(self) -> None:
        """Close what nobody has claimed, since the settings no longer name it, and delete the files
        of Unix sockets.
        """
        files = [one.name for one in self._sockets if one.name.startswith("unix:/")]
        self.discard()
        if files:
            from granite.arbiter.unix import remove_named

            for name in files:
                remove_named(name)

    def discard(self) -> None:
        """Close what nobody has claimed."""
        for one in self._sockets:
            os.close(one.fd)
        self._sockets = []


class SuccessorNotifier(Notifier):
    """Tells the former arbiter how the service does, in place of the service manager, which hears
    its main process only; `speak()` changes that.
    """

    __slots__ = ("_line", "_status")

    def __init__(self, notifier: Notifier, line: Line) -> None:
        self._address = notifier._address
        self.interval = notifier.interval
        self._line: Line | None = line
        self._status = ""

    def speak(self) -> None:
        """Be the service's voice from now on, and say that requests are answered."""
        self._line = None
        self.ready(self._status)
        self.watchdog()

    def ready(self, status: str = "") -> None:
        """Say that requests are answered."""
        self._status = status
        if self._line is not None:
            self._line.say(READY)
        super().ready(status)

    def stopping(self, status: str = "") -> None:
        """Say that this server is about to end."""
        if self._line is not None:
            self._line.say(FAILED, status)
        super().stopping(status)

    def _send(self, *fields: str) -> None:
        if self._line is None:
            super()._send(*fields)


class Succession:
    """The part of the arbiter that takes the former one's place, once that says so or has died.
    `fail` ends the server for a reason.
    """

    __slots__ = ("_fail", "_held", "_inherited", "_line", "_poller")

    def __init__(
        self,
        held: Resources,
        poller: Poller,
        fail: Callable[[str], object],
    ) -> None:
        assert held.inherited is not None
        self._held = held
        self._inherited = held.inherited
        self._line = held.inherited.line
        self._poller = poller
        self._fail = fail
        poller.register(self._line.fd, self._hear)
        self._line.say(HELLO)

    def manage(self) -> bool:
        """Do what can be done now that the server is up; return whether that was all of it."""
        if self._line.fd >= 0:
            return False
        if not self._inherited.taken:  # the former one has died
            self._take_over()
        if self._inherited.taken:
            self._held.log.info(f"took over from pid {self._inherited.former}")
            notifier = self._held.notifier
            assert isinstance(notifier, SuccessorNotifier)
            notifier.speak()
        return True

    def _hear(self, events: int) -> None:
        fd = self._line.fd
        said = self._line.hear()
        if self._line.fd < 0:
            self._poller.unregister(fd)
        for word, text in said:
            if word == TICKET_KEYS and self._held.tickets is not None:
                self._held.tickets.adopt(text)
            elif word == GO:
                self._take_over()

    def _take_over(self) -> None:
        try:
            self._held.take_over()
        except BootError as exc:
            self._fail(str(exc))
        else:
            self._line.say(TAKEN)


def _bound(one: Passed) -> str:
    """Return the name of a TCP socket with the port that it has in place of the one that was asked
    for; for others, their name.
    """
    if not one.name.startswith("tcp:"):
        return one.name
    sock = _socket.socket(fileno=one.fd)
    try:
        return f"{one.name.rpartition(':')[0]}:{sock.getsockname()[1]}"
    finally:
        sock.detach()
