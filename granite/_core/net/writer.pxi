# The writing half of a stream: from the output queue, through TLS where there is any, to the socket. What the socket does not take is left to
# libuv, whose end of the write says that it takes more.

cdef extern from "<sys/socket.h>":
    """
    #ifndef MSG_MORE
    #define MSG_MORE 0
    #endif
    """
    cdef struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t sendmsg(int fd, const msghdr *message, int flags) nogil
    const int MSG_MORE
    const int MSG_DONTWAIT
    const int MSG_NOSIGNAL

cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/sendfile.h>
    static ssize_t granite_sendfile(int out, int in, long long offset, size_t size) {
        off_t from = (off_t) offset;
        return sendfile(out, in, &from, size);
    }
    #else
    #include <errno.h>
    static ssize_t granite_sendfile(int out, int in, long long offset, size_t size) {
        (void) out; (void) in; (void) offset; (void) size;
        errno = ENOSYS;
        return -1;
    }
    #endif
    """
    ssize_t granite_sendfile(int out, int source, long long offset, size_t size) nogil

cdef enum:
    FILE_SHARE = 2097152                # bytes of files that are sent before others have their turn
    SEAL_SIZE = 131072                  # bytes that are encrypted before they are written
    SEAL_ROUNDS = 8                     # how often, before others have their turn


cdef void _cb_stream_written(uv.uv_write_t *req, int status) noexcept:
    cdef StreamHandle self = <StreamHandle>req.data
    self._on_write_done(<WriteRequest *>req, status)


@cython.no_gc
cdef class StreamWriter(Transport):
    """What waits for one socket, and its way there."""

    cdef size_t unsent(self) noexcept:
        cdef size_t sealed = self.layer.wire.pending if self.layer is not None else 0
        return self.out.pending + sealed + (uv.uv_stream_get_write_queue_size(&self.h.stream) if self.inflight is not NULL else 0)

    cdef int flush_soon(self) except -1:
        self.reactor.run_soon(self)
        return self.reactor.flush_later(self)

    cdef int flush(self) except -1:
        cdef OutQueue rest
        if self.inflight is not NULL or self.state != HANDLE_OPEN:
            return 0
        if self.held == 0:
            self._write_now()
            return 0
        if self.out.pending == self.held and (self.layer is None or self.layer.wire.head is NULL):
            return 0
        rest.head = rest.tail = NULL
        rest.pending = 0
        self.pool.split_tail(&self.out, self.held, &rest)
        try:
            self._write_now()
        except BaseException:
            self._close()
            raise
        finally:                        # whoever has made the head may take it back
            if self.state != HANDLE_OPEN:
                self.pool.clear(&self.out)
            if self.out.head is NULL:
                self.out = rest
            else:                       # more than is encrypted at once, or a file
                self.out.tail.next = rest.head
                self.out.tail = rest.tail
                self.out.pending += rest.pending
        return 0

    cdef int _write_now(self) except -1:
        cdef iovec vector[2 * OUT_VECTORS]
        cdef OutBuf *buf
        cdef uint32_t i
        cdef unsigned int count
        cdef size_t size
        cdef ssize_t written
        cdef int rounds = 0
        cdef size_t room = FILE_SHARE
        cdef OutQueue *out = &self.out if self.layer is None else &self.layer.wire
        while True:
            if out.head is NULL and self.layer is not None:
                self._seal()
                if self.state != HANDLE_OPEN:
                    return 0
                rounds += 1
                if rounds > SEAL_ROUNDS and out.head is not NULL:
                    # A client that reads as fast as this writes: libuv's callback comes after the other connections' turn.
                    self._write_rest(out)
                    return 0
            if out.head is NULL:
                break
            if out.head.offset >= 0:
                written = self._write_file(room)
                if written <= 0:
                    return 0
                room -= written
                continue
            count = 0
            size = 0
            buf = out.head
            while buf is not NULL and buf.offset < 0 and count + (buf.vectors - buf.first) <= 2 * OUT_VECTORS:
                for i in range(buf.first, buf.vectors):
                    vector[count] = buf.vector[i]
                    size += vector[count].iov_len
                    count += 1
                buf = buf.next
            written = 0
            if size:
                if not self.is_pipe and (self.shutting if buf is NULL else buf.offset >= 0):
                    written = self._write_more(vector, count)
                else:
                    written = uv.uv_try_write(&self.h.stream, <uv.uv_buf_t *>vector, count)
                if written == uv.UV_EAGAIN:
                    written = 0
                elif written < 0:
                    self._on_error(<int>written)
                    return 0
            self._consume(out, written)
            if <size_t>written < size:
                self._write_rest(out)
                return 0
        if self.shutting:
            self._finish_shut()
        return 0

    cdef ssize_t _write_more(self, iovec *vector, unsigned int count) noexcept:
        """Write what the close, or a file, follows at once: the FIN, or the file's beginning, travels with the last bytes, which saves
        both ends a packet."""
        cdef msghdr message
        cdef ssize_t written
        cdef uv.uv_os_fd_t fd
        if uv.uv_fileno(&self.h.handle, &fd) < 0:
            return uv.UV_EAGAIN
        memset(&message, 0, sizeof(message))
        message.msg_iov = vector
        message.msg_iovlen = count
        written = sendmsg(fd, &message, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL)
        # libuv's own write, which comes next, meets a lasting error again.
        return written if written >= 0 else uv.UV_EAGAIN

    cdef ssize_t _write_file(self, size_t most) except -1:
        """Send of the file at the queue's front what the socket takes, `most` bytes at most; how many, 0 if the rest is left to libuv."""
        cdef OutBuf *buf = self.out.head
        cdef int source = (<OutFile>buf.owner[0]).fd
        cdef int64_t offset = buf.offset
        cdef size_t size = min(buf.vector[0].iov_len, most)
        cdef ssize_t sent = -1
        cdef uv.uv_os_fd_t fd
        if size and uv.uv_fileno(&self.h.handle, &fd) == 0:
            with nogil:
                sent = granite_sendfile(fd, source, offset, size)
            if sent > 0:
                self._consume(&self.out, sent)
                return sent
        # The socket is full, others have their turn, or it does not work with such a file. Whichever: the next piece goes through memory,
        # and libuv tells when it has left. An error that lasts is met again on that way, as is a file's early end.
        self._write_rest(&self.out)
        return 0

    cdef bint _load(self) except -1:
        """Have memory at the front of the output queue in place of a file; false if the connection was closed for want of it."""
        cdef ssize_t size = 0
        try:
            size = self.pool.load(&self.out)
            why = "it has become shorter"
        except OSError as exc:
            why = exc.strerror
        if size > 0:
            return True
        _log.error("%s: a file could not be sent to its end: %s", name_of(self.client()), why)
        self.reset()                    # so that no client takes it for the whole
        self._on_error(-EIO)
        return False

    cdef int _seal(self) except -1:
        """Turn the front of the queue into records for the wire; behind its end, say that nothing more comes."""
        cdef SecureLayer layer = self.layer
        cdef OutBuf *buf
        cdef size_t size
        cdef size_t room = SEAL_SIZE
        if layer.closed:
            return 0
        try:
            while layer.established and self.out.pending and room:
                if self.out.head.offset >= 0 and not self._load():
                    return 0
                buf = self.out.head
                size = 0
                if buf.first < buf.vectors and buf.vector[buf.first].iov_len:
                    size = min(buf.vector[buf.first].iov_len, room)
                    layer.wrap(self.pool, buf.vector[buf.first].iov_base, size)
                self._consume(&self.out, size)
                room -= size
            if self.shutting and self.out.pending == 0:
                layer.close(self.pool)
        except BaseException:
            self._close()               # a record is missing: what would follow could not be read
            raise
        return 0

    cdef void _consume(self, OutQueue *out, size_t size) noexcept:
        """Drop `size` bytes from the front of a queue, and every OutBuf that is empty then."""
        cdef OutBuf *buf
        cdef iovec *piece
        if out is &self.out:            # not the layer's records
            self.reactor.bytes_sent += size
        out.pending -= size
        while out.head is not NULL:
            buf = out.head
            while buf.first < buf.vectors:
                piece = &buf.vector[buf.first]
                if piece.iov_len > size:
                    if buf.offset >= 0:
                        buf.offset += size
                    else:
                        piece.iov_base = <char *>piece.iov_base + size
                    piece.iov_len -= size
                    return
                size -= piece.iov_len
                buf.first += 1
            out.head = buf.next
            if out.head is NULL:
                out.tail = NULL
            self.pool.release(buf)

    cdef int _write_rest(self, OutQueue *out) except -1:
        """Leave what is queued, up to the next file, to libuv, which writes it when the socket takes it."""
        cdef OutBuf *buf
        cdef OutBuf *last = NULL
        cdef iovec *vector
        cdef WriteRequest *request
        cdef unsigned int count = 0
        cdef uint32_t i
        cdef int code
        if out.head.offset >= 0 and not self._load():
            return 0
        buf = out.head
        while buf is not NULL and buf.offset < 0:
            count += buf.vectors - buf.first
            buf = buf.next
        vector = <iovec *>PyMem_RawMalloc(count * sizeof(iovec))
        request = <WriteRequest *>PyMem_RawMalloc(sizeof(WriteRequest))
        if vector is NULL or request is NULL:
            PyMem_RawFree(vector)
            PyMem_RawFree(request)
            raise MemoryError()
        request.req.data = <void *>self
        request.bufs = out.head
        request.size = request.look_at = request.moved_at = request.left = 0
        count = 0
        buf = out.head
        while buf is not NULL and buf.offset < 0:
            for i in range(buf.first, buf.vectors):
                vector[count] = buf.vector[i]
                request.size += vector[count].iov_len
                count += 1
            last = buf
            buf = buf.next
        code = uv.uv_write(&request.req, &self.h.stream, <uv.uv_buf_t *>vector, count, _cb_stream_written)
        PyMem_RawFree(vector)           # libuv keeps a copy
        if code < 0:
            PyMem_RawFree(request)
            self._on_error(code)
            return 0
        self.inflight = request
        out.pending -= request.size
        out.head = buf
        if buf is NULL:
            out.tail = NULL
        last.next = NULL
        self.reactor.touch()
        return self._on_blocked()

    cdef void _on_write_done(self, WriteRequest *request, int status) noexcept:
        cdef OutQueue sent
        sent.head = request.bufs
        sent.tail = NULL
        self.pool.clear(&sent)
        if status == 0 and self.layer is None:
            self.reactor.bytes_sent += request.size
        PyMem_RawFree(request)
        self.inflight = NULL
        if self.state != HANDLE_OPEN:
            return
        try:
            if status < 0:
                self._on_error(status)
                return
            self.flush()
            if self.state == HANDLE_OPEN and self.inflight is NULL and self.shutting and self.out.head is NULL:
                self._finish_shut()
            if self.state == HANDLE_OPEN:
                self._on_writable()
        except BaseException as exc:
            self._fail(exc)

    # for the stream to fill in

    cdef void _close(self) noexcept:
        """Close at once, whatever waits."""

    cdef void _fail(self, object exc) noexcept:
        """An exception has come as far as libuv."""

    cdef int _finish_shut(self) except -1:
        """Everything has left after shut()."""
        raise NotImplementedError

    cdef int _on_error(self, int code) except -1:
        self._close()
        return 0

    cdef int _on_writable(self) except -1:
        return 0

    cdef int _on_blocked(self) except -1:
        """The socket does not take all that was to be written: the rest is `inflight`."""
        return 0
