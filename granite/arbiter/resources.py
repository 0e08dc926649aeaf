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
from granite.arbiter.signals import SignalQueue
from granite.arbiter.systemd import Notifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.pidfile import PidFile
    from granite.settings.config import Config

__all__ = ["Resources"]


class Resources:
    """Prepare this process as the settings say; raises BootError if the system refuses, and
    UsageError for a setting that it does not know.

    `notifier` tells the service manager, `titles` names processes, `identity` is who workers
    become, `log` is the arbiter's. `open()` makes `signals` and `listeners`, `release()` ends all.
    """

    __slots__ = (
        "_pid_file",
        "config",
        "identity",
        "listeners",
        "log",
        "notifier",
        "signals",
        "titles",
    )

    def __init__(self, config: Config) -> None:
        process.keep_streams()
        self.config = config
        self.listeners: list[Listener] = []
        self.signals: SignalQueue | None = None
        self.notifier = Notifier(os.environ)
        self.titles = process.Titles(config)
        # From here on, relative paths are those of the settings.
        environment.change_dir(config.working_dir)
        environment.set_raw(config.raw_env)
        self.identity = process.Identity.find(config)
        process.limit(config)
        self._pid_file: PidFile | None = None
        if config.pid_file is not None:
            from granite.arbiter.pidfile import PidFile

            self._pid_file = PidFile(config.pid_file)
            self._pid_file.check()
        self.log = log.Log(config, process.owner(self.identity))
        self.titles.arbiter()

    def open(self) -> None:
        """Take over the signals, listen, and write the pid file; raises BootError."""
        self.signals = SignalQueue()
        self.listeners = open_listeners(self.config, os.environ)
        if self._pid_file is not None:
            self._pid_file.write()

    def close_listeners(self) -> None:
        """Accept nothing more in this process; idempotent."""
        for listener in self.listeners:
            listener.close()

    def leave_in_child(self) -> None:
        """Give up, in a forked child, what is the arbiter's alone."""
        if self.signals is not None:
            self.signals.close_in_child()

    def remove_files(self) -> None:
        """Stop listening, and remove the files of sockets and the pid file; idempotent."""
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
