"""A worker that serves WSGI without asyncio.

Owns the order of its steps. Must not know the process, nor import asyncio. On the event loop of the
worker's main thread.
"""

from __future__ import annotations

from granite._core.loop import Loop
from granite.arbiter import signals
from granite.errors import EXIT_BOOT, EXIT_OK
from granite.serving import GRACE
from granite.serving_wsgi import WsgiServing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.duty import Duty
    from granite.interfaces.choice import Application

__all__ = ["serve"]


def serve(duty: Duty, application: Application) -> int:
    """Serve the application until the worker is to end; return the exit status."""
    loop = Loop()
    try:
        return _serve(duty, application, loop)
    finally:
        signals.end_in_child()  # first, as the loop gives back what nobody has taken since
        loop.close()


def _serve(duty: Duty, application: Application, loop: Loop) -> int:
    def stop() -> None:
        serving.end(duty.config.graceful_timeout, GRACE, duty.draining)

    duty.begin(loop, stop, lambda: serving.hurry())
    serving = WsgiServing(application, duty.config, loop, **duty.of_serving())
    try:
        serving.start()
    except Exception:
        return duty.tell_failure()
    opened = duty.open(serving)
    if not opened:
        serving.end(0.0)
    serving.run()
    duty.end()
    return EXIT_OK if opened else EXIT_BOOT
