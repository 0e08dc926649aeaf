"""The lifespan protocol of ASGI (specification "Lifespan Protocol", version 2.0).

Owns the application's one lifespan task: its scope, its receive and send, and what the three modes
make of an application that fails or has no lifespan. Must not know the server, its sockets, or its
processes. Runs on the event loop's thread.

Theory of operation: the task is started by `startup()` and lives until `shutdown()`. `_phase` says
which message is due:

    IDLE --startup()--> STARTING --startup.complete--> STARTED
    STARTED --shutdown()--> STOPPING --shutdown.complete or shutdown.failed--> STOPPED
    STARTING --startup.failed, or the application raises or returns--> STOPPED

Each phase that waits for the application ends when its message arrives or when the task does,
whichever is first.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from granite.errors import LifespanError

__all__ = ["Lifespan"]

logger = logging.getLogger("granite.error")

# Seconds that a cancelled lifespan gets for its cleaning up.
_CANCEL_GRACE = 1.0

Message = dict[str, Any]
Application = Callable[
    [dict[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


class _Phase(enum.Enum):
    IDLE = "not started"
    STARTING = "starting"
    STARTED = "serving"
    STOPPING = "shutting down"
    STOPPED = "ended"


class Lifespan:
    """Run the lifespan of one application.

    `mode` is "auto" (an application that raises or returns before it has answered startup is served
    without lifespan), "on" (that is a failure) or "off" (the application is never asked).

    After `startup()`, `state` is what requests get as their scope's "state" (None: no such key) and
    `context` is the context in which the startup ran, with the variables that it set.
    """

    def __init__(self, app: Application, mode: str = "auto") -> None:
        self.state: dict[str, Any] | None = None
        self.context = contextvars.copy_context()
        self._app = app
        self._mode = mode
        self._phase = _Phase.IDLE
        self._failure: str | None = None
        self._startup_received = False
        self._task: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()
        self._stopping = asyncio.Event()

    async def startup(self) -> None:
        """Start the task and wait until the application is ready.

        Raises LifespanError if the application reports a failure or, with mode "on", ends before it
        is ready. If the caller is cancelled, so is the application's startup.
        """
        if self._mode == "off":
            return
        self._phase = _Phase.STARTING
        self.state = {}
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        # Context.run, since create_task takes a context from Python 3.11 on only.
        task = self._task = self.context.run(
            asyncio.create_task, self._run(scope), name="granite lifespan"
        )
        task.add_done_callback(self._on_task_done)
        try:
            await self._answered.wait()
        except asyncio.CancelledError:
            await self._cancel_task(task)
            raise
        if self._failure is not None:
            await self._cancel_task(task)
            raise self._startup_failed(self._failure)
        if self._phase is _Phase.STARTING:
            self._ended_early(task)

    async def shutdown(self, timeout: float) -> bool:
        """Tell the application to shut down, and wait for it at most `timeout` seconds.

        Return False if it failed, raised or did not end in time; that has been logged. Does
        nothing, and returns True, where no lifespan runs.
        """
        task = self._task
        if task is None or task.done() or self._phase is not _Phase.STARTED:
            return True
        self._phase = _Phase.STOPPING
        self._stopping.set()
        # The task is waited for, not its message alone: what follows shutdown.complete belongs to
        # the cleaning up.
        await asyncio.wait({task}, timeout=timeout)
        if not task.done():
            logger.error("the application's lifespan did not end in time: it is cancelled")
            await self._cancel_task(task)
            return False
        raised = self._phase is _Phase.STOPPING and _exception(task) is not None
        self._phase = _Phase.STOPPED
        return not raised and self._failure is None

    async def _run(self, scope: dict[str, Any]) -> None:
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._startup_received:
            self._startup_received = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        if self._phase is _Phase.STOPPED:
            raise RuntimeError(
                "receive() after the lifespan has ended: no message follows lifespan.shutdown"
            )
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message.get("type") if isinstance(message, dict) else type(message)
        if self._phase is _Phase.STARTING and kind == "lifespan.startup.complete":
            self._phase = _Phase.STARTED
            # A copy of the task's context: on Python 3.10 a task always runs in a copy of its own.
            self.context = contextvars.copy_context()
            self._answered.set()
        elif self._phase is _Phase.STARTING and kind == "lifespan.startup.failed":
            self._fail(message)
            self._answered.set()
        elif self._phase is _Phase.STOPPING and kind == "lifespan.shutdown.complete":
            self._phase = _Phase.STOPPED
        elif self._phase is _Phase.STOPPING and kind == "lifespan.shutdown.failed":
            self._fail(message)
            logger.error("the application's shutdown failed: %s", self._failure)
        else:
            raise RuntimeError(f"send(): expected {_EXPECTED[self._phase]}, got {kind!r}")

    def _fail(self, message: Message) -> None:
        self._phase = _Phase.STOPPED
        self._failure = str(message.get("message", "")).rstrip()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._answered.set()
        exception = _exception(task)
        if exception is None or self._phase is _Phase.STARTING:
            return  # startup() reports what ended before it
        if self._phase is _Phase.STOPPED:
            logger.debug("the application's lifespan raised after its end", exc_info=exception)
        else:
            logger.error(
                "the application's lifespan raised while %s", self._phase.value, exc_info=exception
            )

    def _startup_failed(self, reason: str) -> LifespanError:
        first, _, rest = (reason.lstrip("\r\n") or "no reason was given").partition("\n")
        if "Traceback" in first:  # frameworks send a whole one: its last line says what happened
            first, rest = reason.splitlines()[-1], reason
        return LifespanError(f"the application's startup failed: {first}", rest or None)

    def _ended_early(self, task: asyncio.Task[None]) -> None:
        self._phase = _Phase.STOPPED
        self.state = None
        exception = _exception(task)
        what = "returned" if exception is None else f"raised {exception!r}"
        if self._mode == "on":
            error = LifespanError(
                f"the application {what} before lifespan.startup.complete, and lifespan is on"
            )
            if exception is not None:
                error.details = _format(exception)
            raise error from exception
        logger.info(
            "the application %s before lifespan.startup.complete: it is served without lifespan",
            what,
        )
        logger.debug("lifespan", exc_info=exception)

    async def _cancel_task(self, task: asyncio.Task[None]) -> None:
        self._phase = _Phase.STOPPED
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_GRACE)


_EXPECTED = {
    _Phase.IDLE: "nothing yet",
    _Phase.STARTING: "'lifespan.startup.complete' or 'lifespan.startup.failed'",
    _Phase.STARTED: "nothing before lifespan.shutdown has been received",
    _Phase.STOPPING: "'lifespan.shutdown.complete' or 'lifespan.shutdown.failed'",
    _Phase.STOPPED: "nothing more",
}


def _exception(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


def _format(exception: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(exception)).rstrip()
