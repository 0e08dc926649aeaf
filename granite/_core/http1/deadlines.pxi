# What is waited for within a request, and for how long.

cdef class TimedSession(RefusingSession):
    """Keeps the deadlines of a request: those of its body, and that of its answer."""

    cdef int _read_on(self) except -1:
        self.transport.resume_reading()
        return self._await_body()

    cdef int _await_body(self) except -1:
        """The request's body is being read, perhaps: from now on it is the client that takes its time."""
        cdef Transport transport = self.transport
        if self.state != SESSION_BODY or self.exchange is None:
            return 0
        if self.expects_continue or not transport.reading:
            self.awaited = AWAITED_NOTHING
        elif self.awaited != AWAITED_BODY:
            self.awaited = AWAITED_BODY
            self.http.begin_pace(&self.pace, transport.now(), self.body_size)
        return transport.rearm()

    cdef int settle(self) except -1:
        cdef uint64_t limit
        if self.state != SESSION_BODY:
            self.awaited = AWAITED_NOTHING
        elif self.exchange is not None:
            return self._await_body()
        elif self.awaited != AWAITED_REST:
            limit = earlier(self.http.timeouts.keep_alive, self.http.timeouts.body)
            self.awaited = AWAITED_REST
            self.until = self.transport.now() + limit if limit else 0
        return 0

    cdef uint64_t deadline(self) noexcept:
        cdef uint64_t first = 0
        if self.awaited == AWAITED_BODY:
            first = self.http.pace_deadline(&self.pace)
        elif self.awaited == AWAITED_REST:
            first = self.until
        return earlier(first, self.http.request_deadline(self.exchange)) if self.exchange is not None else first

    cdef int on_due(self, uint64_t now) except -1:
        cdef Exchange exchange = self.exchange
        cdef uint64_t deadline = self.http.request_deadline(exchange) if exchange is not None else 0
        if deadline and now >= deadline:
            return self._on_request_late(exchange)
        if self.awaited == AWAITED_REST:
            return self.transport.drop()
        return self.refuse(408, self.http.late_body(&self.pace, now))

    cdef int _on_request_late(self, Exchange exchange) except -1:
        cdef Transport transport = self.transport
        cdef str why = self.http.late_request(exchange)
        if exchange.response != RESPONSE_BODY:
            return self.refuse(504, why)
        # What waits for the client goes as well: it would not be a response.
        if self.http.rejections.note(REJECTED_REQUEST_TIMEOUT):
            _log.info("%s: %s", name_of(transport.client()), why)
        return transport.reset()
