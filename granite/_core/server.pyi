import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

from granite._core.accesslog import AccessLog
from granite._core.conn import ConnectionHost
from granite._core.exchange import Interface, RequestIds
from granite._core.http import WebSockets
from granite._core.loop import Loop
from granite._core.transport import SecureContext

class Server(ConnectionHost):
    """Accepts connections and serves one application on them, inside a running event loop.

    Parameters:
        loop: the running event loop, granite's own or one of asyncio's kind.
        interface: what calls the application.
        config: the settings.
        context: the context in which what the event loop calls runs; None: a copy of the current
            one.
        secure: what makes connections secure, a `TlsContext`; None: they are plain.
        max_requests: after how many requests that were started `on_max_requests` is called; 0:
            never.
        on_max_requests: called once, from the event loop; the server itself goes on.
        access_log: gets each request that has ended, and is closed with the server; None: requests
            are not logged.
        request_ids: gives requests their ids; None: they have none.
        websockets: makes WebSockets, if the interface has them; None: there are none.

    Raises:
        OSError: the event loop's handles can't be made.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | Loop,
        interface: Interface,
        *,
        config: Any,
        context: contextvars.Context | None = None,
        secure: SecureContext | None = None,
        max_requests: int = 0,
        on_max_requests: Callable[[], object] | None = None,
        access_log: AccessLog | None = None,
        request_ids: RequestIds | None = None,
        websockets: WebSockets | None = None,
    ) -> None: ...
    @property
    def access_log(self) -> AccessLog | None: ...
    @property
    def interface(self) -> Interface: ...
    @property
    def requests(self) -> int:
        """How many requests were given to the application."""

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""

    def share(self, slot: int, board_fd: int, take_fd: int = -1, give_fd: int = -1) -> None:
        """Share connections out evenly with other workers. To be called before listen(), once.

        Parameters:
            slot: the number of this worker's slot, from 1.
            board_fd: the memory in which workers see each other's load.
            take_fd: the pool's end from which connections are taken; -1: there is no pool, and
                every listening socket is that of all workers.
            give_fd: the pool's end to which they are given.

        Raises:
            OSError: the system refuses.
            ValueError: the board has no place for this slot.
        """

    def listen(self, fd: int, group: int = 0) -> None:
        """Accept connections on a bound socket, of which a duplicate is used.

        Parameters:
            group: a number of the caller's choice, for release().

        Raises:
            OSError: the socket can't be listened on.
            RuntimeError: the server is draining or closed.
        """

    def release(self, group: int) -> None:
        """Stop accepting on the sockets that were given to listen() with this group; none is no
        mistake. Connections that were accepted stay; what waits in a socket's queue stays for
        whoever else has the socket.
        """

    def drain(self, on_idle: Callable[[], object], grace: float = 0.5) -> None:
        """Stop accepting, close idle connections, answer what is in progress and close.

        Parameters:
            on_idle: called once, from the event loop, when every call of the application has
                returned and no connection is left but those that only wait for the client's end.
            grace: seconds that a connection which was answered a moment ago is given for its next
                request; it counts from the end of the last answer. A new one is given half a second
                in any case.
        """

    def abort(self) -> None:
        """Abort every connection, so that whoever waits for one, inside of a call of the
        application, is told so. `drain()` was called before.
        """

    def close(self) -> None:
        """Abort every connection, cancel what the application has not finished, and free the
        event loop's handles. Idempotent.

        Raises:
            RuntimeError: it was called from inside of a request's eager first step.
        """

    def snapshot(self) -> bytes:
        """What was counted since the start and what is; granite.snapshot says how to read it.

        Durations are only measured where the setting `metrics` is on or the access log has them,
        but for those of note_lag().
        """

    def note_lag(self, seconds: float) -> None:
        """Note by how much a timer of the event loop was late."""

    def in_flight(self) -> list[tuple[str, str, float]]:
        """(method, path, seconds since the head was complete) of the requests whose calls of the
        application have not returned, the oldest first, at most 100.
        """

    def counters(self) -> dict[str, int]:
        """How many of each kind of object exist: all zero once the server is closed and its tasks
        have ended.
        """
