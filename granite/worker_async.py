"""A worker that serves on an event loop of asyncio's kind.

Owns the order of its steps. Must not know the process. On the event loop of the worker's main
thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from granite.errors import EXIT_BOOT, EXIT_OK, GraniteError
from granite.interfaces.choice import Application
from granite.serving import GRACE
from granite.serving_async import AsyncServing, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from granite.duty import Duty

__all__ = ["serve"]


def serve(duty: Duty, application: Application, loop: asyncio.AbstractEventLoop) -> int:
    """Serve the application on `loop` until the worker is to end; return the exit status. Raises
    GraniteError if it does not start.
    """
    return run(loop, _serve(duty, application), application)


async def _serve(duty: Duty, application: Application) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()
    duty.begin(asyncio.get_running_loop(), stop.set, hurry.set)

    async def begin(application: Application) -> AsyncServing:
        serving = AsyncServing(application, duty.config, **duty.of_serving())
        await serving.start()
        return serving

    starting = asyncio.ensure_future(
        _or_explain(begin, application) if duty.config.reload else begin(application)
    )
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return EXIT_OK
    try:
        serving = starting.result()
    except GraniteError:
        raise
    except Exception:
        return duty.tell_failure()
    if not duty.open(serving):
        await serving.stop(0.0)
        return EXIT_BOOT
    await stopping
    await serving.stop(duty.config.graceful_timeout, hurry, GRACE, duty.draining)
    duty.end()
    return EXIT_OK


async def _or_explain(
    begin: Callable[[Application], Awaitable[AsyncServing]], application: Application
) -> AsyncServing:
    """Serve the application, or the page that tells why it cannot be."""
    from granite.development import ErrorPage

    try:
        return await begin(application)
    except GraniteError as exc:
        return await begin(Application(ErrorPage(exc), "asgi"))
