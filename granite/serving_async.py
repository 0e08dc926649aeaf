"""An application being served on an event loop of asyncio's kind.

Owns the order of things: lifespan startup → the core's server accepts → drain → lifespan shutdown;
and the unmaking of the event loop. Must not know processes, signals or threads. Runs on the event
loop's thread.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from granite.interfaces.asgi import Lifespan
from granite.serving import Serving, Stopping

if TYPE_CHECKING:
    from granite._core.exchange import Interface
    from granite.interfaces.choice import Application
    from granite.settings.config import Config

__all__ = ["AsyncServing", "run"]

T = TypeVar("T")

# Seconds that tasks get to react to their cancellation before the loop is closed over them.
_CANCEL_GRACE = 1.0


class AsyncServing(Serving):
    """One application on the running loop. `start()`, `accept()` and `stop()` are called once each,
    in this order.

    An application of WSGI holds the loop up while it runs, unless it runs in threads.
    """

    def __init__(self, application: Application, config: Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(application, config, *args, **kwargs)
        # Threads may look at that of WSGI.
        self._stopping = asyncio.Event() if application.is_async else Stopping()
        self._has_begun = False
        lifespan = config.lifespan if application.interface == "asgi" else "off"
        self._lifespan = Lifespan(application.call, lifespan)

    async def start(self) -> None:
        """Run the application's startup and make the server, which does not accept yet.

        Raises LifespanError if the startup fails.
        """
        loop = asyncio.get_running_loop()
        self._has_begun = self.application.begin(loop)
        if self._has_begun:
            self._lifespan.context = contextvars.copy_context()  # with what that has set
        await self._lifespan.startup()
        try:
            self._open(loop, self._interface(loop), self._lifespan.context)
        except BaseException:
            await self._shut_down(1.0)
            raise

    def _interface(self, loop: asyncio.AbstractEventLoop) -> Interface:
        """Make what calls the application."""
        call, context = self.application.call, self._lifespan.context
        if self.application.interface == "rsgi":
            from granite._core.rsgi import RsgiInterface  # for those who serve it

            return RsgiInterface(call, loop, context, self._on_error)
        if self.application.interface == "wsgi":
            return self._wsgi_interface(context, self._stopping)
        from granite._core.asgi import AsgiInterface

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
        idle = asyncio.Event()
        self._begin_drain(min(grace, timeout / 2), idle.set, on_draining)
        if self.server is not None:
            drained = await self._wait(idle, timeout, hurry)
            if not drained:
                self._tell_cut(timeout - (deadline - loop.time()))
            self.server.close()
        left = 0.0 if hurry is not None and hurry.is_set() else deadline - loop.time()
        shut_down = await self._shut_down(max(left, 1.0))
        return drained and shut_down

    @staticmethod
    async def _wait(idle: asyncio.Event, timeout: float, hurry: asyncio.Event | None) -> bool:
        # Tasks of our own make, since the application's task factory may be anything.
        waits = {asyncio.Task(event.wait()) for event in (idle, hurry) if event is not None}
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return idle.is_set()


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
