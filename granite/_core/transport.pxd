# What a protocol may ask of whatever carries its bytes.

from libc.stdint cimport uint8_t, uint64_t
from granite._core.address cimport Address
from granite._core.buf cimport OutPool, OutQueue

cdef enum Unwrapped:
    UNWRAP_ERROR = -1                   # an exception is set
    UNWRAP_OK
    UNWRAP_ENDED                        # the peer has said that nothing more comes
    UNWRAP_FAILED                       # `reason` says why; what the peer is told lies on the wire queue

cdef class SecureContext:
    cdef readonly int live              # layers that exist
    cdef SecureLayer layer(self)

cdef class SecureLayer:
    cdef OutQueue wire                  # records that wait for the socket
    cdef bint established               # the handshake is complete: wrap() may be called
    cdef bint complete                  # the peer has ended the handshake as well
    cdef bint http2                     # the handshake has chosen it
    cdef bint closed                    # the peer has been told that nothing more comes: wrap() must not be called
    cdef SecureLayer successor          # after unwrap(), which was this one's: who has the connection from now on; else None
    cdef const char *plain              # what the last unwrap() gave, until release()
    cdef size_t plain_size
    cdef str reason
    cdef int alert                      # that `reason` tells of, -1: none
    cdef tuple describe(self)
    cdef Unwrapped unwrap(self, OutPool pool, const char *data, size_t size) except UNWRAP_ERROR
    cdef int release(self) noexcept
    cdef int wrap(self, OutPool pool, const void *data, size_t size) except -1
    cdef int close(self, OutPool pool) except -1

cdef class Deferred:
    cdef bint deferred                  # the turn's end is waited for
    cdef int turn_ended(self) except -1

cdef class Waker:
    cdef void wake(self) noexcept nogil

cdef class LoopTurn:
    cdef int at_end(self, Deferred work) except -1
    cdef Waker waker(self, Deferred work)
    cpdef int wait(self) except -1

cdef str name_of(client)

cdef class Transport:
    cdef OutQueue out                   # bytes that wait for flush()
    cdef OutPool pool
    cdef size_t held                    # bytes at the end of `out` that must not leave yet: a response head that is still open
    cdef int corked                     # > 0: inside a read callback, which flushes once at its end
    cdef uint8_t broken                 # nothing can be written any more
    cdef uint8_t last_request           # the connection ends after the request that is in progress
    cdef uint8_t trusted                # the peer is a proxy that is believed
    cdef uint8_t secured                # a proxy says that its client came over TLS
    cdef uint8_t redirects              # requests are sent to the same place over TLS
    cdef uint8_t reading                # what comes is read; the transport's to set
    cdef uint8_t suspect                # the peer floods: shut() does not wait long for its end

    cdef size_t unsent(self) noexcept
    cdef size_t unacknowledged(self) noexcept
    cdef int flush(self) except -1
    cdef int flush_soon(self) except -1
    cdef int pause_reading(self) except -1
    cdef int resume_reading(self) except -1
    cdef int resume_soon(self) except -1
    cdef int keep(self, const char *base, size_t size) except -1
    cdef int shut(self, bint linger) except -1
    cdef int reset(self) except -1
    cdef int drop(self) except -1
    cdef uint64_t now(self) noexcept
    cdef int rearm(self) except -1
    cdef const Address *address(self) noexcept
    cdef int must_wait(self, const Address *client) noexcept
    cdef object client(self)
    cdef object server(self)
    cdef object scheme(self)
    cdef tuple tls(self)
