# What connections need of the server that accepted them.

cdef void _cb_host_overrun(void *owner) noexcept:
    cdef ConnectionHost self = <ConnectionHost>owner
    try:
        self._on_overrun()
    except BaseException as exc:
        self.reactor.report(exc)


cdef class ConnectionHost:
    """What connections need of the server that accepted them: settings, and a place in its list."""

    def __cinit__(self):
        self.overrun.on_due = _cb_host_overrun
        self.overrun.owner = <void *>self
        self.introductions = {}

    cdef int add(self, Connection connection) except -1:
        connection.c_previous = NULL
        connection.c_next = self.c_first
        if self.c_first is not NULL:
            (<Connection>self.c_first).c_previous = <PyObject *>connection
        self.c_first = <PyObject *>connection
        self.connections += 1
        if self.board is not None:
            self.board.note(self.connections)
        return 0

    cdef int remove(self, Connection connection) except -1:
        """A connection has closed."""
        if connection.c_previous is not NULL:
            (<Connection>connection.c_previous).c_next = connection.c_next
        else:
            self.c_first = connection.c_next
        if connection.c_next is not NULL:
            (<Connection>connection.c_next).c_previous = connection.c_previous
        self.connections -= 1
        if self.board is not None:
            self.board.note(self.connections)
        if connection.leaving:
            self.lingering -= 1
        if self.peers is not None:
            self.peers.leave(connection.place)
        if self.connections == self.max_connections - 1:
            self.on_room()
        return self.check_idle()

    cdef int check_idle(self) except -1:
        """Something has ended that a drain may wait for."""
        return 0

    cdef int on_room(self) except -1:
        """There are not max_connections any more."""
        return 0

    def _on_late_request(self):
        """A request took too long and was told so: look at its call when its grace is over."""
        if self.overrun.deadline == 0:
            self.reactor.wheel.arm(&self.overrun, self.reactor.now() + self.http.timeouts.grace)

    cdef int _on_overrun(self) except -1:
        cdef Interface interface = self.http.interface
        cdef Exchange exchange
        cdef int64_t now = clock()
        cdef int64_t first
        for exchange in interface.overrun(now - <int64_t>self.http.timeouts.grace * 1000000):
            _log.warning(
                "the request took longer than %g s and goes on%s: %s (%.1f s)",
                self.http.timeouts.request / 1000.0, ", its call is cancelled" if exchange.abort() else "", exchange.name(),
                (now - exchange.began_at) / 1e9,
            )
        first = interface.first_overrun()
        if first:
            self.reactor.wheel.arm(&self.overrun, first // 1000000 + self.http.timeouts.grace + 1)
        return 0
