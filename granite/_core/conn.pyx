"""A connection: glues a stream to the protocol that is spoken on it.

Owns the choice of the protocol, the connection's one deadline, and the cork that makes all answers of one read leave in one write.
Knows the transport below and the sessions above; not the interfaces, and of TLS only the layer that it hands bytes to. Runs on the reactor's thread.

Theory of operation: a connection without a session is idle, and nothing but its own struct. The first bytes of a request get it a
session; _settle(), which runs after everything that can change what the connection waits for, gives the session back when there is
no request any more, and arms the deadline that fits.
"""

import logging

cimport cython
from cpython.object cimport PyObject
from granite._core.http1 cimport SESSION_BODY, SESSION_HEAD, Http1Context, Http1Session
from granite._core.net cimport HANDLE_NEW, HANDLE_OPEN, LINGER_TIMEOUT, Listener, Reactor, StreamHandle
from granite._core.transport cimport UNWRAP_ENDED, UNWRAP_OK, SecureContext, SecureLayer, Unwrapped, name_of

cdef object _log = logging.getLogger("granite.error")

cdef enum:
    FIRST_REQUEST_GRACE = 500           # ms that a drain leaves a new connection for its first request


cdef class ConnectionHost:
    """What connections need of the server that accepted them: settings, and a place in its list."""

    cdef int add(self, Connection connection) except -1:
        connection.c_previous = NULL
        connection.c_next = self.c_first
        if self.c_first is not NULL:
            (<Connection>self.c_first).c_previous = <PyObject *>connection
        self.c_first = <PyObject *>connection
        self.connections += 1
        if self.board is not None:
            self.board.note(self.connections)
        return 0

    cdef int remove(self, Connection connection) except -1:
        """A connection has closed."""
        if connection.c_previous is not NULL:
            (<Connection>connection.c_previous).c_next = connection.c_next
        else:
            self.c_first = connection.c_next
        if connection.c_next is not NULL:
            (<Connection>connection.c_next).c_previous = connection.c_previous
        self.connections -= 1
        if self.board is not None:
            self.board.note(self.connections)
        if connection.lingering:
            self.lingering -= 1
        return self.check_idle()

    cdef int check_idle(self) except -1:
        """Something has ended that a drain may wait for."""
        return 0


@cython.final
@cython.no_gc
cdef class Connection(StreamHandle):
    """One client's connection.

    The garbage collector does not see connections: libuv keeps each alive until it has closed, and closing drops its references.
    """

    cdef int accept(self, ConnectionHost host, Listener listener, int fd, const uv.sockaddr_storage *peer) except -1:
        self.host = host
        host.add(self)
        try:
            self._open(listener, fd, peer)
            if host.secure is not None:
                self.layer = host.secure.layer()
            self.start_reading()
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
        """Close if nothing is in progress; what is will be answered with `Connection: close`.

        A connection that is new, or has just been answered, is given a moment: its next request may be on the way. One that has
        been idle for longer is closed at once, which its client has to expect (RFC 9112, section 9.3.1).
        """
        cdef uint64_t left = self.host.drain_grace
        cdef uint64_t idle
        if self.session is not None or self.shutting or self.waiting == WAITING_LAST:
            return 0
        if self.waiting == WAITING_HEAD:
            left = FIRST_REQUEST_GRACE
        elif self.host.keep_alive_timeout:
            # Its deadline tells when it was armed: at the end of the last response.
            idle = self.reactor.now() + self.host.keep_alive_timeout - self.timer.deadline
            left = left - idle if idle < left else 0
        return self.arm(left) if left else self.shut(False)

    cdef int _wait(self, Waiting waiting) except -1:
        """Arm the deadline of what is waited for."""
        self.waiting = waiting
        if waiting == WAITING_HEAD:
            return self.arm(self.host.head_timeout)
        if waiting == WAITING_NOTHING:
            return self.arm(0)
        return self.arm(self.host.keep_alive_timeout)

    cdef int _settle(self) except -1:
        cdef Http1Session session = self.session
        cdef int begun
        self.flush()
        if self.state != HANDLE_OPEN or self.shutting or session is None:
            return 0
        if session.idle():
            self.session = None
            begun = session.messages
            self.requests += begun
            self.host.http1.give_back(session)
            # Without a message it was but line ends, which put no deadline off.
            if not begun:
                return 0
            if self.host.draining and self.host.drain_grace:
                # The head of the last response has left before the drain, and did not say that no more is answered.
                self.waiting = WAITING_LAST
                return self.arm(self.host.drain_grace)
            return self.shut(True) if self.host.draining else self._wait(WAITING_NEXT)
        if session.state == SESSION_HEAD:
            # The deadline of a head counts from its first byte on, however slowly the rest comes.
            if not session.head_began:
                return 0
            session.head_began = False
            return self._wait(WAITING_HEAD)
        if session.state == SESSION_BODY and session.exchange is None:
            return 0 if self.waiting == WAITING_REST else self._wait(WAITING_REST)
        return self._wait(WAITING_NOTHING)

    cdef int _on_read(self, const char *data, size_t size) except -1:
        return self._on_bytes(data, size) if self.layer is None else self._on_records(data, size)

    cdef int _on_records(self, const char *data, size_t size) except -1:
        cdef SecureLayer layer = self.layer     # closing drops it
        cdef Unwrapped outcome
        if self.handshake != HANDSHAKE_DONE:
            self.handshake = HANDSHAKE_BEGUN
        outcome = layer.unwrap(self.pool, data, size)
        if layer.complete and self.handshake == HANDSHAKE_BEGUN:
            self.handshake = HANDSHAKE_DONE
            self.host.handshakes += 1
        try:
            if layer.plain_size and not self.shutting:
                self._on_bytes(layer.plain, layer.plain_size)
            elif layer.wire.head is not NULL:
                self.flush()
        finally:
            layer.release()
        if outcome == UNWRAP_OK or self.state != HANDLE_OPEN:
            return 0
        if outcome == UNWRAP_ENDED:
            self.pause_reading()
            self.read_ended = True
            return self._on_read_ended()
        _log.info("%s: TLS: %s", name_of(self.client()), layer.reason)
        if self.session is None:
            return self.shut(True)
        # What is being answered cannot be told from what was tampered with.
        self.flush()
        self._close()
        return 0

    cdef int _on_bytes(self, const char *data, size_t size) except -1:
        cdef Http1Session session = self.session
        if session is None:
            if self.shutting:
                return 0
            session = self.session = self.host.http1.session(self)
            session.served = self.requests
        self.reactor.bytes_received += size
        session.read_at = self.reactor.polled_at
        self.corked += 1
        try:
            session.feed(data, size)
        finally:
            self.corked -= 1
        return self._settle()

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
        if session is None:
            return self.shut(False)
        session.read_ended()
        return self._settle()

    cdef int _on_writable(self) except -1:
        cdef Http1Session session = self.session
        if session is not None and self.unsent() <= self.host.write_low_water:
            return session.writable_again()
        return 0

    cdef int _on_error(self, int code) except -1:
        # Resets and broken pipes are the client's way to leave; the exchange is told when the handle has closed.
        self.host.failed += 1
        self._close()
        return 0

    cdef void _fail(self, object exc) noexcept:
        if self.host is not None:
            self.host.failed += 1
        StreamHandle._fail(self, exc)

    cdef int _on_timeout(self) except -1:
        cdef Http1Session session = self.session
        if session is None and self.layer is not None and not self.shutting:
            # The client can tell this end from a cut, unless it takes nothing.
            self.shut(False)
            self.arm(LINGER_TIMEOUT)
        elif self.lingering or session is None or self.waiting == WAITING_NEXT or self.waiting == WAITING_REST:
            self._close()
        elif session.state == SESSION_HEAD:
            session.refuse(408, "the request's head took too long")
            self._settle()
        return 0

    cdef int _on_lingering(self) except -1:
        self.host.lingering += 1
        return self.host.check_idle()

    cdef int _on_closed(self) except -1:
        cdef Http1Session session = self.session
        cdef ConnectionHost host = self.host
        self.session = None
        self.host = None
        if self.handshake == HANDSHAKE_BEGUN:
            host.handshakes_failed += 1
        try:
            if session is not None:
                session.closed()
                host.http1.give_back(session)
        finally:
            host.remove(self)
        return 0
