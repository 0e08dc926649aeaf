"""The contract between a protocol and the transport below it.

Owns the output queue and nothing else. Knows neither sockets nor protocols: `net` implements the contract over libuv, a protocol
only ever sees this class. Runs on the reactor's thread.

The back-pressure contract: a protocol appends to `out` and calls flush() or flush_soon(). What the socket does not take stays with
the transport; unsent() says how much that is, and the protocol is told by its owner when it has fallen below the low-water mark.
Nothing stops a protocol from appending more, so a protocol must not ask an application for more while unsent() is above the
high-water mark.
"""


cimport cython


cdef class SecureContext:
    """What secured connections have in common, such as a certificate."""

    cdef SecureLayer layer(self):
        """A layer for a new connection."""
        raise NotImplementedError


cdef class SecureLayer:
    """Bytes in, bytes out between a socket and a protocol. The transport calls it; it calls nobody."""

    cdef tuple describe(self):
        """What was agreed on: the server's certificate in PEM, the numbers of TLS's version and of the cipher suite; and of a client that
        has shown a certificate its chain in PEM, its name and that of its issuer, else None.
        """
        raise NotImplementedError

    cdef Unwrapped unwrap(self, OutPool pool, const char *data, size_t size) except UNWRAP_ERROR:
        """Take in what was read. Plain bytes are at `plain`, answers of the layer itself on `wire`."""
        raise NotImplementedError

    cdef int release(self) noexcept:
        """Free the plain bytes."""
        return 0

    cdef int wrap(self, OutPool pool, const void *data, size_t size) except -1:
        """Append the records of these bytes to `wire`."""
        raise NotImplementedError

    cdef int close(self, OutPool pool) except -1:
        """Append what tells the peer that nothing more comes. Idempotent."""
        raise NotImplementedError


cdef class Deferred:
    """Work that is collected during a turn of the event loop and done at its end."""

    cdef int turn_ended(self) except -1:
        raise NotImplementedError


cdef class Waker:
    """Has work done at the end of a turn, which it ends the wait for: the one way in from other threads."""

    cdef void wake(self) noexcept nogil:
        """Call turn_ended() soon, once for all calls before it. To be called by any thread, but not any more once the turns are at an end."""
        pass


cdef class LoopTurn:
    """The current turn of the event loop, as those see it who have something to do at its end."""

    cdef int at_end(self, Deferred work) except -1:
        """Call work.turn_ended() once, when everything else has been done."""
        raise NotImplementedError

    cdef Waker waker(self, Deferred work):
        """What other threads have it called with."""
        raise NotImplementedError

    cpdef int wait(self) except -1:
        """Wait until something happens, and let it happen, inside of this turn: for work at its end that can't go on without it.

        Other work may be called meanwhile, this one too if at_end() is called for it; RuntimeError where the turn has not come to its end.
        """
        raise NotImplementedError


@cython.no_gc
cdef class Transport:
    """Abstract base: bytes out, and the few controls that a protocol has over its connection."""

    cdef size_t unsent(self) noexcept:
        """Bytes that were handed over and have not reached the kernel."""
        return self.out.pending

    cdef size_t unacknowledged(self) noexcept:
        """Bytes that have reached it, and not the peer's, as far as can be told: a system call."""
        return 0

    cdef int flush(self) except -1:
        """Write as much as the socket takes now; the rest leaves when the socket is writable."""
        raise NotImplementedError

    cdef int flush_soon(self) except -1:
        """flush() once at the end of this turn of the event loop."""
        raise NotImplementedError

    cdef int pause_reading(self) except -1:
        raise NotImplementedError

    cdef int resume_reading(self) except -1:
        raise NotImplementedError

    cdef int resume_soon(self) except -1:
        """Have the owner look for more work (a pipelined request) outside of the current call."""
        raise NotImplementedError

    cdef int keep(self, const char *base, size_t size) except -1:
        """Keep what was read of a message that can't be begun with yet, and hand it in again, in one piece with what comes next."""
        raise NotImplementedError

    cdef int shut(self, bint linger) except -1:
        """Close once everything has left; `linger`: first wait a while for the peer's end, so that a reset does not eat the answer."""
        raise NotImplementedError

    cdef int reset(self) except -1:
        """Close now, so that the peer sees an error and not an end."""
        raise NotImplementedError

    cdef int drop(self) except -1:
        """Close now, whatever waits."""
        raise NotImplementedError

    cdef uint64_t now(self) noexcept:
        """Milliseconds on the clock of deadlines, as of this turn of the event loop."""
        return 0

    cdef int rearm(self) except -1:
        """A deadline of the protocol's is another than before."""
        return 0

    cdef const Address *address(self) noexcept:
        """The peer's address; of family FAMILY_UNIX if it has none."""
        return NULL

    cdef int must_wait(self, const Address *client) noexcept:
        """Note a request of this client, which is the peer or who it speaks for; 0, or the seconds after which one is welcome."""
        return 0

    cdef object client(self):
        """(host, port) of the peer, or None."""
        raise NotImplementedError

    cdef object server(self):
        """(host, port) of this end, (path, None) of a Unix socket."""
        raise NotImplementedError

    cdef object scheme(self):
        """"http" or "https"."""
        raise NotImplementedError

    cdef tuple tls(self):
        """SecureLayer.describe(); None where there is none, or TLS ends in front of the server."""
        raise NotImplementedError


cdef str name_of(client):
    """How a log line names a client, from what Transport.client() gave."""
    return "unix" if client is None else f"{client[0]}:{client[1]}"
