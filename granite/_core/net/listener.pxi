# A listening socket.
#
# libuv only says when it is readable. libuv's own listeners accept, and close at once, what they have no descriptor for; these leave
# it in the queue, where another process may find it, and look again a little later.

cdef extern from *:
    """
    #include <fcntl.h>
    #include <sys/socket.h>
    #include <unistd.h>

    static int granite_accept(int fd, struct sockaddr_storage *peer)
    {
        socklen_t size = sizeof(*peer);
    #ifdef SOCK_NONBLOCK
        return accept4(fd, (struct sockaddr *)peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    #else
        int accepted = accept(fd, (struct sockaddr *)peer, &size);
        if (accepted >= 0)
            fcntl(accepted, F_SETFD, FD_CLOEXEC);
        return accepted;
    #endif
    }

    static void granite_turn_away(int fd, const void *answer, size_t size)
    {
        char request[4096];
        if (size != 0)
            (void)!send(fd, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        /* What has been sent already and is not read would turn the end into a reset, which may overtake the answer. */
        (void)!recv(fd, request, sizeof(request), MSG_DONTWAIT);
        close(fd);
    }
    """
    int granite_accept(int fd, uv.sockaddr_storage *peer) nogil
    void granite_turn_away(int fd, const void *answer, size_t size) nogil


cdef void _cb_listener_readable(uv.uv_poll_t *poll, int status, int events) noexcept:
    cdef Listener self = <Listener>poll.data
    try:
        if status < 0:                  # libuv watches it no more
            self._on_failed(-status)
        else:
            self._on_readable()
    except BaseException as exc:
        self.reactor.report(exc)


cdef void _cb_listener_closed(uv.uv_handle_t *handle) noexcept:
    (<Listener>handle.data)._closed()


cdef class Listener:
    """Accepts on a socket that somebody else bound. The subclass makes connections of what is accepted."""

    def __cinit__(self):
        self.fd = -1

    def __init__(self):
        raise TypeError("use Server.listen()")

    cdef int _open(self, Reactor reactor, int fd, int backlog) except -1:
        """Listen on `fd`, of which the listener uses a duplicate. Its options stay as they are, and so become the connections'."""
        fd = os.dup(fd)
        try:
            sock = _socket.socket(fileno=fd)
        except BaseException:
            close(fd)
            raise
        try:
            self.is_pipe = sock.family == _socket.AF_UNIX
            if self.is_pipe:
                name = sock.getsockname()
                # An abstract name comes as bytes, and with the zero byte that makes it one.
                self.local = (name if isinstance(name, str) else "@" + os.fsdecode(name[1:]), None)
            else:
                host, self.port = sock.getsockname()[:2]
                self.local = None if host in ("0.0.0.0", "::") else (host, self.port)
            sock.listen(backlog)
        except BaseException:
            sock.close()
            raise
        return self._watch_fd(reactor, sock.detach())

    cdef int _watch_fd(self, Reactor reactor, int fd) except -1:
        """Watch this descriptor, which belongs to the listener from now on."""
        cdef int code = uv.uv_poll_init(&reactor.loop, &self.poll, fd)
        if code < 0:
            close(fd)
            raise _uv_error(code, "listener")
        self.reactor = reactor
        self.fd = fd
        self.poll.data = <void *>self
        self.state = HANDLE_OPEN
        reactor.handles += 1
        _pin(self)
        try:
            return self._watch()
        except BaseException:
            self._close()
            raise

    cdef int _watch(self) except -1:
        cdef int code = uv.uv_poll_start(&self.poll, uv.UV_READABLE, _cb_listener_readable)
        if code < 0:
            raise _uv_error(code, "listen")
        return self.reactor.touch()

    cdef void _close(self) noexcept:
        if self.state != HANDLE_OPEN:
            return
        self.state = HANDLE_CLOSING
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None
        uv.uv_close(<uv.uv_handle_t *>&self.poll, _cb_listener_closed)
        # libuv's contract: not before uv_close(), which takes it out of the epoll set.
        close(self.fd)
        self.fd = -1
        self.reactor.closing()

    cdef void _closed(self) noexcept:
        self.state = HANDLE_CLOSED
        self.reactor.handles -= 1
        _unpin(self)

    cdef int _on_readable(self) except -1:
        cdef int more = MOST_AT_ONCE
        if self._is_full():
            return self._hold()
        if self.board is None:
            return self._take()
        if self.common and self.board.heavy():
            return self._pause(LOOK_AWAY, self._look_again)
        # One with little to do may be long about its turn all the same, where the machine is busy.
        while self._take() and more > 0 and self.board.light() and not self._is_full():
            more -= 1
        return 0

    cdef int _take(self) except -1:
        """Accept one connection: what else waits may be for another process, or comes next time. Return 1 if there was one."""
        cdef uv.sockaddr_storage peer
        cdef int fd
        if self.state != HANDLE_OPEN:
            return 0
        memset(&peer, 0, sizeof(peer))
        fd = granite_accept(self.fd, &peer)
        if fd >= 0:
            self._on_connection(fd, &peer)
            return 1
        # Somebody else was faster, or the client has gone already.
        if errno == EAGAIN or errno == EINTR or errno == ECONNABORTED or errno == EPROTO:
            return 0
        return self._on_failed(errno)

    cdef int _on_failed(self, int error) except -1:
        """No descriptors or no memory: leave what waits in the queue for a moment, as trying again at once would do nothing else."""
        cdef Reactor reactor = self.reactor
        self._pause(ACCEPT_PAUSE, self._go_on)
        if reactor.complained_at == 0 or reactor.now() - reactor.complained_at >= ACCEPT_SILENCE:
            reactor.complained_at = reactor.now()
            hint = " until others have closed; rlimit_nofile may be too low" if error == EMFILE else ""
            _log.error("accept: %s: new connections wait%s", os.strerror(error), hint)
        return self._on_refused()

    cdef int _pause(self, int milliseconds, object then) except -1:
        uv.uv_poll_stop(&self.poll)
        self.retry = self.reactor.outer.call_later(milliseconds / 1000.0, then, context=self.reactor.context)
        return 0

    def _go_on(self):
        self.retry = None
        self.held = False
        if self.state == HANDLE_OPEN:
            self._watch()

    def _look_again(self):
        self._go_on()
        if not self._is_full() and self._take():
            self.board.waited()

    cdef int _hold(self) except -1:
        """Leave what comes in the queue until the owner calls go_on(); or until another worker may have room for it."""
        self.held = True
        if self.board is not None and not self.common:
            self._pause(ACCEPT_PAUSE, self._go_on)
        else:
            uv.uv_poll_stop(&self.poll)
        return self._on_full()

    cdef int go_on(self) except -1:
        """There is room again."""
        if not self.held:
            return 0
        if self.retry is not None:
            self.retry.cancel()
        self._go_on()
        return 0

    cdef bint _is_full(self) noexcept:
        """Whether the owner wants no more connections for now."""
        return False

    cdef int _on_full(self) except -1:
        """Connections are left in the queue."""
        return 0

    cdef int _on_connection(self, int fd, const uv.sockaddr_storage *peer) except -1:
        """Make a connection of an accepted socket, which is this method's to close."""
        raise NotImplementedError

    cdef int _on_refused(self) except -1:
        """accept() has failed."""
        return 0


cdef void turn_away(int fd, const char *answer, size_t size) noexcept:
    """Close an accepted connection with this answer, of which nobody makes sure that it arrives."""
    granite_turn_away(fd, answer, size)
