"""An application of WSGI being served without asyncio, on granite's own event loop.

Owns the order of things: the core's server accepts → drain → its end. Must not know processes,
signals or threads, nor import asyncio. Runs on the event loop's thread.

Theory of operation: `run()` takes the loop's turns. But an application that waits for a request's
body takes turns as well, from inside of its call, and `run()` does not go on before that returns.
So whatever ends the serving is done by callbacks of the loop, wherever its turns are taken, and
`run()` only sees that it has come to an end.
"""

from __future__ import annotations

import contextvars

from granite._core.loop import Flag
from granite.serving import Serving, Stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from granite._core.loop import Handle, Loop
    from granite.interfaces.choice import Application
    from granite.settings.config import Config

__all__ = ["WsgiServing"]


class WsgiServing(Serving):
    """One application on `loop`. `start()`, `accept()` and `run()` are called once each, in this
    order; `end()` and `hurry()` at any time.
    """

    def __init__(
        self, application: Application, config: Config, loop: Loop, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(application, config, *args, **kwargs)
        self._loop = loop
        self._stopping = Stopping()
        self._over = Flag()
        self._idle = False
        self._ended_at = 0.0
        self._timer: Handle | None = None

    def start(self) -> None:
        """Make the server, which does not accept yet."""
        context = contextvars.copy_context()
        self._open(self._loop, self._wsgi_interface(context, self._stopping), context)

    def run(self) -> bool:
        """Serve until the end; return True if nothing was cut short."""
        assert self.server is not None
        self._loop.run_until(self._over)
        if self._timer is not None:
            self._timer.cancel()
        self.server.close()
        return self._idle

    def end(
        self,
        timeout: float,
        grace: float = 0.0,
        on_draining: Callable[[], object] | None = None,
    ) -> None:
        """Have `run()` drain and return within `timeout` seconds; a second call changes nothing.

        Connections that were busy less than `grace` seconds ago have that time for the next request
        that may be on its way; idle ones are closed at once. Requests in flight may finish until
        the time is up or `hurry()` is called; then their connections are aborted.
        `on_draining` is called when no more connections are accepted.
        """
        if self._draining:
            return
        self._ended_at = self._loop.time()
        self._begin_drain(min(grace, timeout / 2), self._on_idle, on_draining)
        self._timer = self._loop.call_later(timeout, self._cut)

    def hurry(self) -> None:
        """Cut short what has not ended, if `end()` was called."""
        if self._draining:
            self._cut()

    def _on_idle(self) -> None:
        self._idle = not self._over.is_set()
        self._over.set()

    def _cut(self) -> None:
        if self.server is not None and not self._over.is_set():
            self._tell_cut(self._loop.time() - self._ended_at)
            # Whoever waits for one of them, inside of a call, is told so.
            self.server.abort()
        self._over.set()
