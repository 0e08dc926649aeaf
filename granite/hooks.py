"""What an operator's hooks get to see: the objects `server`, `worker` and their `cfg`.

Owns the attributes, which go by Gunicorn's names so that its config files work unmodified, and the
failure of a hook. Must not know when a hook is called, nor do anything to a process: these objects
tell, and hooks may keep attributes of their own on them. Loaded only where hooks are set. The main
thread of the arbiter and, in copies of their own, that of each worker.
"""

from __future__ import annotations

import os
import sys

from granite.errors import EXIT_BOOT, GraniteError
from granite.settings import BY_NAME, SETTINGS
from granite.settings.address import TCP, UNIX, Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from granite.settings.config import Config
    from granite.settings.hooks import Hooks

__all__ = ["HookApp", "HookConfig", "HookError", "HookServer", "HookWorker", "call"]


class HookError(GraniteError):
    """A hook raised; `details` is the formatted traceback, None if it meant to end the process."""

    def __init__(self, message: str, details: str | None, exit_code: int = EXIT_BOOT) -> None:
        super().__init__(message)
        self.details = details
        self.exit_code = exit_code


class HookConfig:
    """The settings, by granite's names and by Gunicorn's. One of Gunicorn's that granite has no
    counterpart for has the value that changes nothing.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def settings(self) -> dict[str, HookSetting]:
        """Every setting by every name; its value is the attribute `value`."""
        return {name: HookSetting(name, getattr(self, name)) for name in _names()}

    @property
    def bind(self) -> list[str]:
        """Where the server is to listen, as text."""
        config = self._config
        if config.bind:
            return list(config.bind)
        if config.uds is not None:
            return [f"unix:{config.uds}"]
        return [str(Address(TCP, host=config.host, port=config.port))]

    @property
    def address(self) -> list[tuple[str, int] | str]:
        """Where the server is to listen: host and port, or the path of a Unix socket."""
        found: list[tuple[str, int] | str] = []
        for text in self.bind:
            address = Address.parse(text)
            if address.kind == TCP:
                found.append((address.host, address.port))
            else:
                found.append(address.name if address.kind == UNIX else text)
        return found

    @property
    def env(self) -> dict[str, str]:
        """The variables of raw_env."""
        return {name: value for name, _, value in (e.partition("=") for e in self._config.raw_env)}

    @property
    def keepalive(self) -> float:
        """Seconds that an idle connection is kept, 0 if none is."""
        return self._config.keep_alive_timeout if self._config.http1_keep_alive else 0

    @property
    def accesslog(self) -> str | None:
        """Where the access log goes, None if there is none."""
        return self._config.access_log_file if self._config.access_log else None

    @property
    def errorlog(self) -> str:
        """Where the error log goes."""
        return self._config.log_file

    @property
    def worker_class_str(self) -> str:
        """What Gunicorn's startup line names."""
        return "granite"

    worker_class = worker_class_str

    def __getattr__(self, name: str) -> Any:
        found = BY_NAME.get(name)
        if found is not None:
            return getattr(self._config, found[0].name)
        from granite.settings.gunicorn import UNMATCHED

        if name not in UNMATCHED:
            raise AttributeError(f"there is no setting {name!r}")
        return UNMATCHED[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *BY_NAME]

    def __repr__(self) -> str:
        return "\n".join(f"{setting.name}: {self._shown(setting.name)}" for setting in SETTINGS)

    def _shown(self, name: str) -> object:
        return BY_NAME[name][0].masked(getattr(self._config, name))


def _names() -> list[str]:
    from granite.settings.gunicorn import UNMATCHED

    return [*BY_NAME, *UNMATCHED, "keepalive", "accesslog", "errorlog", "worker_class"]


class HookSetting:
    """One entry of `cfg.settings`."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self.value = value

    def get(self) -> object:
        """Return the value."""
        return self.value


class HookServer:
    """The argument `server`: the arbiter.

    `WORKERS` are the living workers by process id, `LISTENERS` the open sockets, each with its
    `url`. In a worker process these are what they were when it was forked.
    """

    def __init__(self, config: Config, log: Any) -> None:
        self.log = log
        self.pid = os.getpid()
        self.num_workers = config.workers
        self.worker_age = 0
        self.master_name = "Master"
        self.master_pid = 0
        self.reexec_pid = 0
        self.LISTENERS: Sequence[object] = ()
        self.WORKERS: dict[int, HookWorker] = {}
        self.use(config)

    def use(self, config: Config) -> None:
        """Show other settings from now on."""
        self.cfg = HookConfig(config)
        self.address = self.cfg.address
        self.timeout = config.worker_timeout
        self.proc_name = config.process_name or config.target or "granite"
        self.app = HookApp(self.cfg)

    def new_worker(self) -> HookWorker:
        """Return what stands for the worker that is forked next."""
        self.worker_age += 1
        return HookWorker(self, self.worker_age)

    def __str__(self) -> str:
        return f"<Server {self.pid}>"


class HookWorker:
    """The argument `worker`. `age` counts the workers since the start, from 1; `nr` counts the
    requests of this one where a hook for requests is set; `wsgi` is the application, once it is
    loaded. `pid` is None until it is forked.
    """

    def __init__(self, server: HookServer, age: int) -> None:
        self.age = age
        self.pid: int | None = None
        self.ppid = server.pid
        self.sockets = server.LISTENERS
        self.app = HookApp(server.cfg)
        self.timeout = server.timeout / 2
        self.cfg = server.cfg
        self.log = server.log
        self.booted = False
        self.aborted = False
        self.alive = True
        self.nr = 0
        self.max_requests = server.cfg.max_requests or sys.maxsize
        self.wsgi: Any = None

    def loaded(self, application: Any) -> None:
        """Take in the application."""
        self.wsgi = self.app.callable = application

    def notify(self) -> None:
        """Do nothing: a granite worker need not say that it lives."""

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"


class HookApp:
    """The attribute `app`; `callable` is the application, in a worker that has loaded it."""

    def __init__(self, cfg: HookConfig) -> None:
        self.cfg = cfg
        self.callable: Any = None

    def wsgi(self) -> Any:
        """Return the application."""
        return self.callable


def call(hooks: Hooks, name: str, *arguments: object) -> None:
    """Call the hook `name` if it is set; raise HookError if it raises or exits."""
    if name not in hooks:
        return
    try:
        hooks.call(name, *arguments)
    except SystemExit as exc:
        text = f"the hook {name} ended the server"
        if exc.code is None or isinstance(exc.code, int):
            # As the system cuts it: -1 is 255.
            raise HookError(text, None, (exc.code or 0) & 0xFF) from None
        raise HookError(f"{text}: {exc.code}", None) from None
    except Exception as exc:
        import traceback

        lines = traceback.format_exception(type(exc), exc, exc.__traceback__)
        details = "".join(lines).rstrip()
        raise HookError(f"the hook {name} raised {type(exc).__name__}", details) from exc
