"""The server of one worker: listeners, connections, drain.

Owns the reactor, the interface and the listeners. Created on the event loop's thread, after the fork that made the worker; everything
runs on that thread.
"""

import contextvars

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset
from posix.unistd cimport close
from granite._core.accesslog cimport AccessLog
from granite._core.address cimport Networks
from granite._core.capi cimport uv
from granite._core.capi.python cimport PyBytes_FromStringAndSize
from granite._core.conn cimport Connection, ConnectionHost
from granite._core.counters cimport (
    ACCEPT_PAUSES, BYTES_RECEIVED, BYTES_SENT, CONNECTIONS_ACTIVE, CONNECTIONS_ERR, CONNECTIONS_HANDLED, FIELDS, HANDSHAKE_FAILURES, LATENCY, LOOP_LAG, QUEUE_TIME,
    REASONS, REJECTIONS, REQUESTS_ACTIVE, REQUESTS_HANDLED, REQUESTS_WAITING, RESPONSES_HTTP1, TLS_HANDSHAKES, TLS_HANDSHAKES_FAILED, Histogram, export, export_responses, observe,
)
from granite._core.exchange cimport Admission, Interface, Rejections, RequestIds
from granite._core.forwarded cimport Forwarding
from granite._core.http cimport HttpContext, WebSockets
from granite._core.http1 cimport Http1Context
from granite._core.net cimport FULL_SILENCE, Board, Listener, Pool, Reactor
from granite._core.peers cimport Peers
from granite._core.proxy_protocol cimport PROXY_V1, PROXY_V2
from granite._core.transport cimport SecureContext
from granite._core.errorlog import error_log as _log


cdef enum:
    MOST_IN_FLIGHT = 100                # requests that in_flight() tells of


cdef class _Listener(Listener):
    """A listener whose connections belong to a server."""

    cdef Server server
    cdef int group

    cdef int _on_connection(self, int fd, const uv.sockaddr_storage *peer) except -1:
        cdef Server server = self.server
        if not self.common and server.pool is not None and (server.board.heavy() or server.is_full()) and server.pool.give(self, fd, peer):
            return 0
        return (<Connection>Connection.__new__(Connection)).accept(server, self, fd, peer)

    cdef int _on_refused(self) except -1:
        self.server.failed += 1
        return 0

    cdef bint _is_full(self) noexcept:
        cdef Server server = self.server
        # What comes at a socket that nobody else watches goes to those who have room.
        return server.is_full() and (self.common or server.pool is None or not server.board.has_room(server.max_connections))

    cdef int _on_full(self) except -1:
        return self.server.on_full()


cdef class _Pool(Pool):
    """Where the server's connections go that it has too many of, and where it gets others."""

    cdef Server server

    cdef bint _is_full(self) noexcept:
        return self.server.is_full()

    cdef int _on_full(self) except -1:
        return self.server.on_full()

    cdef int _on_given(self, int position, int fd, const uv.sockaddr_storage *peer) except -1:
        cdef _Listener listener
        for listener in self.server.listeners:
            if listener.position == position:
                return (<Connection>Connection.__new__(Connection)).accept(self.server, listener, fd, peer)
        close(fd)
        return 0


cdef class Server(ConnectionHost):
    """Accepts connections and serves one application on them, inside a running event loop.

    Parameters:
        loop: the running event loop; whatever has asyncio's interface with `add_reader`.
        interface: what calls the application.
        config: the settings, of which those about what is served, limits, timeouts, proxies, logs and metrics are read.
        context: the contextvars.Context in which what the event loop calls runs; None: a copy of the current one.
        secure: what makes connections secure, a `TlsContext`; None: they are plain.
        max_requests: after how many requests that were started `on_max_requests` is called; 0: never.
        on_max_requests: called once, from the event loop; the server itself goes on.
        access_log: gets each request that has ended, and is closed with the server; None: requests are not logged.
        request_ids: gives requests their ids; None: they have none.
        websockets: makes WebSockets, if the interface has them; None: there are none.

    Raises:
        OSError: the event loop's handles can't be made.
    """

    cdef readonly Interface interface
    cdef readonly AccessLog access_log  # None: requests are not logged
    cdef int64_t accept_pauses
    cdef Histogram loop_lag
    cdef object loop
    cdef list listeners
    cdef _Pool pool                     # None: every socket is common
    cdef int backlog
    cdef int redirect_port              # where TLS is asked for in plain HTTP; 0: nowhere
    cdef object on_idle
    cdef object on_max_requests
    cdef bint closed
    cdef bint is_full(self) noexcept
    cdef int on_full(self) except -1

    def __cinit__(self, loop, Interface interface not None, *, config, context=None, SecureContext secure=None, long long max_requests=0,
                  on_max_requests=None,
                  AccessLog access_log=None, RequestIds request_ids=None, WebSockets websockets=None):
        if context is None:
            context = contextvars.copy_context()
        self.loop = loop
        self.secure = secure
        self.listeners = []
        self.backlog = config.backlog
        self.redirect_port = config.ssl_redirect_port if secure is not None else 0
        self.interface = interface
        if max_requests and on_max_requests is not None:
            self.on_max_requests = on_max_requests
            self.interface.max_requests = max_requests
            self.interface.on_max_requests = self._on_max_requests
        self.interface.request_ids = request_ids
        self.rejections = Rejections(loop)
        self.max_connections = config.max_connections
        if config.max_connections_per_ip or config.max_requests_per_ip:
            self.peers = Peers(config)
        if config.backpressure:
            self.interface.admission = Admission(self.rejections, loop, config)
        self.proxies = Networks(config.forwarded_allow_ips)
        self.proxy_versions = {"off": 0, "v1": PROXY_V1, "v2": PROXY_V2, "on": PROXY_V1 | PROXY_V2}[config.proxy_protocol]
        self.introducers = Networks(config.proxy_protocol_allow_ips or config.forwarded_allow_ips)
        forwarding = Forwarding(self.proxies, config.forwarded_headers)
        self.http = HttpContext(self.interface, forwarding, self.rejections, config, access_log)
        self.http.websockets = websockets
        self.http1 = Http1Context(self.http, config)
        self.interface.on_overrun = self._on_late_request
        if config.http != "1":
            from granite._core.http2 import Http2Context

            self.http2 = Http2Context(self.http, config)
            self.only_http2 = config.http == "2"
        self.reactor = Reactor(loop, context)
        self.interface.attach(self.reactor)
        self.reactor.timing = config.metrics
        self.access_log = access_log
        if access_log is not None:
            access_log.attach(self.reactor, loop)
            self.reactor.timing = self.reactor.timing or access_log.format.timed

    @property
    def requests(self):
        """How many requests were given to the application."""
        return self.interface.requests

    @property
    def waiting(self):
        """How many requests wait for their turn."""
        return self.interface.admission.waiting if self.interface.admission is not None else 0

    def share(self, int slot, int board_fd, int take_fd=-1, int give_fd=-1):
        """Share connections out evenly with other workers. To be called before listen(), once.

        Parameters:
            slot: the number of this worker's slot, from 1.
            board_fd: the memory in which workers see each other's load.
            take_fd, give_fd: both ends of the pool, a pair of packet sockets; -1: every listening socket is that of all workers. With a
                pool, those of the group 0 are this worker's alone. Of all descriptors, duplicates are used.

        Raises:
            OSError: the system refuses.
            ValueError: the board has no place for this slot.
        """
        self.board = Board(board_fd, slot)
        if take_fd >= 0:
            self.pool = _Pool.__new__(_Pool)
            self.pool.server = self
            self.pool._open_pool(self.reactor, self.board, take_fd, give_fd)

    def listen(self, int fd, int group=0):
        """Accept connections on a bound socket.

        Parameters:
            fd: its descriptor, which stays the caller's: the server listens on a duplicate. Connections have the options of the
                socket, such as TCP_NODELAY, which the caller sets. At a Unix socket, scopes have the path, or "@" and the abstract
                name, as `server`, and no `client`. Whether requests are redirected to TLS is told by its port.
            group: a number of the caller's choice, for release().

        Raises:
            OSError: the socket can't be listened on.
            RuntimeError: the server is draining or closed.
        """
        cdef _Listener listener = _Listener.__new__(_Listener)
        if self.draining or self.closed:
            raise RuntimeError("listen(): the server is draining or closed, and accepts no more")
        listener.server = self
        listener.group = group
        listener.board = self.board
        listener.common = self.pool is None or group != 0
        listener.position = sum([(<_Listener>other).group == group for other in self.listeners])
        listener._open(self.reactor, fd, self.backlog)
        listener.redirects = self.redirect_port != 0 and listener.port == self.redirect_port
        if not listener.redirects and not self.http1.secure_port:
            self.http1.secure_port = listener.port
        self.listeners.append(listener)

    def release(self, int group):
        """Stop accepting on the sockets that were given to listen() with this group; none is no mistake.

        Connections that were accepted stay. What waits in a socket's queue stays for whoever else has the socket: it is only lost when
        nobody has.
        """
        kept = []
        for listener in self.listeners:
            if (<_Listener>listener).group == group:
                _stop(<_Listener>listener)
            else:
                kept.append(listener)
        self.listeners = kept

    def drain(self, on_idle, double grace=0.5):
        """Stop accepting, close idle connections, and answer what is in progress with `Connection: close`.

        Parameters:
            on_idle: called once, from the event loop, when every call of the application has returned and no connection is left but
                those that have got everything and only wait for the client's end.
            grace: seconds that a connection which was answered a moment ago is given for its next request, which may be on the way;
                it counts from the end of the last answer. A connection that is new is given half a second in any case.
        """
        self.on_idle = on_idle
        self.draining = True
        self.http.draining = True
        self.drain_grace = <unsigned long long>(grace * 1000)
        self.interface.on_quiet = self._on_quiet
        if self.board is not None:
            self.board.leave()              # first: whoever gives something to the pool from now on looks there as well
        if self.pool is not None:
            self.pool.empty()               # perhaps nobody else is left
        self._stop_listening()
        try:
            self.reactor.pump()             # a request that has come already is in progress
        finally:
            self._drain_connections()

    def _drain_connections(self):
        cdef PyObject *current = self.c_first
        cdef PyObject *following
        while current is not NULL:
            following = (<Connection>current).c_next
            (<Connection>current).drain()
            current = following
        self.check_idle()

    def abort(self):
        """Abort every connection: whoever waits for one, inside of a call of the application, is told so. drain() was called before."""
        cdef PyObject *current = self.c_first
        cdef PyObject *following
        while current is not NULL:
            following = (<Connection>current).c_next
            (<Connection>current).abort()
            current = following

    def close(self):
        """Abort every connection, cancel what the application has not finished, and free the event loop's handles. Idempotent.

        Raises:
            RuntimeError: it was called from inside of a request's eager first step; schedule it on the event loop.
        """
        if self.closed:
            return
        if self.reactor.pumping:
            raise RuntimeError("the server can't be closed from inside a request: schedule it on the event loop")
        self.closed = True
        self._stop_listening()
        self.abort()
        self.reactor.wheel.unlink(&self.overrun)
        self.interface.detach()
        self.reactor.close()
        if self.access_log is not None:
            self.access_log.close()
        self.interface.cancel()
        self.rejections.close()
        if self.interface.admission is not None:
            self.interface.admission.close()

    def counters(self):
        """How many of each kind of object exist: all zero once the server is closed and its tasks have ended."""
        return {
            "connections": self.connections,
            "heads": self.heads,
            "introductions": len(self.introductions),
            "handles": self.reactor.handles,
            "layers": self.secure.live if self.secure is not None else 0,
            "buffers": self.reactor.pool.live,
            "files": self.reactor.pool.files,
            "timers": self.reactor.wheel.linked if self.reactor.wheel is not None else 0,
            "sessions": self.http1.live + (self.http2.live if self.http2 is not None else 0),
            "websockets": self.http.websockets.live if self.http.websockets is not None else 0,
            "exchanges": self.interface.live,
            "addresses": self.peers.connected if self.peers is not None else 0,
            "running": self.interface.running,
            "waiting": self.waiting,
        }

    def snapshot(self):
        """What was counted since the start and what is, as bytes; granite.snapshot says how to read them.

        Durations are only measured where the setting `metrics` is on or the access log has them, but for those of note_lag(). Bytes are those of HTTP, without
        what TLS adds. A request counts as handled when it is given to the application.
        """
        cdef int64_t values[FIELDS]
        cdef int i
        memset(values, 0, sizeof(values))
        values[CONNECTIONS_ACTIVE] = self.connections
        values[REQUESTS_ACTIVE] = self.interface.running
        values[REQUESTS_WAITING] = self.waiting
        values[CONNECTIONS_HANDLED] = self.accepted
        values[CONNECTIONS_ERR] = self.failed
        values[ACCEPT_PAUSES] = self.accept_pauses
        values[REQUESTS_HANDLED] = self.interface.requests
        for i in range(<int>REASONS):
            values[REJECTIONS + i] = self.rejections.counts[i]
        values[BYTES_RECEIVED] = self.reactor.bytes_received
        values[BYTES_SENT] = self.reactor.bytes_sent
        export_responses(self.http1.responses, &values[RESPONSES_HTTP1])
        values[TLS_HANDSHAKES] = self.handshakes
        for i in range(<int>HANDSHAKE_FAILURES):
            values[TLS_HANDSHAKES_FAILED + i] = self.handshakes_failed[i]
        if self.http2 is not None:
            self.http2.export(values)
        self.interface.export_threads(values)
        if self.http.websockets is not None:
            self.http.websockets.export(values)
        export(&self.http.latency, &values[LATENCY])
        export(&self.interface.queue_time, &values[QUEUE_TIME])
        export(&self.loop_lag, &values[LOOP_LAG])
        return PyBytes_FromStringAndSize(<char *>values, sizeof(values))

    def note_lag(self, double seconds):
        """Note by how much a timer of the event loop was late."""
        observe(&self.loop_lag, <int64_t>(max(seconds, 0.0) * 1e9))

    def in_flight(self):
        """(method, path, seconds since the head was complete) of the requests whose calls of the application have not returned, the
        oldest first, at most 100. Also from a signal handler of Python's that interrupts the application.
        """
        return self.interface.in_flight(MOST_IN_FLIGHT)

    def _on_max_requests(self):
        self.loop.call_soon(self.on_max_requests)

    def _stop_listening(self):
        for listener in self.listeners:
            _stop(<_Listener>listener)
        self.listeners.clear()
        if self.board is not None:
            self.board.leave()
        if self.pool is not None:
            self.pool._close()
            self.pool.server = None
            self.pool = None

    cdef bint is_full(self) noexcept:
        return self.max_connections and self.connections >= self.max_connections

    cdef int on_full(self) except -1:
        """New connections stay in their queue."""
        cdef uint64_t now = self.reactor.now()
        self.accept_pauses += 1
        if self.reactor.full_at == 0 or now - self.reactor.full_at >= FULL_SILENCE:
            self.reactor.full_at = now
            _log.warning("max_connections: %d are open: new ones wait until others have closed", self.connections)
        return 0

    cdef int on_room(self) except -1:
        cdef _Listener listener
        for listener in self.listeners:
            listener.go_on()
        return self.pool.go_on() if self.pool is not None else 0

    def _on_quiet(self):
        self.check_idle()

    cdef int check_idle(self) except -1:
        if self.on_idle is not None and self.connections == self.lingering and self.interface.running == 0:
            on_idle, self.on_idle = self.on_idle, None
            self.loop.call_soon(on_idle)
        return 0


cdef void _stop(_Listener listener) noexcept:
    listener._close()
    listener.server = None
