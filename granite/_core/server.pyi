import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

from granite._core.conn import ConnectionHost
from granite._core.exchange import Interface
from granite._core.transport import SecureContext

class Server(ConnectionHost):
    """Accepts connections and serves one application on them, inside a running event loop.

    Parameters:
        loop: the running event loop.
        app: the ASGI application.
        config: the settings.
        context: the context of which every request gets a copy; None: a copy of the current one.
        state: the lifespan's state, of which every request gets a shallow copy; None: scopes have
            no state.
        on_error: called with each exception that escaped the application, besides logging it.
        secure: what makes connections secure, a `TlsContext`; None: they are plain.

    Raises:
        OSError: the event loop's handles can't be made.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        app: Callable[..., Any],
        *,
        config: Any,
        context: contextvars.Context | None = None,
        state: dict[str, Any] | None = None,
        on_error: Callable[[BaseException], None] | None = None,
        secure: SecureContext | None = None,
    ) -> None: ...
    @property
    def interface(self) -> Interface: ...
    @property
    def requests(self) -> int:
        """How many requests were given to the application."""

    def listen(self, fd: int) -> None:
        """Accept connections on a bound socket, of which a duplicate is used.

        Raises:
            OSError: the socket can't be listened on.
        """

    def drain(self, on_idle: Callable[[], None]) -> None:
        """Stop accepting, close idle connections, answer what is in progress and close.

        Parameters:
            on_idle: called once, from the event loop, when every call of the application has
                returned and no connection is left but those that only wait for the client's end.
        """

    def close(self) -> None:
        """Abort every connection, cancel what the application has not finished, and free the
        event loop's handles. Idempotent.

        Raises:
            RuntimeError: it was called from inside of a request's eager first step.
        """

    def counters(self) -> dict[str, int]:
        """How many of each kind of object exist: all zero once the server is closed and its tasks
        have ended.
        """
