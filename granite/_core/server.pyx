"""The server of one worker: listeners, connections, drain.

Owns the reactor, the interface and the listeners. Created on the event loop's thread, after the fork that made the worker; everything
runs on that thread.
"""

import contextvars

from cpython.object cimport PyObject
from granite._core.asgi cimport AsgiInterface
from granite._core.conn cimport Connection, ConnectionHost
from granite._core.exchange cimport Interface
from granite._core.http1 cimport Http1Context
from granite._core.net cimport HANDLE_OPEN, Listener, Reactor
from granite._core.scope cimport ScopeCache
from granite._core.transport cimport SecureContext


cdef class _Listener(Listener):
    """A listener whose connections belong to a server."""

    cdef Server server

    cdef int _on_connection(self) except -1:
        return (<Connection>Connection.__new__(Connection)).accept(self.server, self)


cdef class Server(ConnectionHost):
    """Accepts connections and serves one application on them, inside a running event loop.

    Parameters:
        loop: the running event loop; whatever has asyncio's interface with `add_reader`.
        app: the ASGI application.
        config: the settings; the attributes `server_header`, `url_path_prefix`, `http1_keep_alive`, `keep_alive_timeout` and
            `request_head_timeout` (seconds, 0 = off), `max_head_size`, `write_high_water`, `write_low_water` and
            `body_high_water` (bytes), `backlog` and `access_log` are read.
        context: the contextvars.Context of which every request gets a copy; None: a copy of the current one.
        state: the lifespan's state, of which every request gets a shallow copy; None: scopes have no state.
        on_error: called with each exception that escaped the application, besides logging it.
        secure: what makes connections secure, a `TlsContext`; None: they are plain.

    Raises:
        OSError: the event loop's handles can't be made.
    """

    cdef readonly Interface interface
    cdef object loop
    cdef list listeners
    cdef int backlog
    cdef object on_idle
    cdef bint closed

    def __cinit__(self, loop, app, *, config, context=None, state=None, on_error=None,
                  SecureContext secure=None):
        if context is None:
            context = contextvars.copy_context()
        self.loop = loop
        self.secure = secure
        self.listeners = []
        self.backlog = config.backlog
        self.head_timeout = <unsigned long long>(config.request_head_timeout * 1000)
        self.keep_alive_timeout = <unsigned long long>(config.keep_alive_timeout * 1000)
        self.write_low_water = config.write_low_water
        self.interface = AsgiInterface(app, loop, context, state, config.url_path_prefix, on_error)
        self.http1 = Http1Context(self.interface, ScopeCache(), config)
        self.reactor = Reactor(loop, context)

    @property
    def requests(self):
        """How many requests were given to the application."""
        return self.interface.requests

    def listen(self, int fd):
        """Accept connections on a bound socket.

        Parameters:
            fd: its descriptor, which stays the caller's: the server listens on a duplicate. Connections have the options of the
                socket, such as TCP_NODELAY, which the caller sets. At a Unix socket, scopes have the path, or "@" and the abstract
                name, as `server`, and no `client`.

        Raises:
            OSError: the socket can't be listened on.
        """
        cdef _Listener listener = _Listener.__new__(_Listener)
        listener.server = self
        listener._open(self.reactor, fd, self.backlog)
        self.listeners.append(listener)

    def drain(self, on_idle):
        """Stop accepting, close idle connections, and answer what is in progress with `Connection: close`.

        Parameters:
            on_idle: called once, from the event loop, when every call of the application has returned and no connection is left but
                those that have got everything and only wait for the client's end.
        """
        cdef PyObject *current
        cdef PyObject *following
        self.on_idle = on_idle
        self.draining = True
        self.http1.draining = True
        self.interface.on_quiet = self._on_quiet
        self._stop_listening()
        current = self.c_first
        while current is not NULL:
            following = (<Connection>current).c_next
            (<Connection>current).drain()
            current = following
        self.check_idle()

    def close(self):
        """Abort every connection, cancel what the application has not finished, and free the event loop's handles. Idempotent.

        Raises:
            RuntimeError: it was called from inside of a request's eager first step; schedule it on the event loop.
        """
        cdef PyObject *current
        if self.closed:
            return
        if self.reactor.pumping:
            raise RuntimeError("the server can't be closed from inside a request: schedule it on the event loop")
        self.closed = True
        self._stop_listening()
        current = self.c_first
        while current is not NULL:
            (<Connection>current)._close()
            current = (<Connection>current).c_next
        self.reactor.close()
        self.interface.cancel()

    def counters(self):
        """How many of each kind of object exist: all zero once the server is closed and its tasks have ended."""
        return {
            "connections": self.connections,
            "handles": self.reactor.handles,
            "layers": self.secure.live if self.secure is not None else 0,
            "buffers": self.reactor.pool.live,
            "timers": self.reactor.wheel.linked if self.reactor.wheel is not None else 0,
            "sessions": self.http1.live,
            "exchanges": self.interface.live,
            "running": self.interface.running,
        }

    def _stop_listening(self):
        cdef _Listener listener
        for listener in self.listeners:
            listener._close()
            listener.server = None
        self.listeners.clear()

    def _on_quiet(self):
        self.check_idle()

    cdef int check_idle(self) except -1:
        if self.on_idle is not None and self.connections == self.lingering and self.interface.running == 0:
            on_idle, self.on_idle = self.on_idle, None
            self.loop.call_soon(on_idle)
        return 0
