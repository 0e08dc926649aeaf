"""A server inside of a program's own event loop: `async with Server(app) as server: …`.

Owns the life of one server on the running loop: its sockets, its start, its end. Must not know
processes, and touches neither signals nor the logging of the program. Runs on the event loop's
thread, whichever that is.

Theory of operation:

    NEW --start()--> STARTING --the application is ready--> SERVING
    SERVING --stop(), or serve() is cancelled--> STOPPING --everything is closed--> STOPPED
    STARTING --it fails, stop(), or start() is cancelled--> STOPPED
    NEW --stop()--> STOPPED

The end runs in a task of its own, for which everybody waits who asked for it: none of them takes it
along when cancelled.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from types import TracebackType
from typing import Any

from granite.arbiter.listeners import Listener, open_listeners
from granite.errors import BootError, UsageError, reason
from granite.interfaces import loading
from granite.interfaces.choice import choose, is_application
from granite.keywords import read_keywords
from granite.secure import load_context
from granite.serving import GRACE
from granite.serving_async import AsyncServing
from granite.settings import BY_NAME, SECTIONS

__all__ = ["Server"]

logger = logging.getLogger("granite.error")

# What is logged; the program says where.
_OUR_LOGGING = ("access_log", "access_log_fmt", "access_log_exclude", "request_id_header")
_NO_PROCESS = "an embedded server has no processes of its own"
_REFUSED = {
    **{
        setting.name: _NO_PROCESS
        for section in SECTIONS
        if section.title in ("Process", "Reloading", "Metrics")
        for setting in section.settings
        if setting.name != "graceful_timeout"
    },
    **{
        setting.name: "the logging of the program is its own; see its loggers granite.error and "
        "granite.access"
        for section in SECTIONS
        if section.title == "Logging"
        for setting in section.settings
        if setting.name not in _OUR_LOGGING
    },
    **dict.fromkeys(
        ("working_dir", "pythonpath", "raw_env", "env_files", "preload", "reuse_port"), _NO_PROCESS
    ),
    "loop": "an embedded server runs on the loop that is running",
    "target": "the first argument is the application",
}


class _State(enum.Enum):
    NEW = "new"
    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Server:
    """Serve `app`, an application or a target such as "package.main:app", on the running loop.

    One of WSGI blocks the loop while it handles a request, unless `blocking_threads` is set.

    `settings` are granite's settings by name, with the defaults of `granite run`. Settings of the
    processes, the logging and the event loop are the program's own here: UsageError is raised for
    one that is given, as for an unknown name or a wrong value.

    A server is started once, by `serve()`, `start()` or `async with`; several may run in one loop.
    All methods belong to the loop's thread. No signal handlers are installed: what ends the server
    is `stop()`, or the cancellation of `serve()`.
    """

    def __init__(self, app: Any, **settings: Any) -> None:
        loaded = read_keywords(settings)
        self.config = loaded.config
        for name in loaded.origins:
            if name in _REFUSED and getattr(self.config, name) != BY_NAME[name][0].default:
                raise UsageError(f"{name}: cannot be set here, since {_REFUSED[name]}")
        if not is_application(app) and not isinstance(app, str):
            raise UsageError(
                'expected an application or a target, "module:attribute" such as package.main:app, '
                f"got {app!r}"
            )
        self._app = app
        self._notes = loaded.notes
        self._state = _State.NEW
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: list[Listener] = []
        self._serving: AsyncServing | None = None
        self._ending: asyncio.Task[bool] | None = None
        self._started = False
        self._settled = asyncio.Event()  # the start is over, well or not
        self._give_up = asyncio.Event()  # stop() came during the start
        self._hurry = asyncio.Event()  # the drain is to be cut short
        self._ended = asyncio.Event()  # all is closed

    @property
    def urls(self) -> list[str]:
        """What the server listens on, such as "http://127.0.0.1:8000" or "unix:/run/app.sock"; an
        empty list before its start.
        """
        return [listener.url for listener in self._listeners]

    @property
    def port(self) -> int:
        """The TCP port that the server listens on, the first of several.

        Raises RuntimeError before the start, and where there is none.
        """
        for listener in self._listeners:
            if listener.tcp is not None:
                return listener.tcp[1]
        raise RuntimeError("no port: the server has not started, or listens on Unix sockets alone")

    async def serve(self) -> None:
        """Start, and return when the server has been stopped; a cancellation stops it as `stop()`
        does, and a second one at once.

        Raises what `start()` raises; returns where `stop()` came before the start was over.
        """
        try:
            await self.start()
        except _StoppedError:
            return
        try:
            await self._ended.wait()
        except asyncio.CancelledError:
            await self._end()
            raise

    async def start(self) -> None:
        """Load the application, open the sockets, run the lifespan's startup; return when
        connections are accepted.

        Raises LoadError, LifespanError (the application), BootError (a port in use, a missing
        directory), with everything closed; RuntimeError if the server was started or stopped
        before.
        """
        if self._state is _State.STOPPED and self._loop is None:
            raise _StoppedError("the server was stopped before its start")
        if self._state is not _State.NEW:
            raise RuntimeError("a server is started once; make another one")
        self._state = _State.STARTING
        self._loop = asyncio.get_running_loop()
        try:
            await self._open()
        except BaseException:
            await self._close(0.0)
            raise
        finally:
            self._settled.set()
        for url in self.urls:
            logger.info("listening on %s", url)

    async def wait_started(self) -> None:
        """Return when the server accepts connections; raise RuntimeError if it was stopped first or
        could not start.
        """
        await self._settled.wait()
        if not self._started:
            raise RuntimeError("the server did not start")

    async def stop(self, timeout: float | None = None) -> bool:
        """Stop accepting, let requests in flight finish, run the lifespan's shutdown, close
        everything; return True if nothing was cut short.

        `timeout`, in seconds, is the time for all of it (None: the setting `graceful_timeout`; 0:
        end at once). Idempotent: later calls wait for the same end, and may shorten its time. If
        the caller is cancelled, the end goes on. A request that stops its own server must not wait
        for it: `asyncio.create_task(server.stop())`.
        """
        if self._state is _State.NEW:
            self._state = _State.STOPPED
            self._settled.set()
            self._ended.set()
        if self._state is _State.STOPPED:
            return True
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("stop() was called on another event loop than the server's")
        if self._state is _State.STARTING:
            self._give_up.set()
            await self._ended.wait()
            return True
        if self._ending is None:
            self._state = _State.STOPPING
            patience = self.config.graceful_timeout if timeout is None else timeout
            # A task of our own make, since the task factory of the program may be anything.
            self._ending = asyncio.Task(self._close(patience), name="granite server's end")
        elif timeout is not None:
            self._loop.call_later(timeout, self._hurry.set)
        return await asyncio.shield(self._ending)

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        """Stop and see it through: a cancellation meanwhile makes it quick, and is raised behind
        it.
        """
        try:
            await self.stop()
        except asyncio.CancelledError:
            self._hurry.set()
            await self._ended.wait()
            raise

    async def _open(self) -> None:
        for note in self._notes:
            getattr(logger, note.level)("%s", note.text)
        app = self._app
        if isinstance(app, str):
            app = loading.load(app, self.config.factory)
        elif self.config.factory:
            app = app()
        application = choose(app, self.config.interface)
        secure = load_context(self.config)
        # Before the application starts: it need not start for a port that is in use.
        self._listeners = open_listeners(self.config, {})
        self._serving = AsyncServing(application, self.config, secure=secure)
        await self._start(self._serving)
        self._serving.be_alone(asyncio.get_running_loop())
        self._serving.tell_interface()
        try:
            self._serving.accept(listener.fd for listener in self._listeners)
        except OSError as exc:
            raise BootError(f"the event loop refuses a socket: {reason(exc)}") from exc
        for listener in self._listeners:
            listener.close()
        self._state = _State.SERVING
        self._started = True

    async def _start(self, serving: AsyncServing) -> None:
        """Run the startup, until it is over or `stop()` is called."""
        starting = asyncio.Task(serving.start())
        giving_up = asyncio.Task(self._give_up.wait())
        try:
            await asyncio.wait({starting, giving_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            giving_up.cancel()
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting})
        if not starting.cancelled():
            starting.result()
        if self._give_up.is_set():
            raise _StoppedError("the server was stopped before its start was over")

    async def _close(self, timeout: float) -> bool:
        """Close everything; return True if nothing was cut short."""
        try:
            if self._serving is None:
                return True
            return await self._serving.stop(timeout, self._hurry, GRACE)
        finally:
            if self._serving is not None and self._serving.server is not None:
                self._serving.server.close()  # where the drain was cancelled, with all tasks
            for listener in self._listeners:
                listener.remove()
                listener.close()
            self._state = _State.STOPPED
            self._ended.set()


class _StoppedError(RuntimeError):
    """`stop()` came before the start was over."""
