# What other threads wake the reactor with.

cdef void _cb_waker(uv.uv_async_t *handle) noexcept:
    (<AsyncHandle>handle.data)._on_woken()


cdef void _cb_waker_closed(uv.uv_handle_t *handle) noexcept:
    cdef AsyncHandle waker = <AsyncHandle>handle.data
    waker.state = HANDLE_CLOSED
    waker.reactor.handles -= 1
    waker.reactor = None
    waker.work = None
    _unpin(waker)


cdef class AsyncHandle(Waker):
    """Wakes one reactor for one kind of work. It belongs to the reactor, which closes it with itself."""

    cdef int _open(self, Reactor reactor, Deferred work) except -1:
        cdef int code = uv.uv_async_init(&reactor.loop, &self.handle, _cb_waker)
        if code < 0:
            raise _uv_error(code, "a handle for other threads")
        self.handle.data = <void *>self
        self.reactor = reactor
        self.work = work
        self.state = HANDLE_OPEN
        reactor.handles += 1
        _pin(self)
        return reactor.touch()

    cdef void _close(self) noexcept:
        if self.state == HANDLE_OPEN:
            self.state = HANDLE_CLOSING
            uv.uv_close(<uv.uv_handle_t *>&self.handle, _cb_waker_closed)

    cdef void wake(self) noexcept nogil:
        uv.uv_async_send(&self.handle)

    cdef void _on_woken(self) noexcept:
        try:
            if self.state == HANDLE_OPEN:
                self.reactor.at_end(self.work)
        except BaseException as exc:
            self.reactor.report(exc)
