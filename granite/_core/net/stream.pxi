# A connected stream: TCP or Unix socket.

cdef extern from "<sys/socket.h>":
    int _shutdown "shutdown"(int fd, int how) nogil
    ssize_t recv(int fd, void *data, size_t size, int flags) nogil
    const int SHUT_WR
    const int MSG_PEEK

cdef extern from *:
    """
    #include <poll.h>
    #include <sys/ioctl.h>
    #ifdef __linux__
    #include <linux/sockios.h>
    #endif

    /* Whether the connection is over in both directions. A peer that has only ended its own half is still there. */
    static int granite_gone(int fd)
    {
        struct pollfd socket = {fd, 0, 0};
        return poll(&socket, 1, 0) > 0 && (socket.revents & (POLLERR | POLLHUP));
    }

    /* Bytes that the kernel has and the peer's does not: libuv sees that a socket takes more only when a third of its buffer is free. */
    static size_t granite_unacknowledged(int fd)
    {
        int size = 0;
    #if defined(SIOCOUTQ)
        if (ioctl(fd, SIOCOUTQ, &size) < 0)
            return 0;
    #elif defined(SO_NWRITE)
        socklen_t length = sizeof(size);
        if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &size, &length) < 0)
            return 0;
    #endif
        return (size_t)size;
    }
    """
    bint granite_gone(int fd) nogil
    size_t granite_unacknowledged(int fd) nogil


cdef void _cb_stream_read(uv.uv_stream_t *stream, ssize_t size, const uv.uv_buf_t *buf) noexcept:
    cdef StreamHandle self = <StreamHandle>stream.data
    try:
        if size > 0:
            if not self.lingering:
                self._on_read(buf.base, <size_t>size)
            elif self.suspect:
                self._discard(<size_t>size)
        elif size == uv.UV_EOF:
            self.read_ended = True
            self.reading = False
            if self.lingering:
                self._close()
            else:
                self._on_read_ended()
        elif size < 0:
            self._on_error(<int>size)
    except BaseException as exc:
        self._fail(exc)


cdef void _cb_stream_due(void *owner) noexcept:
    cdef StreamHandle self = <StreamHandle>owner
    try:
        self._on_timeout()
    except BaseException as exc:
        self._fail(exc)


cdef void _cb_stream_closed(uv.uv_handle_t *handle) noexcept:
    (<StreamHandle>handle.data)._closed()


@cython.no_gc
cdef class StreamHandle(StreamWriter):
    """One connection's socket. Reads into the reactor's buffer, writes from the output queue, has one deadline."""

    def __init__(self):
        raise TypeError("connections are made by accepting them")

    cdef int _open(self, Listener listener, int fd, const uv.sockaddr_storage *peer) except -1:
        """Take over what the listener has accepted. Fails before or after libuv knows the handle; either way nothing is left behind."""
        cdef Reactor reactor = listener.reactor
        cdef int code
        self.reactor = reactor
        self.pool = reactor.pool
        self.local = listener.local
        self.is_pipe = listener.is_pipe
        self.timer.owner = <void *>self
        self.timer.on_due = _cb_stream_due
        if self.is_pipe:
            code = uv.uv_pipe_init(&reactor.loop, &self.h.pipe, 0)
            self.peer.family = FAMILY_UNIX
        else:
            read_address(peer, &self.peer)
            code = uv.uv_tcp_init(&reactor.loop, &self.h.tcp)
        if code < 0:
            close(fd)
            raise _uv_error(code, "connection")
        self.h.stream.data = <void *>self
        self.state = HANDLE_OPEN
        reactor.handles += 1
        _pin(self)
        code = uv.uv_pipe_open(&self.h.pipe, fd) if self.is_pipe else uv.uv_tcp_open(&self.h.tcp, fd)
        if code < 0:
            close(fd)
            self._close()
            raise _uv_error(code, "connection")
        return 0

    cdef void _close(self) noexcept:
        if self.state != HANDLE_OPEN:
            return
        uv.uv_close(&self.h.handle, _cb_stream_closed)
        self._on_closing()

    cdef void _on_closing(self) noexcept:
        self.state = HANDLE_CLOSING
        self.broken = True
        self.reactor.wheel.unlink(&self.timer)
        self.reactor.closing()

    cdef void _closed(self) noexcept:
        cdef Reactor reactor = self.reactor
        self.state = HANDLE_CLOSED
        self.held = 0
        self.pool.clear(&self.out)
        if self.layer is not None:
            self.pool.clear(&self.layer.wire)
            self.layer = None
        try:
            self._on_closed()
        except BaseException as exc:
            reactor.report(exc)
        reactor.handles -= 1
        _unpin(self)

    cdef void _fail(self, object exc) noexcept:
        """Where every exception of this stream's callbacks ends."""
        self.reactor.report(exc)
        self._close()

    # reading

    cdef int start_reading(self) except -1:
        cdef int code
        if self.reading or self.read_ended or self.state != HANDLE_OPEN:
            return 0
        code = uv.uv_read_start(&self.h.stream, _cb_alloc, _cb_stream_read)
        if code < 0:
            raise _uv_error(code, "read")
        self.reading = True
        self.reactor.touch()
        return 0

    cdef int pause_reading(self) except -1:
        if self.reading:
            self.reading = False
            if self.state == HANDLE_OPEN:
                uv.uv_read_stop(&self.h.stream)
        return 0

    cdef int resume_reading(self) except -1:
        if not self.reading:
            self.start_reading()
        return 0

    cdef int resume_soon(self) except -1:
        self.reactor.run_soon(self)
        return 0

    # closing

    cdef int shut(self, bint linger) except -1:
        if self.shutting or self.state != HANDLE_OPEN:
            return 0
        self.shutting = True
        self.linger = linger
        if self.inflight is NULL and self.corked == 0:
            if self.out.head is NULL and self.layer is None:
                self._finish_shut()
            else:
                self.flush()
        return 0

    cdef int _finish_shut(self) except -1:
        """Everything has left: close, or send the FIN and wait a while for the peer's."""
        cdef uv.uv_os_fd_t fd
        if self.lingering:
            return 0
        if self.read_ended or not (self.linger or self._has_unread()):
            self._close()
        else:
            self.lingering = True
            self._on_lingering()
            if uv.uv_fileno(&self.h.handle, &fd) == 0:
                _shutdown(fd, SHUT_WR)
            self.start_reading()
            self.arm(self.reactor.now() + LINGER_TIMEOUT)
        return 0

    cdef int _discard(self, size_t size) except -1:
        """Who was told to calm down, and pours on, gets the reset that lingering spares the others: reading it all would be what it wants."""
        self.discarded += <uint32_t>size
        if self.discarded > MOST_DISCARDED:
            self._close()
        return 0

    cdef bint _has_unread(self) noexcept:
        """Whether the kernel would answer a close() with a reset, which takes what it has not sent yet along (RFC 9112, 9.6)."""
        cdef uv.uv_os_fd_t fd
        cdef char byte
        return uv.uv_fileno(&self.h.handle, &fd) == 0 and recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0

    cdef int reset(self) except -1:
        if self.state == HANDLE_OPEN and not self.is_pipe:
            if uv.uv_tcp_close_reset(&self.h.tcp, _cb_stream_closed) == 0:
                self._on_closing()
                return 0
        self._close()
        return 0

    cdef int drop(self) except -1:
        self._close()
        return 0

    # deadlines

    cdef uint64_t now(self) noexcept:
        return self.reactor.now()

    cdef int arm(self, uint64_t deadline) except -1:
        """Call _on_timeout() at `deadline`, on the reactor's clock, in place of what was armed before; 0 disarms."""
        if self.state == HANDLE_OPEN:
            self.reactor.wheel.arm(&self.timer, deadline)
        return 0

    cdef size_t unacknowledged(self) noexcept:
        cdef uv.uv_os_fd_t fd
        return granite_unacknowledged(fd) if uv.uv_fileno(&self.h.handle, &fd) == 0 else 0

    cdef bint stalled(self, uint64_t limit) noexcept:
        """Whether the peer has taken nothing for `limit` milliseconds of what waits for it. To be asked when `inflight.look_at` has come."""
        cdef WriteRequest *request = self.inflight
        cdef uint64_t now = self.reactor.now()
        cdef uv.uv_os_fd_t fd
        cdef size_t left
        if request is NULL or now < request.look_at or uv.uv_fileno(&self.h.handle, &fd) < 0:
            return False
        left = uv.uv_stream_get_write_queue_size(&self.h.stream) + granite_unacknowledged(fd)
        if left != request.left:
            request.left = left
            request.moved_at = now
        request.look_at = now + limit // LOOKS
        return now - request.moved_at >= limit

    cdef bint gone(self) noexcept:
        """Whether the connection was reset, or closed by the peer as a whole. To be asked where nothing is read: reading tells by itself."""
        cdef uv.uv_os_fd_t fd
        return uv.uv_fileno(&self.h.handle, &fd) == 0 and granite_gone(fd)

    # addresses

    cdef const Address *address(self) noexcept:
        return &self.peer

    cdef object client(self):
        if self.peer.family == FAMILY_UNIX:
            return None
        return (self.reactor.host_of(&self.peer), self.peer.port)

    cdef object server(self):
        if self.local is None:
            self.local = _local_address(self.reactor, &self.h.tcp)
        return self.local

    cdef int set_server(self, const Address *address) except -1:
        """Have server() tell another address than this end's own."""
        self.local = self.reactor.server_of(address)
        return 0

    cdef object scheme(self):
        return "http" if self.layer is None and not self.secured else "https"

    cdef tuple tls(self):
        return self.layer.describe() if self.layer is not None else None

    # for the owner to fill in

    cdef int _on_read(self, const char *data, size_t size) except -1:
        return 0

    cdef int _on_read_ended(self) except -1:
        self._close()
        return 0

    cdef int _on_soon(self) except -1:
        self.flush()
        return 0

    cdef int _on_timeout(self) except -1:
        self._close()
        return 0

    cdef int _on_lingering(self) except -1:
        """Everything has been sent, only the peer's end is waited for."""
        return 0

    cdef int _on_closed(self) except -1:
        return 0


cdef int read_address(const uv.sockaddr_storage *storage, Address *address) except -1:
    memset(address, 0, sizeof(Address))
    if storage.ss_family == uv.AF_INET:
        address.port = uv.ntohs((<uv.sockaddr_in *>storage).sin_port)
        set_ipv4(address, &(<uv.sockaddr_in *>storage).sin_addr)
    elif storage.ss_family == uv.AF_INET6:
        # An IPv4 client of a dual-stack listener has its IPv4 address.
        address.port = uv.ntohs((<uv.sockaddr_in6 *>storage).sin6_port)
        set_ipv6(address, &(<uv.sockaddr_in6 *>storage).sin6_addr)
    else:
        address.family = FAMILY_UNIX
    return 0


cdef object _local_address(Reactor reactor, uv.uv_tcp_t *tcp):
    cdef uv.sockaddr_storage storage
    cdef int size = sizeof(storage)
    cdef Address address
    if uv.uv_tcp_getsockname(tcp, <uv.sockaddr *>&storage, &size) < 0:
        return None
    read_address(&storage, &address)
    return None if address.family == FAMILY_UNIX else reactor.server_of(&address)
