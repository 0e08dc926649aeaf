# A listening socket.

cdef void _cb_listener_connection(uv.uv_stream_t *stream, int status) noexcept:
    cdef Listener self = <Listener>stream.data
    try:
        if status < 0:
            _log.error("accept: %s", (<bytes>uv.uv_strerror(status)).decode())
        else:
            self._on_connection()
    except BaseException as exc:
        self.reactor.report(exc)


cdef void _cb_listener_closed(uv.uv_handle_t *handle) noexcept:
    (<Listener>handle.data)._closed()


cdef class Listener:
    """Accepts on a socket that somebody else bound. The subclass makes connections of what is accepted."""

    def __init__(self):
        raise TypeError("use Server.listen()")

    cdef int _open(self, Reactor reactor, int fd, int backlog) except -1:
        """Listen on `fd`, of which the listener uses a duplicate. Its options stay as they are, and so become the connections'."""
        cdef int code
        cdef int own
        sock = socket.socket(fileno=os.dup(fd))
        try:
            self.is_pipe = sock.family == socket.AF_UNIX
            if self.is_pipe:
                name = sock.getsockname()
                # An abstract name comes as bytes, and with the zero byte that makes it one.
                self.local = (name if isinstance(name, str) else "@" + os.fsdecode(name[1:]), None)
            else:
                host, port = sock.getsockname()[:2]
                self.local = None if host in ("0.0.0.0", "::") else (host, port)
            self.reactor = reactor
            if self.is_pipe:
                code = uv.uv_pipe_init(&reactor.loop, &self.h.pipe, 0)
            else:
                code = uv.uv_tcp_init(&reactor.loop, &self.h.tcp)
            if code < 0:
                raise _uv_error(code, "listener")
            self.h.stream.data = <void *>self
            self.state = HANDLE_OPEN
            reactor.handles += 1
            _pin(self)
            own = sock.fileno()
            code = uv.uv_pipe_open(&self.h.pipe, own) if self.is_pipe else uv.uv_tcp_open(&self.h.tcp, own)
            if code == 0:
                sock.detach()
                code = uv.uv_listen(&self.h.stream, backlog, _cb_listener_connection)
            if code < 0:
                self._close()
                raise _uv_error(code, "listen")
            reactor.touch()
        finally:
            sock.close()
        return 0

    cdef void _close(self) noexcept:
        if self.state != HANDLE_OPEN:
            return
        self.state = HANDLE_CLOSING
        uv.uv_close(&self.h.handle, _cb_listener_closed)
        self.reactor.closing()

    cdef void _closed(self) noexcept:
        self.state = HANDLE_CLOSED
        self.reactor.handles -= 1
        _unpin(self)

    cdef int _on_connection(self) except -1:
        """Accept what is waiting."""
        raise NotImplementedError
