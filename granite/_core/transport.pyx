"""The contract between a protocol and the transport below it.

Owns the output queue and nothing else. Knows neither sockets nor protocols: `net` implements the contract over libuv, a protocol
only ever sees this class. Runs on the reactor's thread.

The back-pressure contract: a protocol appends to `out` and calls flush() or flush_soon(). What the socket does not take stays with
the transport; unsent() says how much that is, and the protocol is told by its owner when it has fallen below the low-water mark.
Nothing stops a protocol from appending more, so a protocol must not ask an application for more while unsent() is above the
high-water mark.
"""


cimport cython


@cython.no_gc
cdef class Transport:
    """Abstract base: bytes out, and the few controls that a protocol has over its connection."""

    cdef size_t unsent(self) noexcept:
        """Bytes that were handed over and have not reached the kernel."""
        return self.out.pending

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

    cdef int shut(self, bint linger) except -1:
        """Close once everything has left; `linger`: first wait a while for the peer's end, so that a reset does not eat the answer."""
        raise NotImplementedError

    cdef int reset(self) except -1:
        """Close now, so that the peer sees an error and not an end."""
        raise NotImplementedError

    cdef object client(self):
        """(host, port) of the peer, or None."""
        raise NotImplementedError

    cdef object server(self):
        """(host, port) of this end, (path, None) of a Unix socket."""
        raise NotImplementedError

    cdef object scheme(self):
        """"http" or "https"."""
        raise NotImplementedError
