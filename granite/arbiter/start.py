"""What a worker process is told by the fork: plain values and objects that the arbiter made.

Owns nothing that runs. Must not know what a worker does with it. Made in the child, on the main
thread.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from granite.hooks import HookServer, HookWorker
    from granite.process import Identity, Titles
    from granite.settings.config import Config
    from granite.settings.hooks import Hooks

__all__ = ["TEMPLATE", "WorkerStart"]

# The index of a process that serves no slot: it is the template that workers are forked from.
TEMPLATE = 0


class WorkerStart:
    """What a worker process needs to know.

    `index` is the number of its slot, from 1, or TEMPLATE; `listeners`, `channel` and `report`,
    where it writes what it does when it dies or is asked (-1: nowhere), are descriptors. It gets
    its application from `load_target`, where that is given, else from `config.target`. `server` and
    `worker` are what hooks see, None where no hook is set. `identity` is the user and group that it
    has to become, None to stay who it is. `key_files` is what was good of certificates and keys, by
    path, where the arbiter looks after them.
    """

    __slots__ = (
        "channel",
        "config",
        "hooks",
        "identity",
        "index",
        "key_files",
        "listeners",
        "load_target",
        "report",
        "server",
        "sharing",
        "titles",
        "worker",
    )

    def __init__(
        self,
        config: Config,
        index: int,
        listeners: tuple[int, ...],
        channel: int,
        *,
        report: int,
        titles: Titles,
        hooks: Hooks,
        identity: Identity | None = None,
        key_files: dict[str, bytes] | None = None,
        load_target: Callable[[], Any] | None = None,
        server: HookServer | None = None,
        sharing: tuple[int, ...] = (),
        worker: HookWorker | None = None,
    ) -> None:
        self.config = config
        self.index = index
        self.listeners = listeners
        self.channel = channel
        self.report = report
        self.titles = titles
        self.hooks = hooks
        self.identity = identity
        self.key_files = key_files
        self.load_target = load_target
        self.server = server
        self.sharing = sharing
        self.worker = worker

    def of_worker(
        self,
        index: int,
        listeners: tuple[int, ...],
        channel: int,
        report: int,
        worker: HookWorker | None,
    ) -> WorkerStart:
        """Return what a worker needs to know which is forked from a template that was told this."""
        return WorkerStart(
            self.config,
            index,
            listeners,
            channel,
            report=report,
            titles=self.titles,
            hooks=self.hooks,
            server=self.server,
            sharing=self.sharing,
            worker=worker,
        )
