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
from libc.string cimport memcpy
from granite._core.address cimport FAMILY_UNIX, Networks
from granite._core.buf cimport out_copy
from granite._core.counters cimport (
    ALERTS, HANDSHAKE_ALERTS, HANDSHAKE_CLOSED, HANDSHAKE_NOT_TLS, HANDSHAKE_OTHER, HANDSHAKE_PLAIN_HTTP, HANDSHAKE_TIMEOUT,
    REJECTED_CONNECTIONS_PER_IP, REJECTED_PROXY_HEADER, REJECTED_REQUEST_TIMEOUT, REJECTED_TLS, REJECTED_WRITE_TIMEOUT, HandshakeFailure, clock,
    granite_alerts,
)
from granite._core.exchange cimport RESPONSE_BODY, Exchange, Interface, Rejections
from granite._core.http1 cimport SESSION_BODY, Http1Context, Http1Session, Pace, has_head_end
from granite._core.net cimport HANDLE_NEW, HANDLE_OPEN, LOOKS, Listener, Reactor, StreamHandle, read_address, turn_away
from granite._core.peers cimport PEER_NONE, PEER_TURNED_AWAY, Peers
from granite._core.proxy_protocol cimport HEADER_PART, HEADER_WRONG, HeaderState, ProxyHeader, is_header, read_header
from granite._core.transport cimport UNWRAP_ENDED, UNWRAP_OK, SecureContext, SecureLayer, Unwrapped, name_of
from granite._core.errorlog import error_log as _log


cdef enum:
    FIRST_REQUEST_GRACE = 500           # ms that a drain leaves a new connection for its first request
    LAST_REQUEST_GRACE = 500            # ms after its last answer in which a connection that has reached its age may ask again
    LOOK_OUT = 1000                     # ms between two looks whether a client that is not read from has gone


cdef inline uint64_t _earlier(uint64_t first, uint64_t other) noexcept:
    """The earlier of two deadlines, of which 0 is none."""
    return other if other and (other < first or first == 0) else first


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
        if self.session is not None or self.c_head is not NULL or self.shutting:
            return 0
        return self._retire(self.host.drain_grace)

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
            idle = now + self.host.timeouts.keep_alive - self.until
            grace = grace - idle if idle < grace else 0
        return self._expect_last(grace) if grace else self.shut(False)

    cdef int _expect_last(self, uint64_t grace) except -1:
        self.waiting = WAITING_LAST
        self.until = self.reactor.now() + grace
        return self._rearm()

    # what is waited for

    cdef int _wait(self, Waiting waiting) except -1:
        cdef Timeouts *timeouts = &self.host.timeouts
        cdef uint64_t limit = 0
        if waiting == WAITING_HEAD:
            limit = self._first_limit()
        elif waiting == WAITING_REST:
            limit = _earlier(timeouts.keep_alive, timeouts.body)
        elif waiting == WAITING_NEXT:
            limit = timeouts.keep_alive
        self.waiting = waiting
        self.until = self.reactor.now() + limit if limit else 0
        return self._rearm()

    cdef uint64_t _first_limit(self) noexcept:
        """What there is to wait for before a request's head is its own."""
        return self.host.timeouts.head if self.layer is None or self.handshake == HANDSHAKE_DONE else self.host.timeouts.handshake

    cdef int _await_next(self) except -1:
        """There is no request any more."""
        cdef uint64_t grace
        if not self.host.draining and not self.last_request:
            return self._wait(WAITING_NEXT)
        # The head of the last response has left before that was known, and did not say that no more is answered.
        grace = self.host.drain_grace if self.host.draining else LAST_REQUEST_GRACE
        return self._expect_last(grace) if grace else self.shut(True)

    cdef int _await_body(self) except -1:
        """The request's body is being read: from now on it is the client that takes its time."""
        cdef Http1Session session = self.session
        if session is None or session.state != SESSION_BODY or session.exchange is None:
            return 0
        if session.expects_continue or not self.reading:
            return self._wait(WAITING_NOTHING)
        if self.waiting == WAITING_BODY:
            return 0
        session.pace.at = self.reactor.now()
        if session.pace.elapsed == 0:
            session.pace.surplus = self._most_surplus(session.body_size)
        return self._wait(WAITING_BODY)

    cdef int64_t _most_surplus(self, int64_t size) noexcept:
        """What `size` bytes are worth. A client that was fast may pause for a while, and not live on it for ever."""
        cdef Timeouts *timeouts = &self.host.timeouts
        return min(size * 1000, timeouts.body_rate * <int64_t>max(timeouts.body, timeouts.body_grace))

    cdef int _note_pace(self, Pace *pace, size_t size) except -1:
        cdef uint64_t now = self.reactor.now()
        pace.surplus = self._most_surplus(pace.surplus // 1000 + size) - <int64_t>(now - pace.at) * self.host.timeouts.body_rate
        pace.elapsed += now - pace.at
        pace.at = now
        return 0

    cdef int resume_reading(self) except -1:
        StreamHandle.resume_reading(self)
        return self._await_body()

    cdef int _settle(self) except -1:
        cdef Http1Session session = self.session
        cdef int begun
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
            self.host.http1.give_back(session)
            # Without a message it was but line ends, which put no deadline off.
            return self._await_next() if begun and self.c_head is NULL else 0
        if self.c_head is not NULL:
            return 0                    # only the end of the last response is waited for besides, which has a deadline of its own
        if session.state != SESSION_BODY:
            return self._wait(WAITING_NOTHING)
        if session.pace.at == 0:
            self.waiting = WAITING_NOTHING      # what was waited for belonged to a request before
        if session.exchange is not None:
            return self._await_body()
        if self.waiting == WAITING_REST:
            return 0
        session.pace.at = self.reactor.now()
        return self._wait(WAITING_REST)

    # deadlines

    cdef int _rearm(self) except -1:
        """Have _on_timeout() called at the first of the deadlines."""
        cdef Timeouts *timeouts = &self.host.timeouts
        cdef uint64_t first = 0
        if not self.shutting:
            if self.waiting == WAITING_BODY:
                first = self._body_deadline()
            elif self.inflight is NULL or (self.waiting != WAITING_NEXT and self.waiting != WAITING_LAST):
                first = self.until
            if timeouts.connection and not self.last_request:
                first = _earlier(first, self.opened_at + timeouts.connection)
            if timeouts.request:
                first = _earlier(first, self._request_deadline())
            if not self.reading and self.inflight is NULL:
                first = _earlier(first, self.reactor.now() + LOOK_OUT)
        if self.inflight is not NULL and timeouts.write:
            first = _earlier(first, self.inflight.look_at)
        return self.arm(first)

    cdef uint64_t _body_deadline(self) noexcept:
        """When the body that is being read has paused for too long, or is too slow, if nothing more comes."""
        cdef Timeouts *timeouts = &self.host.timeouts
        cdef Pace *pace = &self.session.pace
        cdef uint64_t deadline = pace.at + timeouts.body if timeouts.body else 0
        cdef int64_t left
        if timeouts.body_rate:
            # It may be over already: what came last did not make up for what was missing.
            left = max(<int64_t>(timeouts.body_grace - pace.elapsed), pace.surplus // timeouts.body_rate + 1)
            deadline = _earlier(deadline, pace.at + left)
        return deadline

    cdef uint64_t _request_deadline(self) noexcept:
        cdef Http1Session session = self.session
        if session is None or session.exchange is None:
            return 0
        return session.exchange.began_at // 1000000 + self.host.timeouts.request

    cdef int _on_timeout(self) except -1:
        cdef uint64_t limit = self.host.timeouts.write
        if self.lingering:
            self._close()
        elif limit and self.stalled(limit):
            if self.host.http1.rejections.note(REJECTED_WRITE_TIMEOUT):
                _log.info("%s: the client has taken nothing of its response for %g s", name_of(self.client()), limit / 1000.0)
            self.reset()
        elif not self.shutting:
            self._on_due(self.reactor.wheel.noted)
        return self._rearm() if self.state == HANDLE_OPEN and not self.lingering else 0

    cdef int _on_due(self, uint64_t now) except -1:
        cdef Timeouts *timeouts = &self.host.timeouts
        cdef uint64_t deadline
        if not self.reading and self.inflight is NULL and self.gone():
            return self._on_error(0)
        if timeouts.request:
            deadline = self._request_deadline()
            if deadline and now >= deadline:
                return self._on_request_late()
        if timeouts.connection and now >= self.opened_at + timeouts.connection and not self.last_request:
            self.last_request = True
            if self.session is None and self.c_head is NULL:
                return self._retire(LAST_REQUEST_GRACE)
        deadline = self._body_deadline() if self.waiting == WAITING_BODY else self.until
        return self._on_overdue(now) if deadline and now >= deadline else 0

    cdef int _on_overdue(self, uint64_t now) except -1:
        """What is waited for has not come in time."""
        cdef Http1Session session = self.session
        cdef Timeouts *timeouts = &self.host.timeouts
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
        if session is None:
            # With TLS the client is told, and can tell this end from a cut.
            return self.shut(False) if self.inflight is NULL else 0
        if self.waiting == WAITING_REST:
            self._close()
            return 0
        if timeouts.body and now >= session.pace.at + timeouts.body:
            session.refuse(408, f"nothing came of the request's body for {timeouts.body / 1000.0:g} s")
        else:
            session.refuse(408, f"the request's body came with less than {timeouts.body_rate} bytes per second")
        return self._settle()

    cdef int _on_request_late(self) except -1:
        cdef Http1Session session = self.session
        cdef Exchange exchange = session.exchange
        why = f"the request took longer than {self.host.timeouts.request / 1000.0:g} s: {exchange.name()}"
        if exchange.response == RESPONSE_BODY:
            # What waits for the client goes as well: it would not be a response.
            if self.host.http1.rejections.note(REJECTED_REQUEST_TIMEOUT):
                _log.info("%s: %s", name_of(self.client()), why)
            self.reset()
        else:
            session.refuse(504, why)
        self.host._overrun(exchange)
        return self._settle()

    # what the stream tells

    cdef int _on_bytes(self, const char *data, size_t size) except -1:
        if self.shutting and self.session is None:
            return 0
        self.reactor.bytes_received += size
        if self.c_head is not NULL:
            return self._on_more_head(data, size)
        if self.waiting == WAITING_BODY:
            self._note_pace(&self.session.pace, size)
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
        cdef Http1Session session = self.session
        if session is not None and self.state == HANDLE_OPEN:
            self.corked += 1
            try:
                session.resume()
            finally:
                self.corked -= 1
        return self._settle()

    cdef int _on_read_ended(self) except -1:
        cdef Http1Session session = self.session
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
        cdef uint64_t limit = self.host.timeouts.write
        if limit:
            self.inflight.look_at = self.reactor.now() + limit // LOOKS
            return self._rearm()
        return 0

    cdef int _on_writable(self) except -1:
        cdef Http1Session session = self.session
        self._log_sent(session)
        if self.shutting:
            return 0
        if session is not None and session.idle():
            return self._settle()
        if session is None:
            if self.inflight is not NULL or self.waiting == WAITING_HEAD:
                return 0
            # A connection is idle from the moment on that its last response has left.
            return self._await_next() if self.requests else self._rearm()
        if not self.reading:
            self._rearm()               # nothing tells any more that the client has gone
        return session.writable_again() if self.unsent() <= self.host.write_low_water else 0

    cdef int _log_sent(self, Http1Session session) except -1:
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
        self.host.lingering += 1
        return self.host.check_idle()

    cdef int _on_closed(self) except -1:
        cdef ConnectionHost host = self.host
        cdef Http1Session session = self.session if self.c_head is NULL else self._lend()
        self.session = None
        if self.introduction == INTRODUCTION_AWAITED:
            host.introductions.pop(self, None)
        if self.handshake == HANDSHAKE_BEGUN:
            host.handshakes_failed[<int>HANDSHAKE_CLOSED] += 1
        try:
            if self.c_head is not NULL:
                session.closed_within(self.c_head, self.head_size)
            if session is not None:
                session.closed()
                host.http1.give_back(session)
        finally:
            self._drop_head()
            self.host = None
            host.remove(self)
        return 0
