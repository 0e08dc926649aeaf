"""What the arbiter holds of the system, from its start to its end.

Owns the order in which things are found out, opened and given back: nothing is opened before all
that may be refused was looked at, and whatever was opened is gone at the end, however that comes.
Must not know workers. Main thread of the arbiter; a worker never gives any of it back.
"""

from __future__ import annotations

import gc
import os

from granite import environment, log, process
from granite.arbiter.listeners import Listener, open_listeners
from granite.arbiter.origin import INHERITED, Origin
from granite.arbiter.signals import SignalQueue
from granite.arbiter.slot_sockets import SlotSockets
from granite.arbiter.systemd import Notifier
from granite.errors import BootError, GraniteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from granite.arbiter.inherited import Inherited
    from granite.arbiter.pidfile import PidFile
    from granite.arbiter.tickets import Tickets
    from granite.settings.config import Config

    class Holder(Protocol):
        """Whatever has sockets that a successor is to get."""

        def passing(self) -> list[tuple[str, int, int]]:
            """Return name, slot and descriptor of each."""

        def hold(self) -> None:
            """Accept nobody: that is for another process to do."""

        def go_on(self) -> None:
            """Accept: nobody else does any more."""


__all__ = ["Resources"]


class Resources:
    """Prepare this process as the settings say; raises BootError if the system refuses, and
    UsageError for a setting that it does not know.

    `notifier` tells the service manager, `titles` names processes, `identity` is who workers
    become, `log` is the arbiter's, `origin` tells how this process was started. `inherited` is what
    it has of the one that it is to replace, None if it is nobody's successor. `open()` makes
    `signals`, `listeners` and `sockets`, `release()` ends all. `retired` says that a successor has
    taken over, `holders` have the further sockets that it is to get. `in_child` are called in each
    forked child, to give up what is the arbiter's alone. `tickets` has the keys of TLS sessions,
    where there is a certificate.
    """

    __slots__ = (
        "_opened",
        "_pid_file",
        "config",
        "holders",
        "identity",
        "in_child",
        "inherited",
        "listeners",
        "log",
        "notifier",
        "origin",
        "retired",
        "signals",
        "sockets",
        "tickets",
        "titles",
    )

    def __init__(self, config: Config) -> None:
        process.keep_streams()
        self.origin = Origin()
        self.config = config
        self.listeners: list[Listener] = []
        self.holders: list[Holder] = []
        self.in_child: list[Callable[[], object]] = []
        self._opened = False
        self.retired = False
        self.signals: SignalQueue | None = None
        self.tickets: Tickets | None = None
        self.inherited: Inherited | None = None
        self.notifier = Notifier(os.environ)
        if INHERITED in os.environ:
            self._inherit()
        try:
            self._prepare()
        except GraniteError as exc:
            self.notifier.stopping(str(exc))
            raise

    def open(self) -> None:
        """Take over the signals, listen, and write the pid file, which a successor does later;
        raises BootError.
        """
        self.signals = SignalQueue()
        self.listeners = open_listeners(self.config, os.environ, self.inherited)
        wait = self.inherited is not None
        self.sockets = SlotSockets(self.listeners, self.config, wait=wait)
        self._opened = True
        if self._pid_file is not None and self.inherited is None:
            self._pid_file.write()

    def close_listeners(self) -> None:
        """Accept nothing more in this process; idempotent."""
        if self._opened:
            self.sockets.close()

    def leave_in_child(self) -> None:
        """Give up, in a forked child, what is the arbiter's alone."""
        for leave in self.in_child:
            leave()
        if self.signals is not None:
            self.signals.close_in_child()
        if self.inherited is not None:
            self.inherited.leave_in_child()

    def claim(self, name: str) -> int:
        """Return the socket that the former arbiter has passed under `name`, -1 if there is none.
        It is the caller's from then on.
        """
        found = self.inherited.claim(name) if self.inherited is not None else []
        return found[0][1] if found else -1

    def add_holder(self, holder: Holder) -> None:
        """Have a successor get what `holder` has; a successor serves it only when it takes over."""
        self.holders.append(holder)
        if self.inherited is not None:
            holder.hold()

    def passing(self) -> list[tuple[str, int, int]]:
        """Return the sockets that a successor gets: name, slot and descriptor of each."""
        found = [one for listener in self.listeners for one in listener.passing()]
        return found + [one for holder in self.holders for one in holder.passing()]

    def take_over(self) -> None:
        """Take the place of the former arbiter, as its successor; raises BootError."""
        assert self.inherited is not None
        if self._pid_file is not None:
            self._pid_file.write()
        self.sockets.go_on()
        self.inherited.taken = True
        self.inherited.remove()
        for listener in self.listeners:
            listener.tune(self.config)
        for holder in self.holders:
            holder.go_on()

    def take_back(self) -> None:
        """Be whose the files are, after a successor has failed to take over."""
        try:
            if self._pid_file is not None:
                self._pid_file.write()
        except BootError as exc:
            self.log.error(str(exc))

    def retire(self) -> None:
        """Leave to the successor, which has taken over, what is its own now."""
        self.retired = True
        for listener in self.listeners:
            listener.disown()
        for holder in self.holders:
            holder.hold()

    def remove_files(self) -> None:
        """Stop listening, and remove the files of sockets and the pid file, as far as they are this
        process's; idempotent.
        """
        self.close_listeners()
        for listener in self.listeners:
            listener.remove()
        if self._pid_file is not None:
            self._pid_file.remove()

    def release(self) -> None:
        """End the rest: the signals and the log. Nothing of this is to be used afterwards."""
        if self.signals is not None:
            self.signals.close()
            self.signals = None
        log.close()
        gc.unfreeze()  # what forks have frozen; the process may go on

    def _inherit(self) -> None:
        from granite.arbiter.inherited import Inherited, SuccessorNotifier

        self.inherited = Inherited.take(os.environ)
        if self.inherited is not None:
            self.notifier = SuccessorNotifier(self.notifier, self.inherited.line)

    def _prepare(self) -> None:
        config = self.config
        self.titles = process.Titles(config)
        # From here on, relative paths are those of the settings.
        environment.change_dir(config.working_dir)
        environment.set_raw(config.raw_env)
        self.identity = process.Identity.find(config)
        process.limit(config)
        self._pid_file: PidFile | None = None
        if config.pid_file is not None:
            from granite.arbiter.pidfile import PidFile

            former = self.inherited.former if self.inherited is not None else None
            self._pid_file = PidFile(config.pid_file, former)
            self._pid_file.check()
        self.log = log.Log(config, process.owner(self.identity))
        self.titles.arbiter()
