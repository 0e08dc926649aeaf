"""Output buffers and their pool.

Owns the memory in which responses wait for the socket. Knows neither sockets nor protocols. Runs on the reactor's thread, which
is the only one that touches a pool.

Theory of operation: whoever produces bytes appends them to an OutQueue, either by copying into the scratch of its last OutBuf or,
for a large body, by referencing the Python object that holds them. A transport gathers the pieces into one vector for one system
call and releases each OutBuf when its last piece has left. An idle connection has an empty queue and holds no OutBuf. A range of a
file has an OutBuf to itself, without scratch: the transport has the system send it, or load()s it, piece by piece.
"""

import os

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject
from libc.errno cimport EINTR, errno
from posix.fcntl cimport F_DUPFD_CLOEXEC, fcntl
from posix.unistd cimport close
from granite._core.capi.python cimport GRANITE_IS_DEBUG, GRANITE_IS_SANITIZED, Py_DECREF, Py_INCREF

DEBUG = bool(GRANITE_IS_DEBUG)
SANITIZE = bool(GRANITE_IS_SANITIZED)


cdef extern from "<unistd.h>" nogil:
    ssize_t pread(int fd, void *base, size_t size, long long offset)


cdef class OutFile:
    """A descriptor of our own, which lives as long as something in a queue needs it."""

    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)
            self.pool.files -= 1


cdef class OutPool:
    """The free OutBufs of one reactor."""

    def __dealloc__(self):
        cdef OutBuf *buf
        while self.c_free is not NULL:
            buf = self.c_free
            self.c_free = buf.next
            PyMem_RawFree(buf)

    cdef OutBuf *acquire(self, size_t capacity) except NULL:
        cdef OutBuf *buf
        if capacity <= OUT_CAPACITY:
            capacity = OUT_CAPACITY
            # A sanitizer can only see a use after release when nothing is reused.
            if self.c_free is not NULL and not GRANITE_IS_SANITIZED:
                buf = self.c_free
                self.c_free = buf.next
                self.free -= 1
                buf.next = NULL
                self.live += 1
                return buf
        return self._allocate(capacity)

    cdef OutBuf *_allocate(self, size_t capacity) except NULL:
        cdef OutBuf *buf = <OutBuf *>PyMem_RawMalloc(sizeof(OutBuf) + capacity)
        if buf is NULL:
            raise MemoryError()
        buf.next = NULL
        buf.length = buf.vectors = buf.first = 0
        buf.offset = -1
        buf.capacity = <uint32_t>capacity
        self.live += 1
        return buf

    cdef void release(self, OutBuf *buf) noexcept:
        cdef uint32_t i
        self.live -= 1
        for i in range(buf.vectors):
            if buf.owner[i] is not NULL:
                Py_DECREF(buf.owner[i])
        if buf.capacity != OUT_CAPACITY or self.free >= OUT_POOL_LIMIT or GRANITE_IS_SANITIZED:
            PyMem_RawFree(buf)
            return
        buf.length = buf.vectors = buf.first = 0
        buf.next = self.c_free
        self.c_free = buf
        self.free += 1

    cdef void clear(self, OutQueue *queue) noexcept:
        cdef OutBuf *buf = queue.head
        cdef OutBuf *following
        queue.head = queue.tail = NULL
        queue.pending = 0
        while buf is not NULL:
            following = buf.next
            self.release(buf)
            buf = following

    cdef char *grow(self, OutQueue *queue, size_t size) except NULL:
        """Append an OutBuf with room for `size` bytes and return that room."""
        cdef OutBuf *buf = self.acquire(size)
        _append(queue, buf)
        return &buf.data[0]

    cdef int reference(self, OutQueue *queue, object owner, const char *base, size_t size) except -1:
        """Append `size` bytes at `base` without copying; `owner` is kept alive until they have left."""
        cdef OutBuf *buf = queue.tail
        if buf is NULL or buf.vectors >= OUT_VECTORS or buf.offset >= 0:
            self.grow(queue, 0)
            buf = queue.tail
        buf.vector[buf.vectors].iov_base = <void *>base
        buf.vector[buf.vectors].iov_len = size
        Py_INCREF(<PyObject *>owner)
        buf.owner[buf.vectors] = <PyObject *>owner
        buf.vectors += 1
        queue.pending += size
        return 0

    cdef OutFile hold_file(self, int fd):
        """A duplicate of the descriptor, for reference_file().

        Raises:
            OSError: the process has no descriptor left.
        """
        cdef OutFile file = OutFile.__new__(OutFile)
        cdef int own = fcntl(fd, F_DUPFD_CLOEXEC, 0)
        if own < 0:
            raise OSError(errno, os.strerror(errno))
        file.fd = own
        file.pool = self
        self.files += 1
        return file

    cdef int reference_file(self, OutQueue *queue, OutFile file, int64_t offset, size_t size) except -1:
        """Append `size` bytes of a file, from `offset` on; they are read when the socket takes them."""
        cdef OutBuf *buf = self._allocate(0)
        buf.offset = offset
        buf.vector[0].iov_base = NULL
        buf.vector[0].iov_len = size
        Py_INCREF(<PyObject *>file)
        buf.owner[0] = <PyObject *>file
        buf.vectors = 1
        _append(queue, buf)
        queue.pending += size
        return 0

    cdef ssize_t load(self, OutQueue *queue) except? -1:
        """Read some of the file at the front of the queue into memory; the number of bytes, 0 where the file has ended early."""
        cdef OutBuf *file = queue.head
        cdef OutBuf *buf = self.acquire(0)
        cdef int fd = (<OutFile>file.owner[0]).fd
        cdef size_t most = min(file.vector[0].iov_len, <size_t>buf.capacity)
        cdef ssize_t size = -1
        with nogil:
            while size < 0:
                size = pread(fd, buf.data, most, file.offset)
                if size < 0 and errno != EINTR:
                    break
        if size <= 0:
            code = errno
            self.release(buf)
            if size < 0:
                raise OSError(code, os.strerror(code))
            return 0
        buf.vector[0].iov_base = buf.data
        buf.vector[0].iov_len = size
        buf.owner[0] = NULL
        buf.vectors = 1
        buf.length = <uint32_t>size
        buf.next = file
        queue.head = buf
        file.offset += size
        file.vector[0].iov_len -= size
        if file.vector[0].iov_len == 0:
            buf.next = file.next
            if queue.tail is file:
                queue.tail = buf
            self.release(file)
        return size

    cdef int split_tail(self, OutQueue *queue, size_t size, OutQueue *rest) except -1:
        """Move the last `size` bytes, which must lie in the last scratch in one piece, into the empty queue `rest`."""
        cdef OutBuf *buf = queue.tail
        cdef iovec *last = &buf.vector[buf.vectors - 1]
        cdef char *place = self.grow(rest, size)
        memcpy(place, <char *>last.iov_base + (last.iov_len - size), size)
        out_commit(rest, size)
        last.iov_len -= size
        buf.length -= <uint32_t>size
        queue.pending -= size
        if last.iov_len == 0:
            buf.vectors -= 1
        return 0


cdef inline void _append(OutQueue *queue, OutBuf *buf) noexcept:
    if queue.tail is NULL:
        queue.head = buf
    else:
        queue.tail.next = buf
    queue.tail = buf
