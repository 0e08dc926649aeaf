# The server's own answers: to requests that it can't serve, or not now.

cdef class RefusingSession(LoggedSession):
    """Answers in the application's place; knows the exchange, to take the request from it."""

    cdef int refuse(self, int status, str why) except -1:
        """Answer a request that can't be served, and close."""
        cdef Transport transport = self.transport
        cdef Exchange exchange = self.exchange
        cdef bint answerable = True
        cdef bint open_ended = False
        cdef SessionState was = self.state
        if self.state == SESSION_CLOSING:
            return 0
        if self.http.rejections.note(rejection_of(status, was == SESSION_BODY)):
            _log.info("%s: %d, %s", name_of(transport.client()), status, why)
        self._set_state(SESSION_CLOSING)
        self.exchange = None
        self.keep_alive = False
        if exchange is not None and self.dispatched:
            if exchange.response == RESPONSE_HEAD:
                self.discard_head(exchange)
            answerable = exchange.response == RESPONSE_NONE
            open_ended = self._is_open_ended(exchange)
            exchange.on_disconnect()
        elif exchange is not None:
            exchange.withdraw(False)
        elif was == SESSION_BODY and self.dispatched:
            answerable = False          # answered already; this is the rest of its body
        if answerable:
            self._turn_down(exchange, status, 0)
        elif exchange is not None:
            self._log_cut(exchange)
        if open_ended:
            return transport.reset()    # let the end not look like the body's
        if transport.corked == 0:
            transport.flush()
        return transport.shut(True)

    cdef int _turn_down(self, Exchange exchange, int status, int retry_after) except -1:
        """Write an answer of the server's own to a request, for which there need not be an exchange."""
        cdef size_t queued = self.transport.out.pending
        cdef RequestIds ids = self.http.interface.request_ids
        cdef bytes request_id = exchange.request_id if exchange is not None else None
        if ids is not None and request_id is None:
            request_id = ids.fresh()
        self._write_refusal(status, retry_after, self.head_only, request_id)
        if self.http.access_log is not None:
            if exchange is None:
                exchange = _record_of(self)
                exchange.request_id = request_id
            exchange.status = status
            exchange.sent = len(phrase_of(status))
            exchange.bytes_in = self.raw_size
            exchange.bytes_out += self.transport.out.pending - queued
            self.http.access_log.append(exchange)
        return 0

    cdef int _decline(self, Exchange exchange, int status, Rejection reason, int retry_after) except -1:
        """Answer a request that could be served another time."""
        if self.http.rejections.note(reason):
            self.http.log_declined((exchange if exchange is not None else _record_of(self)).client, status, reason)
        return self._answer_unserved(exchange, status, retry_after)

    cdef int _answer_unserved(self, Exchange exchange, int status, int retry_after) except -1:
        """Answer a request whose framing is beyond doubt, so that its connection can go on."""
        if self.http.draining or (self.expects_continue and self.state != SESSION_COMPLETE):
            self.keep_alive = False
        self.dispatched = True          # what comes of its body is of no use
        return self._turn_down(exchange, status, retry_after)

    cdef int _leave_queue(self) except -1:
        """The client has ended its half while its request waited: it has gone, or else hears that it was not served."""
        cdef Exchange exchange = self.exchange
        self.exchange = None
        self.keep_alive = False
        exchange.withdraw(True)
        self._turn_down(exchange, 503, self.http.retry_after)
        self._set_state(SESSION_CLOSING)
        return self.transport.shut(False)
