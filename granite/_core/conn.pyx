"""A connection: glues a stream to the protocol that is spoken on it.

Owns the choice of the protocol, the connection's one deadline, and the cork that makes all answers of one read leave in one write.
Knows the transport below and the sessions above; not the interfaces, and of TLS only the layer that it hands bytes to. Runs on the reactor's thread.

Theory of operation: a connection without a session is idle, and nothing but its own struct. The first bytes of a request get it a
session; _settle(), which runs after everything that can change what the connection waits for, gives the session back when there is
no request any more, and says what is waited for from then on. A head that is not complete is no request yet: its bytes are kept as they
came, and a session reads them from the start when more has come. So a client that takes its time with a head costs no more than the head.

A connection has one node on the reactor's wheel and several deadlines: of what it waits for, of its writes, of the request, of itself. The
node is armed for the first of them; when it comes up, _on_timeout() looks at what is due and arms it anew. So whatever moves a deadline
into the future stores a number and leaves the wheel alone. What nobody tells is looked at from there as well: whether a client takes what
waits for it, and whether one that is not being read from is still there.
"""


cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy
from granite._core.address cimport FAMILY_UNIX
from granite._core.buf cimport out_copy
from granite._core.counters cimport (
    ALERTS, HANDSHAKE_ALERTS, HANDSHAKE_CLOSED, HANDSHAKE_NOT_TLS, HANDSHAKE_OTHER, HANDSHAKE_PLAIN_HTTP, HANDSHAKE_TIMEOUT,
    REJECTED_BAD_REQUEST, REJECTED_CONNECTIONS_PER_IP, REJECTED_PROXY_HEADER, REJECTED_TLS, REJECTED_WRITE_TIMEOUT, HandshakeFailure, clock,
    granite_alerts,
)
from granite._core.exchange cimport Exchange, Interface
from granite._core.http cimport Session, Timeouts, earlier
from granite._core.http1 cimport Http1Session, has_head_end
from granite._core.net cimport HANDLE_NEW, HANDLE_OPEN, LOOKS, Listener, StreamHandle, read_address, turn_away
from granite._core.peers cimport PEER_NONE, PEER_TURNED_AWAY
from granite._core.proxy_protocol cimport HEADER_PART, HEADER_WRONG, HeaderState, ProxyHeader, is_header, read_header
from granite._core.transport cimport UNWRAP_ENDED, UNWRAP_OK, SecureLayer, Unwrapped, name_of
from granite._core.errorlog import error_log as _log


cdef enum:
    FIRST_REQUEST_GRACE = 500           # ms that a drain leaves a new connection for its first request
    LAST_REQUEST_GRACE = 500            # ms after its last answer in which a connection that has reached its age may ask again
    LOOK_OUT = 1000                     # ms between two looks whether a client that is not read from has gone


include "conn/host.pxi"
include "conn/accepted.pxi"
include "conn/heads.pxi"


@cython.final
@cython.no_gc
cdef class Connection(HeadKeeper):
    """One client's connection.

    The garbage collector does not see connections: libuv keeps each alive until it has closed, and closing drops its references.
    """

    cdef int accept(self, ConnectionHost host, Listener listener, int fd, const uv.sockaddr_storage *peer) except -1:
        self.place = PEER_NONE
        self.redirects = listener.redirects
        if host.peers is not None and not listener.is_pipe:
            read_address(peer, &self.peer)
            # A proxy is no client, whoever asks through it.
            if not host.proxies.contain(&self.peer) and not (host.proxy_versions and host.introducers.contain(&self.peer)):
                self.place = host.peers.enter(&self.peer)
            if self.place == PEER_TURNED_AWAY:
                return self._turn_away(host, fd)
        self.host = host
        host.add(self)
        try:
            self._open(listener, fd, peer)
            if host.proxy_versions == 0:
                self._introduced(NULL)
            elif host.introducers.contain(&self.peer):
                self.introduction = INTRODUCTION_AWAITED
            else:
                self._introduced(NULL)
                self.introduction = INTRODUCTION_REFUSED
            if host.secure is not None and not self.redirects:
                self.layer = host.secure.layer()
            self.start_reading()
            self.opened_at = host.reactor.now()
            self._wait(WAITING_HEAD)
            host.accepted += 1
        except BaseException:
            host.failed += 1
            if self.state == HANDLE_NEW:
                host.remove(self)
            else:
                self._close()
            raise
        return 0

    cdef int drain(self) except -1:
        """Close if nothing is in progress; what is will be answered with `Connection: close`."""
        cdef Session session = self.session
        if session is not None:
            return session.drain()
        if self.c_head is not NULL or self.shutting:
            return 0
        return self._retire(self.host.drain_grace)

    cdef int abort(self) except -1:
        """Close, whatever is in progress; a response that this cuts does not look whole."""
        cdef Session session = self.session
        if session is not None and session.looks_whole():
            return self.reset()
        self._close()
        return 0

    cdef int _retire(self, uint64_t grace) except -1:
        """Close a connection without a request.

        One that is new, or was answered less than `grace` ms ago, is given a moment: its next request may be on the way. One that
        has been idle for longer is closed at once, which its client has to expect (RFC 9112, section 9.3.1).
        """
        cdef uint64_t now = self.reactor.now()
        cdef uint64_t idle
        if self.waiting == WAITING_LAST:
            return 0
        if self.waiting == WAITING_HEAD:
            grace = FIRST_REQUEST_GRACE
        elif self.until:
            # Its deadline tells when it was armed: at the end of the last response.
            idle = now + self.host.http.timeouts.keep_alive - self.until
            grace = grace - idle if idle < grace else 0
        return self._expect_last(grace) if grace else self.shut(False)

    cdef int _expect_last(self, uint64_t grace) except -1:
        self.waiting = WAITING_LAST
        self.until = self.reactor.now() + grace
        return self.rearm()

    # what is waited for

    cdef int _wait(self, Waiting waiting) except -1:
        cdef Timeouts *timeouts = &self.host.http.timeouts
        cdef uint64_t limit = 0
        if waiting == WAITING_HEAD:
            limit = self._first_limit()
        elif waiting == WAITING_NEXT:
            limit = timeouts.keep_alive
        self.waiting = waiting
        self.until = self.reactor.now() + limit if limit else 0
        return self.rearm()

    cdef uint64_t _first_limit(self) noexcept:
        """What there is to wait for before a request's head is its own."""
        return self.host.http.timeouts.head if self.layer is None or self.handshake == HANDSHAKE_DONE else self.host.http.timeouts.handshake

    cdef int _await_next(self) except -1:
        """There is no request any more."""
        cdef uint64_t grace
        if not self.host.draining and not self.last_request:
            return self._wait(WAITING_NEXT)
        # The head of the last response has left before that was known, and did not say that no more is answered.
        grace = self.host.drain_grace if self.host.draining else LAST_REQUEST_GRACE
        return self._expect_last(grace) if grace else self.shut(True)

    cdef int _succeed(self) except -1:
        """The session has given the connection away."""
        cdef Session session = self.session
        self.session = session.successor
        self.requests += session.messages
        self.corked += 1
        try:
            session.hand_over()
        finally:
            self.corked -= 1
            session.release()
        return 0

    cdef int _settle(self) except -1:
        cdef Session session = self.session
        cdef int begun
        if session is not None and session.successor is not None and self.state == HANDLE_OPEN:
            self._succeed()
            session = self.session
        self.flush()
        self._log_sent(session)
        if self.state != HANDLE_OPEN or session is None or self.lingering:
            return 0
        if self.shutting:
            return self._wait(WAITING_NOTHING)
        if session.idle():
            self.session = None
            begun = session.messages
            self.requests += begun
            session.release()
            # Without a message it was but line ends, which put no deadline off.
            return self._await_next() if begun and self.c_head is NULL else 0
        if self.c_head is not NULL:
            return 0                    # only the end of the last response is waited for besides, which has a deadline of its own
        session.settle()
        return self._wait(WAITING_NOTHING)

    # deadlines

    cdef int rearm(self) except -1:
        """Have _on_timeout() called at the first of the deadlines."""
        cdef Timeouts *timeouts = &self.host.http.timeouts
        cdef Session session = self.session
        cdef uint64_t first = 0
        if not self.shutting:
            if self.inflight is NULL or (self.waiting != WAITING_NEXT and self.waiting != WAITING_LAST):
                first = self.until
            if session is not None:
                first = earlier(first, session.deadline())
            if timeouts.connection and not self.last_request:
                first = earlier(first, self.opened_at + timeouts.connection)
            if not self.reading and self.inflight is NULL:
                first = earlier(first, self.reactor.now() + LOOK_OUT)
        if self.inflight is not NULL and timeouts.write:
            first = earlier(first, self.inflight.look_at)
        return self.arm(first)

    cdef int _on_timeout(self) except -1:
        cdef uint64_t limit = self.host.http.timeouts.write
        if self.lingering:
            self._close()
        elif limit and self.stalled(limit):
            if self.host.rejections.note(REJECTED_WRITE_TIMEOUT):
                _log.info("%s: the client has taken nothing of its response for %g s", name_of(self.client()), limit / 1000.0)
            self.reset()
        elif not self.shutting:
            self._on_due(self.reactor.wheel.noted)
        return self.rearm() if self.state == HANDLE_OPEN and not self.lingering else 0

    cdef int _on_due(self, uint64_t now) except -1:
        cdef Timeouts *timeouts = &self.host.http.timeouts
        cdef Session session = self.session
        cdef uint64_t deadline
        if not self.reading and self.inflight is NULL and self.gone():
            return self._on_error(0)
        deadline = session.deadline() if session is not None else 0
        if deadline and now >= deadline:
            session.on_due(now)
            return self._settle()
        if timeouts.connection and now >= self.opened_at + timeouts.connection and not self.last_request:
            self.last_request = True
            if session is not None:
                session.drain()
            elif self.c_head is NULL:
                return self._retire(LAST_REQUEST_GRACE)
        return self._on_overdue(now) if self.until and now >= self.until else 0

    cdef int _on_overdue(self, uint64_t now) except -1:
        """What is waited for has not come in time."""
        cdef Session session = self.session
        cdef Timeouts *timeouts = &self.host.http.timeouts
        if self.c_head is not NULL:
            return self._give_head_up(408, f"the request's head took longer than {timeouts.head / 1000.0:g} s")
        if self.introduction == INTRODUCTION_AWAITED:
            # Who says nothing at all only looks whether the port is open.
            if self in self.host.introductions and self.host.rejections.note(REJECTED_PROXY_HEADER):
                _log.info("%s: PROXY protocol: the header took longer than %g s", name_of(self.client()), self._first_limit() / 1000.0)
            self._close()
            return 0
        if self.handshake == HANDSHAKE_BEGUN:
            self._fail_handshake(HANDSHAKE_TIMEOUT, f"the handshake took longer than {timeouts.handshake / 1000.0:g} s")
            self._close()
            return 0
        if session is None and self.inflight is NULL:
            # With TLS the client is told, and can tell this end from a cut.
            self.shut(False)
        return 0

    # what the stream tells

    cdef int _on_bytes(self, const char *data, size_t size) except -1:
        if self.shutting and self.session is None:
            return 0
        self.reactor.bytes_received += size
        if self.c_head is not NULL:
            return self._on_more_head(data, size)
        self._feed(data, size)
        return self._settle()

    cdef int _on_secured(self) except -1:
        return self._wait(WAITING_HEAD) if self.waiting == WAITING_HEAD else 0

    cdef int _on_insecure(self) except -1:
        if self.session is None:
            return self.shut(True)
        # What is being answered cannot be told from what was tampered with.
        self.flush()
        self._close()
        return 0

    cdef int _on_soon(self) except -1:
        cdef Session session = self.session
        if session is not None and self.state == HANDLE_OPEN:
            self.corked += 1
            try:
                session.resume()
            finally:
                self.corked -= 1
        return self._settle()

    cdef int _on_read_ended(self) except -1:
        cdef Session session = self.session
        if self.c_head is not NULL:
            return self._give_head_up(400, "the connection ended inside the request's head")
        if self.introduction == INTRODUCTION_AWAITED:
            self._close()
            return 0
        if session is None:
            return self.shut(False)
        session.read_ended()
        return self._settle()

    cdef int _on_blocked(self) except -1:
        cdef uint64_t limit = self.host.http.timeouts.write
        if limit:
            self.inflight.look_at = self.reactor.now() + limit // LOOKS
            return self.rearm()
        return 0

    cdef int _on_writable(self) except -1:
        cdef Session session = self.session
        self._log_sent(session)
        if self.shutting:
            return 0
        if session is not None and session.idle():
            return self._settle()
        if session is None:
            if self.inflight is not NULL or self.waiting == WAITING_HEAD:
                return 0
            # A connection is idle from the moment on that its last response has left.
            return self._await_next() if self.requests else self.rearm()
        if not self.reading:
            self.rearm()               # nothing tells any more that the client has gone
        return session.writable_again() if self.unsent() <= self.host.http.write_low_water else 0

    cdef int _log_sent(self, Session session) except -1:
        """Log a response that was waited for, if the socket has taken all of it."""
        if session is not None and session.unlogged is not None and self.state == HANDLE_OPEN and self.unsent() == 0:
            return session.log_sent(0)
        return 0

    cdef void _on_closing(self) noexcept:
        if self.session is not None:
            self.session.unsent = self.unsent()
        StreamHandle._on_closing(self)

    cdef int _on_error(self, int code) except -1:
        # Resets and broken pipes are the client's way to leave; the exchange is told when the handle has closed.
        self.host.failed += 1
        self._close()
        return 0

    cdef void _fail(self, object exc) noexcept:
        if self.host is not None:
            self.host.failed += 1
        StreamHandle._fail(self, exc)

    cdef int _on_lingering(self) except -1:
        # Of a client that goes on to write, as one of HTTP/2 does with its windows, a reset would take along what it has not read.
        if self.session is None or not self.session.duplex:
            self.leaving = True
            self.host.lingering += 1
        return self.host.check_idle()

    cdef int _on_closed(self) except -1:
        cdef ConnectionHost host = self.host
        cdef Session session = self.session if self.c_head is NULL else self._lend_http1()
        self.session = None
        if self.introduction == INTRODUCTION_AWAITED:
            host.introductions.pop(self, None)
        if self.handshake == HANDSHAKE_BEGUN:
            host.handshakes_failed[<int>HANDSHAKE_CLOSED] += 1
        try:
            if self.c_head is not NULL:
                (<Http1Session>session).closed_within(self.c_head, self.head_size)
            if session is not None:
                session.closed()
                session.release()
        finally:
            self._drop_head()
            self.host = None
            host.remove(self)
        return 0
