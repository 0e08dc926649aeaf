"""The arbiter's calls of an operator's hooks.

Owns what the hooks see of the arbiter and its workers, and the log of a hook that failed. Must not
know what follows from that. Main thread of the arbiter.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from granite.arbiter.listeners import Listener
    from granite.hooks import HookServer, HookWorker
    from granite.log import Log
    from granite.settings.config import Config
    from granite.settings.hooks import Hooks

__all__ = ["Calls", "HookFailed"]


class HookFailed(Exception):  # noqa: N818 (it is logged already: this unwinds the stack)
    """A hook raised; the server is to end with `exit_code`. `meant` says that this is what the hook
    wants: it has called `sys.exit()`.
    """

    def __init__(self, exit_code: int, meant: bool) -> None:
        super().__init__(exit_code, meant)
        self.exit_code = exit_code
        self.meant = meant


class Calls:
    """Call hooks; every method may raise HookFailed. Without hooks nothing is done or loaded.

    `server` is what they get as their first argument, None where there are none.
    """

    __slots__ = ("_log", "hooks", "server")

    def __init__(self, hooks: Hooks, config: Config, log: Log) -> None:
        self.hooks = hooks
        self._log = log
        self.server: HookServer | None = None
        if hooks.names():
            from granite.hooks import HookServer

            self.server = HookServer(config, log)

    def use(self, hooks: Hooks, config: Config) -> None:
        """Call other hooks from now on."""
        self.hooks = hooks
        if self.server is not None:
            self.server.use(config)
        elif hooks.names():
            from granite.hooks import HookServer

            self.server = HookServer(config, self._log)

    def call(self, name: str, *arguments: object) -> None:
        """Call the hook `name` with the server and `arguments`, if it is set."""
        if self.server is None:
            return
        from granite.hooks import HookError, call

        try:
            call(self.hooks, name, self.server, *arguments)
        except HookError as exc:
            self._log.error(str(exc), exc_info=exc.__cause__)
            raise HookFailed(exc.exit_code, exc.details is None) from None

    def listening(self, listeners: Sequence[Listener]) -> None:
        """The sockets are open, no worker is forked yet."""
        if self.server is not None:
            self.server.LISTENERS = listeners
        self.call("when_ready")

    def before_fork(self) -> HookWorker | None:
        """Return what stands for the worker that is about to be forked."""
        if self.server is None:
            return None
        face = self.server.new_worker()
        self.call("pre_fork", face)
        return face

    def forked(self, face: HookWorker | None, pid: int) -> None:
        """The worker lives."""
        if self.server is not None and face is not None:
            face.pid = pid
            self.server.WORKERS[pid] = face

    def reaped(self, face: HookWorker | None, pid: int) -> None:
        """The worker has ended."""
        if self.server is not None:
            self.server.WORKERS.pop(pid, None)
            self.call("child_exit", face)
