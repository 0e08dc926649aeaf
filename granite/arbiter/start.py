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

__all__ = ["WorkerStart"]


class WorkerStart:
    """What a worker process needs to know.

    `index` is the number of its slot, from 1; `listeners` and `channel` are descriptors. It gets
    its application from `load_target`, where that is given, else from `config.target`. `server` and
    `worker` are what hooks see, None where no hook is set. `identity` is the user and group that it
    has to become, None to stay who it is.
    """

    __slots__ = (
        "channel",
        "config",
        "hooks",
        "identity",
        "index",
        "listeners",
        "load_target",
        "server",
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
        titles: Titles,
        hooks: Hooks,
        identity: Identity | None = None,
        load_target: Callable[[], Any] | None = None,
        server: HookServer | None = None,
        worker: HookWorker | None = None,
    ) -> None:
        self.config = config
        self.index = index
        self.listeners = listeners
        self.channel = channel
        self.titles = titles
        self.hooks = hooks
        self.identity = identity
        self.load_target = load_target
        self.server = server
        self.worker = worker
