"""An application being served: what the worker, the test server and the embedded one have in
common, whatever the event loop.

Owns the core's server and its sockets. Must not know processes, signals or threads, nor import
asyncio. Runs on the event loop's thread.
"""

from __future__ import annotations

from _thread import allocate_lock

from granite._core.errorlog import error_log
from granite._core.exchange import RequestIds
from granite._core.server import Server
from granite.access_log import access_log
from granite.request_id import VARIABLE
from granite.tickets import SessionTickets

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import contextvars
    from collections.abc import Callable, Iterable
    from typing import Any

    from granite._core.exchange import Interface
    from granite._core.http import WebSockets
    from granite._core.tls import TlsContext
    from granite.interfaces.choice import Application
    from granite.secure import Renewal
    from granite.settings.config import Config
    from granite.tickets import Timers

__all__ = ["GRACE", "Serving", "Stopping"]

# Seconds that a drain leaves to the next request of a connection that has just been busy: it may be
# on its way.
GRACE = 0.5


class Stopping:
    """`granite.stopping` of WSGI: what `threading.Event` is, without that import."""

    def __init__(self) -> None:
        self._is_set = False
        self._unset = allocate_lock()
        self._unset.acquire()

    def is_set(self) -> bool:
        """Say whether the server is told to stop, or the worker replaced."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, `timeout` seconds at most; return `is_set()`."""
        if self._unset.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            self._unset.release()
        return self._is_set

    def set(self) -> None:
        """Tell all who ask or wait. Idempotent; one thread's."""
        if not self._is_set:
            self._is_set = True
            self._unset.release()


class Serving:
    """One application on one event loop, from its startup to its shutdown.

    `on_error` is called with each exception that escapes the application's handling of a request,
    `on_max_requests` once when it was given `max_requests` requests. `secure` makes connections TLS
    (see `granite.secure`). `worker` is the number of this worker's slot, if it has one.
    """

    def __init__(
        self,
        application: Application,
        config: Config,
        on_error: Callable[[BaseException], None] | None = None,
        secure: TlsContext | None = None,
        max_requests: int = 0,
        on_max_requests: Callable[[], object] | None = None,
        worker: int = 0,
    ) -> None:
        self.server: Server | None = None
        self.application = application
        self._config = config
        self._on_error = on_error
        self._secure = secure
        self.tickets = SessionTickets(secure, config)
        self._renewal: Renewal | None = None
        self._max_requests = max_requests
        self._on_max_requests = on_max_requests
        self._worker = worker
        self._draining = False
        self._stopping: asyncio.Event | Stopping

    def _open(self, loop: Any, interface: Interface, context: contextvars.Context) -> None:
        """Make the server, which does not accept yet."""
        self.server = Server(
            loop,
            interface,
            config=self._config,
            context=context,
            secure=self._secure,
            max_requests=self._max_requests,
            on_max_requests=self._on_max_requests,
            access_log=access_log(self._config, self._worker),
            request_ids=_request_ids(self._config),
            websockets=self._websockets(),
        )

    def _websockets(self) -> WebSockets | None:
        """Make what turns requests into WebSockets; None for an interface that has none."""
        if not self._config.ws or self.application.interface == "wsgi":
            return None
        from granite._core.websocket import WebSocketContext  # for those who serve them

        return WebSocketContext(self._config)

    def _wsgi_interface(self, context: contextvars.Context, stopping: object) -> Interface:
        """Make what calls an application of WSGI."""
        from granite._core.wsgi import WsgiInterface  # for those who serve it
        from granite.interfaces.wsgi import constants

        return WsgiInterface(
            self.application.call,
            context,
            self._config,
            self._on_error,
            constants(self._config, stopping),
        )

    def be_alone(self, loop: Timers) -> None:
        """Do for this server, on its `loop`, what an arbiter does for workers: keys of session
        tickets, and certificates whose files change.
        """
        self.tickets.make(loop)
        if self._secure is not None and self._config.ssl_reload:
            from granite.secure import Renewal

            self._renewal = Renewal(self._secure, self._config, loop)

    def tell_interface(self) -> None:
        """Log by which interface the application is served."""
        error_log.info("the application is served by %s", self.application.title)

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
        """Tell the application that the server is going to stop: what every request has under
        "granite.stopping" is set.
        """
        self._stopping.set()

    def _begin_drain(
        self,
        grace: float,
        on_idle: Callable[[], object],
        on_draining: Callable[[], object] | None,
    ) -> None:
        """Accept no longer, and tell that; `on_idle` is called when nothing is in progress."""
        self._draining = True
        self.tickets.stop()
        if self._renewal is not None:
            self._renewal.stop()
        self.notice()
        if self.server is None:
            return
        self.server.drain(on_idle, grace)
        error_log.debug("draining: %d connections left", self.server.connections)
        if on_draining is not None:
            on_draining()

    def _tell_cut(self, seconds: float) -> None:
        """Log what is about to be cut short, after so many seconds of draining."""
        assert self.server is not None
        counters = self.server.counters()
        # An application that has returned may still have its response on the way.
        what, count = "request", counters["running"] + counters["waiting"]
        if not count:
            what, count = "connection", counters["connections"]
        were = " was" if count == 1 else "s were"
        error_log.warning("%d %s%s cut short after %g s", count, what, were, round(seconds, 1))


def _request_ids(config: Config) -> RequestIds | None:
    name = config.request_id_header
    return None if name is None else RequestIds(name, VARIABLE)
