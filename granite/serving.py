"""An application being served on one event loop: what the worker and the test server have in
common.

Owns the order of things: lifespan startup → the core's server accepts → drain → lifespan shutdown;
and the making and unmaking of the event loop. Must not know processes, signals or threads. Runs on
the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from granite._core.asgi import AsgiInterface
from granite._core.exchange import Interface, RequestIds
from granite._core.server import Server
from granite._core.transport import SecureContext
from granite.access_log import access_log
from granite.errors import BootError
from granite.interfaces.asgi import Lifespan
from granite.interfaces.choice import Application
from granite.request_id import VARIABLE
from granite.settings.config import Config

__all__ = ["GRACE", "Serving", "find_event_loop", "new_event_loop", "run"]

T = TypeVar("T")

logger = logging.getLogger("granite.error")

# Seconds that a drain leaves to the next request of a connection that has just been busy: it may be
# on its way.
GRACE = 0.5

# Seconds that tasks get to react to their cancellation before the loop is closed over them.
_CANCEL_GRACE = 1.0


class Serving:
    """One application on the running loop, from its startup to its shutdown.

    `start()`, `accept()` and `stop()` are called once each, in this order. `on_error` is called
    with each exception that escapes the application's handling of a request, `on_max_requests` once
    when it was given `max_requests` requests. `secure` makes connections TLS (see
    `granite.secure`). `worker` is the number of this worker's slot, if it has one.
    """

    def __init__(
        self,
        application: Application,
        config: Config,
        on_error: Callable[[BaseException], None] | None = None,
        secure: SecureContext | None = None,
        max_requests: int = 0,
        on_max_requests: Callable[[], object] | None = None,
        worker: int = 0,
    ) -> None:
        self.server: Server | None = None
        self._secure = secure
        self._max_requests = max_requests
        self._on_max_requests = on_max_requests
        self._worker = worker
        self._stopping = asyncio.Event()
        self._draining = False
        self.application = application
        self._has_begun = False
        self._config = config
        self._on_error = on_error
        lifespan = config.lifespan if application.interface == "asgi" else "off"
        self._lifespan = Lifespan(application.call, lifespan)

    async def start(self) -> None:
        """Run the application's startup and make the server, which does not accept yet.

        Raises LifespanError if the startup fails.
        """
        self._has_begun = self.application.begin(asyncio.get_running_loop())
        if self._has_begun:
            self._lifespan.context = contextvars.copy_context()  # with what that has set
        await self._lifespan.startup()
        try:
            self.server = Server(
                asyncio.get_running_loop(),
                self._interface(asyncio.get_running_loop()),
                config=self._config,
                context=self._lifespan.context,
                secure=self._secure,
                max_requests=self._max_requests,
                on_max_requests=self._on_max_requests,
                access_log=access_log(self._config, self._worker),
                request_ids=_request_ids(self._config),
            )
        except BaseException:
            await self._shut_down(1.0)
            raise

    def _interface(self, loop: asyncio.AbstractEventLoop) -> Interface:
        """Make what calls the application."""
        call, context = self.application.call, self._lifespan.context
        if self.application.interface == "rsgi":
            from granite._core.rsgi import RsgiInterface  # for those who serve it

            return RsgiInterface(call, loop, context, self._on_error)
        return AsgiInterface(
            call,
            loop,
            context,
            self._lifespan.state,
            {"granite.stopping": self._stopping},
            self._config.url_path_prefix,
            self._on_error,
        )

    async def _shut_down(self, timeout: float) -> bool:
        """Run the application's shutdown, as far as its startup was run here."""
        done = await self._lifespan.shutdown(timeout)
        if self._has_begun:
            self.application.end(asyncio.get_running_loop())
        return done

    def tell_interface(self) -> None:
        """Log by which interface the application is served."""
        logger.info("the application is served by %s", self.application.title)

    def share(self, index: int, sharing: tuple[int, ...]) -> None:
        """Share connections out evenly with the workers of other slots, by what these descriptors
        are (see `granite.arbiter.slot_sockets`). To be called before `accept()`; raises OSError.
        """
        assert self.server is not None
        if sharing:
            self.server.share(index, *sharing)

    def accept(self, listeners: Iterable[int], group: int = 0) -> None:
        """Accept connections from these listening sockets, given by their descriptors, until
        `release()` is called for their group, or the server is stopped; then it does nothing.

        The core duplicates them: the caller may close its own, and has to, for else clients can
        still connect after the drain. Raises OSError if the event loop refuses one.
        """
        assert self.server is not None
        if not self._draining:
            for listener in listeners:
                self.server.listen(listener, group)

    def release(self, group: int) -> None:
        """Accept no longer from the listening sockets of a group."""
        if self.server is not None and not self._draining:
            self.server.release(group)

    def notice(self) -> None:
        """Tell the application that the server is going to stop: what every request's scope has as
        extension "granite.stopping", an asyncio.Event, is set.
        """
        self._stopping.set()

    async def stop(
        self,
        timeout: float,
        hurry: asyncio.Event | None = None,
        grace: float = 0.0,
        on_draining: Callable[[], object] | None = None,
    ) -> bool:
        """Drain, close the server, and run the lifespan's shutdown, all within `timeout` seconds.

        Connections that were busy less than `grace` seconds ago have that time for the next request
        that may be on its way; idle ones are closed at once.
        Requests in flight may finish until the time is up or `hurry` is set; then their connections
        are aborted, and the lifespan's shutdown gets what time is left, but at least one second.
        `on_draining` is called when no more connections are accepted.
        Return True if nothing was cut short.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        drained = True
        self._draining = True
        self.notice()
        if self.server is not None:
            idle = self._begin_drain(self.server, min(grace, timeout / 2))
            if on_draining is not None:
                on_draining()
            drained = await self._wait(idle, timeout, hurry)
            if not drained:
                _tell_cut(self.server, timeout - (deadline - loop.time()))
            self.server.close()
        left = 0.0 if hurry is not None and hurry.is_set() else deadline - loop.time()
        shut_down = await self._shut_down(max(left, 1.0))
        return drained and shut_down

    @staticmethod
    def _begin_drain(server: Server, grace: float) -> asyncio.Event:
        """Accept no longer; return what is set when nothing is in progress any more."""
        idle = asyncio.Event()
        server.drain(idle.set, grace)
        logger.debug("draining: %d connections left", server.connections)
        return idle

    @staticmethod
    async def _wait(idle: asyncio.Event, timeout: float, hurry: asyncio.Event | None) -> bool:
        # Tasks of our own make, since the application's task factory may be anything.
        waits = {asyncio.Task(event.wait()) for event in (idle, hurry) if event is not None}
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return idle.is_set()


def _request_ids(config: Config) -> RequestIds | None:
    name = config.request_id_header
    return None if name is None else RequestIds(name, VARIABLE)


def _tell_cut(server: Server, seconds: float) -> None:
    """Log what is about to be cut short, after so many seconds of draining."""
    counters = server.counters()
    # An application that has returned may still have its response on the way.
    what, count = "request", counters["running"] + counters["waiting"]
    if not count:
        what, count = "connection", counters["connections"]
    were = " was" if count == 1 else "s were"
    logger.warning("%d %s%s cut short after %g s", count, what, were, round(seconds, 1))


def new_event_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Make the event loop that the setting `loop` names; raise BootError if it is not installed."""
    return find_event_loop(kind)()


def find_event_loop(kind: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop that the setting `loop` names; raise BootError if it is not
    installed.
    """
    if kind != "asyncio":
        try:
            import uvloop
        except ImportError:
            if kind == "uvloop":
                raise BootError(
                    "loop: uvloop is not installed; install it or take --loop asyncio"
                ) from None
        else:
            found: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
            return found
    return asyncio.new_event_loop


def run(
    loop: asyncio.AbstractEventLoop,
    main: Coroutine[Any, Any, T],
    application: Application | None = None,
) -> T:
    """Run `main` to its end on `loop`, cancel what is left, and close the loop; around it, do what
    `application` does while the loop does not run. Raises LifespanError where that fails.

    Like `asyncio.run`, for a loop that exists already. Unlike it, a task that ignores its
    cancellation holds the end up for one second only.
    """
    try:
        asyncio.set_event_loop(loop)
        return _run_between(loop, main, application)
    finally:
        try:
            loop.set_task_factory(None)  # the application's may be anything
            loop.run_until_complete(_cancel_all_tasks())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            # Without shutdown_default_executor: before Python 3.12 it waits without a bound for a
            # thread that is stuck.
            asyncio.set_event_loop(None)
            loop.close()


def _run_between(
    loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, T], application: Application | None
) -> T:
    if application is None:
        return loop.run_until_complete(main)
    try:
        application.begin(loop)
        return loop.run_until_complete(main)
    finally:
        main.close()  # where it was not begun
        application.end(loop)


async def _cancel_all_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_CANCEL_GRACE)
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            asyncio.get_running_loop().call_exception_handler(
                {
                    "message": "a task raised while the server was stopping",
                    "exception": task.exception(),
                    "task": task,
                }
            )
