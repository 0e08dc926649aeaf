"""The exchange: one request and its response.

Owns what a parsed request needs and goes with it. A protocol makes it, fills in the request, feeds the body and carries the response's
bytes; an interface consumes it. Neither knows the other. Runs on the reactor's thread.

A method of an attribute runs on a borrowed reference in Cython: whoever calls into an exchange or a protocol through an attribute that the call
may clear holds it in a local variable first.

Theory of operation: the response moves NONE → HEAD → BODY → DONE. In HEAD the status and the fields are serialised but held back
until the first piece of the body, so that an application that fails in between can still be answered with a 500. `protocol` is None
after the connection closed or turned to its next request; the application may run on, its receive() tells of the end.
"""

import os

cimport cython
from cpython.mem cimport PyMem_RawFree
from cpython.object cimport PyObject
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset
from posix.fcntl cimport O_CLOEXEC, O_NONBLOCK, O_RDONLY, open as c_open
from posix.stat cimport S_ISREG, fstat, struct_stat
from posix.unistd cimport close
from granite._core.capi.octets cimport append_octets
from granite._core.capi.python cimport (
    GRANITE_IS_DEBUG, PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, PyContext_Enter, PyContext_Exit, PyContextVar_Set,
)
from granite._core.counters cimport (
    REASONS, REJECTED_CLIENT_GONE, REJECTED_QUEUE_TIME, Rejection, clock, coarse_clock, observe,
)
from granite._core.errorlog import error_log as _log


include "exchange/rejections.pxi"
include "exchange/admission.pxi"
include "exchange/request_id.pxi"

cdef extern from "<unistd.h>" nogil:
    ssize_t pread(int fd, void *base, size_t size, long long offset)

cdef enum:
    SMALL_FILE = 16384                  # bytes up to which a file is read at once: it needs no descriptor of its own, nor a write


class ClientDisconnected(OSError):
    """The client has gone: what send() was given can't be delivered."""


cdef class Handshake:
    """What is known of a handshake of WebSocket. Its protocol judges it, and keeps here what it needs of it."""

    def __cinit__(self):
        self.subprotocols = []


cdef class Protocol:
    """What an exchange may ask of the protocol below it."""

    cdef int turn_has_come(self, Exchange exchange) except -1:
        """start() an exchange that had to wait, but not from inside of this call."""
        raise NotImplementedError

    cdef int turn_away(self, Exchange exchange, Rejection reason) except -1:
        """Answer with a 503 an exchange that has waited, and will not be started."""
        raise NotImplementedError

    cdef int send_interim(self, Exchange exchange, int status, object headers) except -1:
        """Send an informational response (1xx) at once; nothing happens where the client does not know them or the head has left."""
        raise NotImplementedError

    cdef int start_response(self, Exchange exchange, int status, object headers) except -1:
        """Accept status and fields (an iterable of pairs of bytes); nothing leaves before the first send_body()."""
        raise NotImplementedError

    cdef int discard_head(self, Exchange exchange) except -1:
        """Take start_response() back."""
        raise NotImplementedError

    cdef int send_body(self, Exchange exchange, object body, bint more) except -1:
        """Send the bytes `body`; `more` false ends the response."""
        raise NotImplementedError

    cdef int send_file(self, Exchange exchange, int fd, int64_t offset, int64_t count, bint more) except -1:
        """Like send_body(), of bytes in a regular file, which has them; the descriptor stays the caller's, who may close it at once."""
        raise NotImplementedError

    cdef int send_trailers(self, Exchange exchange, object headers) except -1:
        """End a response that is `trailing`; the fields are checked, and leave if the client takes them."""
        raise NotImplementedError

    cdef int cut_short(self, Exchange exchange) except -1:
        """End a response that can't be completed so that the client sees that it is not."""
        raise NotImplementedError

    cdef int push(self, Exchange exchange) except -1:
        """Have what was sent leave now, as nobody knows when more comes."""
        raise NotImplementedError

    cdef int body_wanted(self, Exchange exchange) except -1:
        """The application has taken what there was of the request's body, or waits for it."""
        raise NotImplementedError

    cdef bint writable(self, Exchange exchange) noexcept:
        """Whether less than the high-water mark is waiting for the socket."""
        return True

    # of WebSockets

    cdef int accept(self, Exchange exchange, str subprotocol, list headers) except -1:
        """Accept the handshake. From then on the exchange's protocol is that of the WebSocket, which knows the methods below."""
        raise NotImplementedError

    cdef int send_message(self, Exchange exchange, object message) except -1:
        """Send a message, a str or bytes, each of the very type."""
        raise NotImplementedError

    cdef int message_awaited(self, Exchange exchange) except -1:
        """The application has taken all messages, and waits for another."""
        return 0

    cdef int close_websocket(self, Exchange exchange, int code, str reason) except -1:
        """Begin the closing handshake. The exchange hears no more of it."""
        raise NotImplementedError


cdef class Interface:
    """Makes the exchanges of one kind of application, and counts them."""

    cdef int attach(self, LoopTurn turn) except -1:
        """The server that uses it is being made: this is its event loop's turn."""
        return 0

    cdef int detach(self) except -1:
        """The server is about to close: the turn comes to its last end."""
        return 0

    cdef void export_threads(self, int64_t *snapshot) noexcept:
        """Write what there is to say of the application's threads into a server's snapshot."""
        pass

    cdef Exchange new_exchange(self):
        raise NotImplementedError

    cdef Exchange new_websocket(self):
        """An exchange for a WebSocket; only asked for where the server was told that the interface has them."""
        raise NotImplementedError

    cdef int cancel(self) except -1:
        """Make the calls of the application that have not returned end."""
        return 0

    cdef int started(self, Exchange exchange) except -1:
        exchange.linked = True
        exchange.c_older = self.c_newest
        if self.c_newest is not NULL:
            (<Exchange>self.c_newest).c_newer = <PyObject *>exchange
        else:
            self.c_oldest = <PyObject *>exchange
        self.c_newest = <PyObject *>exchange
        self.running += 1
        self.requests += 1
        if self.requests == self.max_requests:
            self.on_max_requests()
        return 0

    cdef void calling(self, Exchange exchange) noexcept:
        """The application is about to be called."""
        if exchange.read_at:
            observe(&self.queue_time, clock() - exchange.read_at)

    cdef int finished(self, Exchange exchange) except -1:
        self._unlink(exchange)
        self.running -= 1
        if exchange.turn == TURN_TAKEN:
            self.admission.release(exchange)
        if self.running == 0 and self.on_quiet is not None:
            self.on_quiet()
        return 0

    cdef list in_flight(self, int most):
        """(method, path, seconds) of the requests whose calls have not returned, the oldest first."""
        cdef PyObject *current = self.c_oldest
        cdef Exchange exchange
        cdef int64_t now = clock()
        found = []
        while current is not NULL and len(found) < most:
            exchange = <Exchange>current
            found.append((exchange.method, exchange.path, (now - exchange.began_at) / 1e9))
            current = exchange.c_newer
        return found

    cdef int overran(self, Exchange exchange) except -1:
        """A request took too long and was told so: its call gets a grace."""
        exchange.overrun_at = clock()
        if self.on_overrun is not None:
            self.on_overrun()
        return 0

    cdef list overrun(self, int64_t until):
        """The calls that have not returned and were found to take too long at `until` (ns) or before; each is told of once."""
        cdef PyObject *current = self.c_oldest
        cdef Exchange exchange
        found = []
        while current is not NULL:
            exchange = <Exchange>current
            if 0 < exchange.overrun_at <= until:
                exchange.overrun_at = 0
                found.append(exchange)
            current = exchange.c_newer
        return found

    cdef int64_t first_overrun(self) noexcept:
        """When the first of those was found to take too long (ns); 0: there is none."""
        cdef PyObject *current = self.c_oldest
        cdef int64_t at
        cdef int64_t first = 0
        while current is not NULL:
            at = (<Exchange>current).overrun_at
            if at and (at < first or first == 0):
                first = at
            current = (<Exchange>current).c_newer
        return first

    cdef void _unlink(self, Exchange exchange) noexcept:
        if not exchange.linked:
            return
        exchange.linked = False
        if exchange.c_older is not NULL:
            (<Exchange>exchange.c_older).c_newer = exchange.c_newer
        else:
            self.c_oldest = exchange.c_newer
        if exchange.c_newer is not NULL:
            (<Exchange>exchange.c_newer).c_older = exchange.c_older
        else:
            self.c_newest = exchange.c_older
        exchange.c_older = exchange.c_newer = NULL


# Its __dealloc__ needs `interface`; every cycle that an exchange can be part of has another member that the collector can clear.
@cython.no_gc_clear
cdef class Exchange:
    """One request and its response; an interface fills in the abstract half."""

    def __cinit__(self):
        self.declared = -1

    def __dealloc__(self):
        PyMem_RawFree(self.c_more)
        if self.interface is not None:
            self.interface._unlink(self)        # a Task that was dropped does not end
            if self.turn == TURN_WAITING:
                self.interface.admission._pop(self)
            self.interface.live -= 1

    cdef str name(self):
        """How a log line names it: by its method and its path as they came, in which nothing ends a line."""
        return f"{self.method} {self.raw_path.decode('ascii', 'backslashreplace')}"

    # before it runs

    cdef bint may_start(self) except -1:
        """Whether start() is to be called now; if not, the protocol is told when. May be asked again and again."""
        cdef Admission admission = self.interface.admission
        return admission is None or admission.admit(self)

    cdef int withdraw(self, bint gone) except -1:
        """It will not be started; `gone`: as its client has left."""
        cdef Admission admission = self.interface.admission
        return 0 if admission is None else admission.withdraw(self, gone)

    # request body

    cdef size_t buffered(self) noexcept:
        """Bytes of the body that the interface has not taken."""
        return self.more_size + (PyBytes_GET_SIZE(<PyObject *>self.body) if self.body is not None else 0)

    cdef int add_body(self, const char *base, size_t size) except -1:
        if self.body is None and self.more_size == 0:
            self.body = PyBytes_FromStringAndSize(base, size)
            return 0
        return append_octets(&self.c_more, &self.more_size, &self.more_capacity, base, size)

    cdef bytes take_body(self):
        """What has arrived of the body and was not taken yet."""
        cdef bytes taken = self.body
        cdef bytes joined
        cdef Py_ssize_t first
        self.body = None
        if self.more_size:
            first = PyBytes_GET_SIZE(<PyObject *>taken) if taken is not None else 0
            joined = PyBytes_FromStringAndSize(NULL, first + self.more_size)
            if first:
                memcpy(PyBytes_AS_STRING(<PyObject *>joined), PyBytes_AS_STRING(<PyObject *>taken), first)
            memcpy(PyBytes_AS_STRING(<PyObject *>joined) + first, self.c_more, self.more_size)
            PyMem_RawFree(self.c_more)
            self.c_more = NULL
            self.more_size = self.more_capacity = 0
            return joined
        return taken if taken is not None else b""

    # response

    cdef bint takes_trailers(self) except -1:
        """Whether the client has said that it takes trailers (RFC 9110, 10.1.4). Looked up when it is asked: few responses have any."""
        for name, value in self.headers:
            if name == b"te" and b"trailers" in [coding.strip(b" \t") for coding in value.lower().split(b",")]:
                return True
        return False

    cdef int64_t body_bytes(self) noexcept:
        """Bytes of the response's body, without its framing."""
        if self.head_only or self.status < 200 or is_bodyless(self.status):
            return 0
        return min(self.sent, self.bytes_out)

    cdef int64_t send_path(self, str path, int64_t offset, int64_t count, bint more) except -1:
        """send_range() of the file at `path`."""
        cdef bytes name = os.fsencode(path)
        cdef const char *c_name = name
        cdef int fd
        cdef int code
        if b"\0" in name:
            raise ValueError("a path can't hold NUL")
        with nogil:                     # without O_NONBLOCK a FIFO would wait for its other end
            fd = c_open(c_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            code = errno
        if fd < 0:
            raise OSError(code, os.strerror(code), path)
        try:
            return self.send_range(fd, offset, count, more)
        finally:
            close(fd)

    cdef int64_t send_range(self, int fd, int64_t offset, int64_t count, bint more) except -1:
        """Send what a regular file has from `offset` on, `count` bytes at most (-1: all); how many these are.

        Raises:
            OSError: it can't be looked at, or the process has no descriptor left to keep it.
            ValueError: it is no regular file: others have no length, and reading them may wait.
        """
        cdef Protocol protocol = self.carrier()
        cdef struct_stat status
        cdef int64_t left
        if fstat(fd, &status) < 0:
            raise OSError(errno, os.strerror(errno))
        if not S_ISREG(status.st_mode):
            raise ValueError("only regular files can be sent")
        left = max(status.st_size - offset, 0)
        if 0 <= count < left:
            left = count
        if left <= SMALL_FILE and not self.head_only:
            protocol.send_body(self, _read(fd, offset, left), more)
        else:
            protocol.send_file(self, fd, offset, left, more)
        return left

    cdef Protocol carrier(self):
        """Who takes a piece of the response. To look at what an application gives may run its code, which may end the response: to be asked behind
        that."""
        if self.protocol is None:
            raise RuntimeError("the response was ended while a message of it was being looked at")
        return self.protocol

    cdef int _set_response(self, ResponseState state) except -1:
        if GRANITE_IS_DEBUG:
            assert state > self.response or (state == RESPONSE_NONE and self.response == RESPONSE_HEAD), (self.response, state)
        self.response = state
        return 0

    cdef int respond(self, int status, bytes text) except -1:
        """Answer with a short text of the server's own."""
        cdef Protocol protocol = self.protocol
        if protocol is None:
            return 0
        self.trailing = False
        self.reason = None
        protocol.start_response(self, status, [(b"content-type", b"text/plain; charset=utf-8")])
        return protocol.send_body(self, text, False)

    cdef int fail(self) except -1:
        """The application has failed: a 500 if nothing has left yet, else end the response visibly incomplete."""
        cdef Protocol protocol = self.protocol
        if protocol is None or self.response == RESPONSE_DONE:
            return 0
        if self.response == RESPONSE_HEAD:
            protocol.discard_head(self)
        if self.response == RESPONSE_NONE:
            return self.respond(500, b"Internal Server Error")
        return protocol.cut_short(self)

    cdef int report(self, object exc) except -1:
        """Log what the application has let escape, and tell who wants to know."""
        try:
            if self.gone_told and (self.response != RESPONSE_DONE or self.aborted):
                # Frameworks make errors of their own of it: a client could have a traceback written whenever it likes.
                _log.info("the application was told that its client has gone, and raised %r: %s", exc, self.name())
                _log.debug("where it was raised: %s", self.name(), exc_info=exc)
            else:
                _log.error("exception in the application: %s", self.name(), exc_info=exc)
            if self.interface.on_error is not None:
                self.interface.on_error(exc)
        except BaseException as failure:
            _log.error("on_error failed", exc_info=failure)
        return 0

    cdef int leave(self) except -1:
        """End a response that nobody waits for."""
        cdef Protocol protocol = self.protocol
        if protocol is None or self.response == RESPONSE_DONE:
            return 0
        if self.response == RESPONSE_HEAD:
            protocol.discard_head(self)
        return protocol.cut_short(self)

    # for the interface to fill in

    cdef int start(self) except -1:
        """The head is complete: call the application."""
        raise NotImplementedError

    cdef bint abort(self) except -1:
        """Make the call of the application end, which has taken too long and was told so; False if nothing does."""
        raise NotImplementedError

    cdef int on_body(self) except -1:
        """More of the body has arrived, or its end."""
        return 0

    cdef int on_writable(self) except -1:
        """Less than the low-water mark is waiting for the socket."""
        return 0

    cdef int on_read_ended(self) except -1:
        """The peer has ended its half of the connection."""
        self.read_ended = True
        return self.on_body()

    cdef int on_disconnect(self) except -1:
        """The connection has closed, or turned to its next request."""
        self.disconnected = self.response != RESPONSE_DONE
        self.protocol = None
        if not self.body_complete:
            self.take_body()            # a piece of a body of which no more comes
        return 0

    cdef int on_message(self, object message) except -1:
        """A message has come: a str, or bytes."""
        raise NotImplementedError

    cdef bint wants_messages(self, Py_ssize_t most, size_t size) noexcept:
        """Whether fewer than so many messages wait for the application, of less than so many characters and bytes."""
        return False

    cdef int on_websocket_closed(self, int code, str reason) except -1:
        """A WebSocket that was open has closed, by whoever: nothing comes any more, nor goes."""
        raise NotImplementedError


cdef bytes _read(int fd, int64_t offset, Py_ssize_t size):
    """A piece of a file that was that long a moment ago."""
    cdef bytes data = PyBytes_FromStringAndSize(NULL, size)
    cdef char *base = PyBytes_AS_STRING(<PyObject *>data)
    cdef Py_ssize_t done = 0
    cdef ssize_t found
    while done < size:
        with nogil:
            found = pread(fd, base + done, size - done, offset + done)
        if found == 0:
            raise OSError("the file has become shorter")
        if found > 0:
            done += found
        elif errno != EINTR:
            raise OSError(errno, os.strerror(errno))
    return data
