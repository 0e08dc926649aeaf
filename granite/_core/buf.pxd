# Output buffers: a queue of OutBuf, each a scratch area of its own plus a vector of pieces that lie in it or in Python objects,
# or a range of a file.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

cdef extern from "<sys/uio.h>":
    cdef struct iovec:
        void *iov_base
        size_t iov_len

cdef enum:
    OUT_CAPACITY = 16384    # bytes of scratch in an OutBuf that comes from the pool
    OUT_VECTORS = 32        # pieces an OutBuf can hold
    OUT_COPY_LIMIT = 4096   # bodies up to this size are copied; a larger one is referenced
    OUT_POOL_LIMIT = 64     # free OutBufs that a pool keeps

cdef struct OutBuf:
    OutBuf *next
    uint32_t length                     # scratch bytes in use
    uint32_t capacity                   # scratch bytes there are
    uint32_t vectors                    # pieces in use
    uint32_t first                      # first piece that is not written yet
    int64_t offset                      # at which its one piece begins in the OutFile that is the owner; -1: it holds memory
    iovec vector[OUT_VECTORS]           # pieces, in order
    PyObject *owner[OUT_VECTORS]        # whose memory the piece is (one reference), NULL for the scratch
    char data[1]                        # the scratch, `capacity` bytes

cdef struct OutQueue:
    OutBuf *head
    OutBuf *tail
    size_t pending                      # bytes in the queue

cdef class OutFile:
    cdef int fd
    cdef OutPool pool

cdef class OutPool:
    cdef OutBuf *c_free
    cdef readonly int free              # OutBufs kept for reuse
    cdef readonly int live              # OutBufs that somebody holds
    cdef readonly int files             # descriptors that queues hold
    cdef OutBuf *_allocate(self, size_t capacity) except NULL
    cdef OutBuf *acquire(self, size_t capacity) except NULL
    cdef void release(self, OutBuf *buf) noexcept
    cdef void clear(self, OutQueue *queue) noexcept
    cdef char *grow(self, OutQueue *queue, size_t size) except NULL
    cdef int reference(self, OutQueue *queue, object owner, const char *base, size_t size) except -1
    cdef OutFile hold_file(self, int fd)
    cdef int reference_file(self, OutQueue *queue, OutFile file, int64_t offset, size_t size) except -1
    cdef ssize_t load(self, OutQueue *queue) except? -1
    cdef int split_tail(self, OutQueue *queue, size_t size, OutQueue *rest) except -1

cdef inline char *out_reserve(OutPool pool, OutQueue *queue, size_t size) except NULL:
    """Return a place for `size` contiguous bytes, at least one, at the end of the queue; out_commit() makes them part of it."""
    cdef OutBuf *buf = queue.tail
    if buf is not NULL and buf.capacity - buf.length >= size and buf.vectors < OUT_VECTORS:
        return &buf.data[buf.length]
    return pool.grow(queue, size)

cdef inline void out_commit(OutQueue *queue, size_t size) noexcept:
    cdef OutBuf *buf = queue.tail
    cdef char *base = &buf.data[buf.length]
    cdef iovec *last
    queue.pending += size
    buf.length += <uint32_t>size
    if buf.vectors > buf.first:
        last = &buf.vector[buf.vectors - 1]
        if buf.owner[buf.vectors - 1] is NULL and <char *>last.iov_base + last.iov_len == base:
            last.iov_len += size
            return
    buf.vector[buf.vectors].iov_base = base
    buf.vector[buf.vectors].iov_len = size
    buf.owner[buf.vectors] = NULL
    buf.vectors += 1

cdef inline int out_copy(OutPool pool, OutQueue *queue, const char *base, size_t size) except -1:
    cdef char *place = out_reserve(pool, queue, size)
    memcpy(place, base, size)
    out_commit(queue, size)
    return 0
