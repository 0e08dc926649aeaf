# The reactor: one libuv loop nested in one event loop of Python.

cdef void _cb_alloc(uv.uv_handle_t *handle, size_t suggested, uv.uv_buf_t *buf) noexcept:
    # One buffer for all streams: what is read is consumed before the read callback returns.
    buf.base = (<StreamHandle>handle.data).reactor.read_buffer
    buf.len = READ_BUFFER_SIZE


cdef class Reactor(LoopTurn):
    """A libuv loop that runs inside `outer`, an event loop of Python, whose thread it shares.

    Parameters:
        outer: the running loop of asyncio's kind; needs `add_reader`, `call_soon` and `call_later`.
        context: the contextvars.Context in which the reactor's callbacks run.
    """

    def __cinit__(self, outer, context):
        cdef int code = uv.uv_loop_init(&self.loop)
        if code < 0:
            self.closed = True
            raise _uv_error(code, "event loop")
        self.read_buffer = <char *>PyMem_RawMalloc(READ_BUFFER_SIZE)
        if self.read_buffer is NULL:
            raise MemoryError()
        self.outer = outer
        self.context = context
        self.pool = OutPool.__new__(OutPool)
        self.soon = []
        self.unflushed = []
        self.late = []
        self.wakers = []
        self.local_addresses = {}
        self._turn_callback = self._turn
        self.wheel = TimerWheel.__new__(TimerWheel)
        self.wheel._open(self)
        outer.add_reader(uv.uv_backend_fd(&self.loop), self.pump)

    def __dealloc__(self):
        # Handles hold references to their reactor, so a loop that was not closed has none but the wheel's timer.
        PyMem_RawFree(self.read_buffer)

    cdef uint64_t now(self) noexcept:
        """Milliseconds on libuv's clock, which only stands still inside uv_run()."""
        if not self.in_run:
            uv.uv_update_time(&self.loop)
        return uv.uv_now(&self.loop)

    cdef int touch(self) except -1:
        """Note that libuv's handles changed, so that uv_run() is called again before the outer loop waits."""
        self.stale = True
        return self._ask_for_turn()

    cdef void closing(self) noexcept:
        """A handle begins to close; inside of uv_run() its callback comes in the same round."""
        if self.in_run:
            return
        try:
            self.touch()
        except BaseException as exc:
            self.report(exc)

    cdef int run_soon(self, StreamHandle handle) except -1:
        """Call handle._on_soon() at the end of this turn, once."""
        if handle.in_soon:
            return 0
        handle.in_soon = True
        self.soon.append(handle)
        return self._ask_for_turn()

    cdef int flush_later(self, StreamHandle handle) except -1:
        """Note that a handle has something to write at the end of this turn. Each of them holds an OutBuf: if many do, the first one writes
        at once. So what goes to all clients passes through a few buffers."""
        cdef StreamHandle first
        if handle.unflushed:
            return 0
        handle.unflushed = True
        self.unflushed.append(handle)
        if len(self.unflushed) <= MOST_UNFLUSHED:
            return 0
        first = self.unflushed.pop(0)
        first.unflushed = False
        try:
            if first.corked == 0:
                first.flush()
        except BaseException as exc:    # which is no concern of whoever is writing
            first._fail(exc)
        return 0

    cdef int _ask_for_turn(self) except -1:
        """Have what was asked for done in a turn of its own, unless the present one has not come to its end."""
        return 0 if self.pumping or self.ending else self._schedule()

    cdef int _schedule(self) except -1:
        if not self.scheduled and not self.closed:
            self.scheduled = True
            self.outer.call_soon(self._turn_callback, context=self.context)
        return 0

    def _turn(self):
        """A turn that was asked for from outside a pump: finish what is due, run libuv only if its handles changed."""
        self.scheduled = False
        if self.closed:
            return
        if self.stale:
            self.pump()
        else:
            self.pumping = True
            try:
                self._run_soon()
            finally:
                self.pumping = False
            if self.stale:
                self.pump()
            else:
                self._run_ends()
                self._raise_escaped()

    def _wake(self):
        self.wake = None
        if not self.closed:
            self.pump()

    def pump(self):
        """Run libuv without blocking until nothing is left to do at once."""
        if self.pumping or self.closed:
            return
        self.pumping = True
        try:
            self._run()
        finally:
            self.pumping = False
        self._run_ends()
        self._rearm()
        self._raise_escaped()

    cdef int _run_ends(self) except -1:
        """Do what is left to the end of the turn, and what comes of that, as a response makes room for the next request of a pipeline."""
        cdef int rounds = 0
        while self.late and rounds < MAX_ROUNDS:
            rounds += 1
            self.ending += 1
            try:
                self._run_late()
            finally:
                self.ending -= 1
            self.pumping = True
            try:
                self._run_soon()
            finally:
                self.pumping = False
        return self._schedule() if self.late or self.stale else 0

    cdef int _raise_escaped(self) except -1:
        if self.escaped is not None:
            escaped, self.escaped = self.escaped, None
            raise escaped
        return 0

    cdef int _run(self) except -1:
        cdef int rounds = 0
        while True:
            self.stale = False
            if self.timing:
                self.polled_at = clock()
            self.in_run = True
            uv.uv_run(&self.loop, uv.UV_RUN_NOWAIT)
            self.in_run = False
            self._run_soon()
            if not self.stale:
                return 0
            rounds += 1
            if rounds == MAX_ROUNDS:    # a flood of connections must not starve the outer loop
                return self._schedule()

    cdef int _run_soon(self) except -1:
        cdef StreamHandle handle
        cdef list handles
        while self.soon:
            handles, self.soon = self.soon, []
            for handle in handles:
                handle.in_soon = False
                try:
                    handle._on_soon()
                except BaseException as exc:
                    handle._fail(exc)
        if self.unflushed:
            for handle in self.unflushed:
                handle.unflushed = False
            self.unflushed = []
        return 0

    cdef int at_end(self, Deferred work) except -1:
        if work.deferred:
            return 0
        work.deferred = True
        self.late.append(work)
        return self._ask_for_turn()

    cdef Waker waker(self, Deferred work):
        cdef AsyncHandle waker = AsyncHandle.__new__(AsyncHandle)
        waker._open(self, work)
        self.wakers.append(waker)
        return waker

    cdef int _run_late(self) except -1:
        cdef Deferred work
        cdef list works
        if not self.late:
            return 0
        works, self.late = self.late, []
        for work in works:
            work.deferred = False
            try:
                work.turn_ended()
            except BaseException as exc:
                self.report(exc)
        return 0

    cpdef int wait(self) except -1:
        if self.pumping or self.closed:
            raise RuntimeError("wait(): the turn has not come to its end" if self.pumping else "wait(): the server is closed")
        # Not the caller's, nor the reactor's own, in which a call further out may be.
        context = PyContext_Copy(self.context)
        PyContext_Enter(context)
        try:
            if self.soon or self.late or self.stale:
                self.pump()             # which the caller, at the turn's end, may have asked for in vain
            elif isinstance(self.outer, Loop):
                self._rearm()           # the pump that has called the caller has not come to that yet
                (<Loop>self.outer).turn()
            else:
                self._wait_alone()
        finally:
            PyContext_Exit(context)
        return 0

    cdef int _wait_alone(self) except -1:
        """wait() in a loop that can't take a turn inside of another one: nothing but the server's connections goes on."""
        cdef pollfd ready
        cdef int timeout
        cdef int found
        self.now()
        timeout = uv.uv_backend_timeout(&self.loop)
        ready.fd = uv.uv_backend_fd(&self.loop)
        ready.events = POLLIN
        with nogil:
            found = poll(&ready, 1, timeout)
        if found < 0:
            PyErr_CheckSignals()        # nothing else ends it so
        self.pump()
        return 0

    cdef int _rearm(self) except -1:
        """Keep one timer of the outer loop armed for libuv's next one."""
        cdef int timeout
        cdef uint64_t at
        # The wheel has libuv's only timer. Without it uv_backend_timeout() may be 0 for a loop with nothing to do at all.
        if self.wheel.linked == 0:
            return 0
        timeout = max(uv.uv_backend_timeout(&self.loop), 0)
        at = uv.uv_now(&self.loop) + timeout
        if self.wake is not None:
            if self.wake_at <= at:
                return 0
            self.wake.cancel()
        self.wake_at = at
        # One millisecond more: libuv's clock is cut to whole milliseconds and must have passed the deadline.
        self.wake = self.outer.call_later(timeout / 1000.0 + 0.001, self._wake, context=self.context)
        return 0

    cdef object host_of(self, const Address *address):
        """The textual form of an address; the last one is kept, as most requests come from few hosts."""
        if self.last_host is None or self.last_address.family != address.family or memcmp(self.last_address.ip, address.ip, 16) != 0:
            self.last_host = text_of(address)
            self.last_address = address[0]
        return self.last_host

    cdef object server_of(self, const Address *address):
        """(host, port); equal ones share a tuple, as there are few and connections are many."""
        # Typed, as Cython does not come to an end with the inferred type.
        cdef object server = (text_of(address), address.port)
        if len(self.local_addresses) < MOST_SERVERS:
            return self.local_addresses.setdefault(server, server)
        return self.local_addresses.get(server, server)

    cdef void report(self, object exc) noexcept:
        """Log what nobody else can handle; what must end the process is raised from the pump."""
        try:
            if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                self.escaped = exc
            else:
                _log.error("unexpected error in the server", exc_info=exc)
        except BaseException:
            pass

    def close(self):
        """Free the loop. Every stream and listener must have been closed before; what is still closing is waited for."""
        cdef int code
        if self.closed:
            return
        self.outer.remove_reader(uv.uv_backend_fd(&self.loop))
        if self.wake is not None:
            self.wake.cancel()
            self.wake = None
        self.wheel._close()
        for waker in self.wakers:
            (<AsyncHandle>waker)._close()
        self.wakers.clear()
        self.pumping = True
        while self.handles > 0:
            self._run()
        self.closed = True
        self.pumping = False
        code = uv.uv_loop_close(&self.loop)
        if code < 0:
            raise _uv_error(code, "closing the event loop")
        self.wheel = None
        self.outer = self._turn_callback = None
