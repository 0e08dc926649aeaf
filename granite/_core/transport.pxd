# What a protocol may ask of whatever carries its bytes.

from granite._core.buf cimport OutPool, OutQueue

cdef class Transport:
    cdef OutQueue out                   # bytes that wait for flush()
    cdef OutPool pool
    cdef size_t held                    # bytes at the end of `out` that must not leave yet: a response head that is still open
    cdef int corked                     # > 0: inside a read callback, which flushes once at its end
    cdef bint broken                    # nothing can be written any more

    cdef size_t unsent(self) noexcept
    cdef int flush(self) except -1
    cdef int flush_soon(self) except -1
    cdef int pause_reading(self) except -1
    cdef int resume_reading(self) except -1
    cdef int resume_soon(self) except -1
    cdef int shut(self, bint linger) except -1
    cdef int reset(self) except -1
    cdef object client(self)
    cdef object server(self)
    cdef object scheme(self)
