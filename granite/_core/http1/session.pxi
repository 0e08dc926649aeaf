# A session: the messages of one connection while a request is in progress.

cdef enum:
    FRAMING_SHARE = 16                  # bytes of chunk framing that each byte of a body may bring along

cdef bytes _CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


cdef int _cb_llhttp_headers_complete(llhttp.llhttp_t *parser) except -1:
    return (<Http1Session>parser.data)._on_head()


cdef int _cb_llhttp_body(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    return (<Http1Session>parser.data)._on_body(base, size)


cdef int _cb_llhttp_message_complete(llhttp.llhttp_t *parser) except -1:
    return llhttp.HPE_PAUSED


cdef class Http1Session(TimedSession):
    """The messages of one connection while a request is in progress."""

    def __init__(self):
        raise TypeError("sessions are lent by Http1Context")

    def __dealloc__(self):
        PyMem_RawFree(self.c_pending)

    # for the connection

    cdef int feed(self, const char *base, size_t size) except -1:
        if self.awaited == AWAITED_BODY:
            self.http.note_pace(&self.pace, self.transport.now(), size)
        if self.state == SESSION_CLOSING:
            return 0
        if self.state == SESSION_COMPLETE or self.c_pending is not NULL:
            return self._stash(base, size)
        self.feeding = True
        try:
            self._execute(base, size)
        finally:
            self.feeding = False
        return 0

    cdef int resume(self) except -1:
        """Start a request whose turn has come, or go on with what came while the last one was being answered."""
        if self.exchange is not None and self.exchange.turn == TURN_COME:
            self._dispatch()
        if self.state != SESSION_IDLE:
            return 0
        if self.c_pending is not NULL:
            self.feeding = self.resuming = True
            self.stashed_again = False
            try:
                self._execute(self.c_pending + self.pending_start, self.pending_size - self.pending_start)
            finally:
                self.feeding = self.resuming = False
                if not self.stashed_again:
                    self._drop_pending()
        if self.pending_size - self.pending_start < self.http.body_high_water and not self.suspended:
            self._read_on()
        if self.input_ended and self.state != SESSION_COMPLETE:
            return self.read_ended()
        return 0

    cdef bint idle(self) noexcept:
        return self.state == SESSION_IDLE and self.c_pending is NULL and self.unlogged is None

    cdef bint looks_whole(self) noexcept:
        if self.exchange is not None and self._is_open_ended(self.exchange):
            return True
        return not self.keep_alive and self.transport.unsent() > 0

    cdef int read_ended(self) except -1:
        cdef Exchange exchange = self.exchange
        self.input_ended = True
        if self.successor is not None:
            return 0
        if exchange is not None and exchange.turn == TURN_WAITING and self.state == SESSION_COMPLETE:
            return self._leave_queue()
        if exchange is None:
            if self.c_pending is not NULL:
                return 0                # resume() goes on with it
            self.state = SESSION_CLOSING
            return self.transport.shut(False)
        if self.c_pending is NULL:
            self.keep_alive = False
        if self.state == SESSION_BODY:
            # A truncated body must not look complete: the application sees a disconnect, the client a 400.
            return self.refuse(400, "the connection ended inside the request's body")
        if not self.dispatched:
            exchange.read_ended = True
            return 0
        return exchange.on_read_ended()

    cdef int writable_again(self) except -1:
        cdef Exchange exchange = self.exchange
        if self.successor is not None:
            return self.successor.writable_again()
        if exchange is not None and self.dispatched:
            return exchange.on_writable()
        if self.state == SESSION_IDLE and self.c_pending is not NULL:
            return self.transport.resume_soon()
        return 0

    cdef int drain(self) except -1:
        return self.successor.drain() if self.successor is not None else 0

    cdef int closed(self) except -1:
        cdef Exchange exchange = self.exchange
        cdef Session successor = self.successor
        self.state = SESSION_CLOSING
        self.exchange = None
        if successor is not None:
            successor.closed()
            successor.release()
        if self.unlogged is not None:
            self.log_sent(self.unsent)
        if exchange is None:
            return 0
        self._log_cut(exchange)
        return exchange.on_disconnect() if self.dispatched else exchange.withdraw(True)

    cdef int release(self) except -1:
        return self.context.give_back(self)

    cdef int _answer_declined(self) except -1:
        """Answer a request that _on_head() has declined, if it has."""
        if not self.declined:
            return 0
        if self.declined == REDIRECT:
            self._answer_unserved(None, REDIRECT, 0)
        else:
            self._decline(None, self.declined, REJECTED_OVERLOAD if self.declined == 503 else REJECTED_REQUESTS_PER_IP, self.retry_in)
        self.declined = 0
        return self._begin_body()

    cdef int turn_has_come(self, Exchange exchange) except -1:
        return self.transport.resume_soon()

    cdef int turn_away(self, Exchange exchange, Rejection reason) except -1:
        self.exchange = None
        self._decline(exchange, 503, reason, self.http.retry_after)
        if self.transport.corked == 0:
            self.transport.flush()
        return self._next() if self.state == SESSION_COMPLETE else self._drop_rest()

    # parsing

    cdef int _execute(self, const char *base, size_t size) except -1:
        cdef const char *end = base + size
        cdef const char *head = base
        cdef const char *position
        cdef llhttp.llhttp_errno_t code
        cdef Exchange exchange
        while base < end:
            if self.state == SESSION_IDLE:
                if self.is_behind():        # no further request is to be begun
                    return self._stash(base, end - base)
                head = base
                self._begin()
            if self.method is None:
                base = self._execute_line(base, end)
                if base is NULL:
                    break
                continue
            self.read_base = base
            code = llhttp.llhttp_execute(&self.parser, base, end - base)
            position = end if code == llhttp.HPE_OK else llhttp.llhttp_get_error_pos(&self.parser)
            if self.state == SESSION_BODY and position is not NULL and self._is_framing_large(position):
                self.raw_size += end - base
                return self.refuse(431, "the framing of the request's body is larger than max_head_size")
            if code == llhttp.HPE_OK or code == llhttp.HPE_PAUSED:
                self.raw_size += position - base
            if code == llhttp.HPE_OK:
                if self.state == SESSION_HEAD:
                    if self.raw_size > self.http.max_head_size:
                        return self.refuse(431, "the request's head is larger than max_head_size")
                    return self._put_off(head, end)
                self._keep(&self.name)
                self._keep(&self.value)
                exchange = self.exchange
                if exchange is None:
                    self._answer_declined()
                    return self._drop_rest()
                if self.dispatched:
                    return exchange.on_body()
                if self.input_ended:
                    return self.refuse(400, "the connection ended inside the request's body")
                return self._dispatch()
            if code != llhttp.HPE_PAUSED:
                self.raw_size += end - base
                return self._parse_error()
            base = position
            self._set_state(SESSION_COMPLETE)
            exchange = self.exchange
            if exchange is None:
                self._answer_declined()
                self._next()            # the response was done before the request
            else:
                exchange.body_complete = True
                if self.fields is not None:
                    exchange.trailers.extend(self.fields)
                if self.dispatched:
                    exchange.on_body()
                else:
                    self._dispatch()
            if self.state != SESSION_IDLE:
                if base < end:
                    self._stash(base, end - base)
                return 0
        return self._put_off(head, end) if self.state == SESSION_HEAD else 0

    cdef const char *_execute_line(self, const char *base, const char *end) except? NULL:
        """Read on in the request line: where the fields, or another line, begin, or NULL if nothing is left to read."""
        cdef const char *behind = self._read_line(base, end)
        if self.error:
            self.raw_size += end - base
            if self.http.access_log is not None:
                self._keep_line(base, end)
            self.refuse(self.error, self.why)
            return NULL
        if behind is NULL:
            return NULL
        if self.method is None:
            # RFC 9112, 2.2: an empty line before a request line.
            self.messages -= 1
            self._set_state(SESSION_IDLE)
            return behind
        self.raw_size += behind - base
        self.head_size = self.raw_size - 2
        self._begin_fields()
        return behind

    cdef int _put_off(self, const char *head, const char *end) except -1:
        """The head is not complete. It is kept as it came, and read from its start when there is more of it: so it needs no session."""
        self.raw_size = end - head
        if self.http.access_log is not None:
            self._keep_line(head, end)  # in case that no more comes
        self.method = None              # what is known of the line lies in what was read
        if self.input_ended:
            return self.refuse(400, "the connection ended inside the request's head")
        self.messages -= 1
        self._set_state(SESSION_IDLE)
        return self.transport.keep(head, end - head)

    cdef int _parse_error(self) except -1:
        cdef const char *reason = llhttp.llhttp_get_error_reason(&self.parser)
        _raise_pending()
        if self.error:
            return self.refuse(self.error, self.why)
        return self.refuse(400, (<bytes>reason).decode("ascii", "replace") if reason is not NULL else "no valid HTTP")

    cdef bint _is_framing_large(self, const char *place) noexcept:
        """Blanks and line ends, of which llhttp tells nothing: some for each byte of the body."""
        cdef size_t size = self.raw_size + (place - self.read_base) - self.head_size
        return size > self.http.max_head_size + FRAMING_SHARE * self.body_size

    cdef int _stash(self, const char *base, size_t size) except -1:
        """Keep what can't be parsed before the response is done, and read on as long as it is little: else nobody would see the client go."""
        cdef char *grown
        if self.state == SESSION_CLOSING:
            return 0
        if self.resuming:               # it lies in there already
            self.pending_start = base - self.c_pending
            self.stashed_again = True
            return 0
        if self.pending_start:
            self.pending_size -= self.pending_start
            memmove(self.c_pending, self.c_pending + self.pending_start, self.pending_size)
            self.pending_start = 0
        grown = <char *>PyMem_RawRealloc(self.c_pending, self.pending_size + size)
        if grown is NULL:
            raise MemoryError()
        memcpy(grown + self.pending_size, base, size)
        self.c_pending = grown
        self.pending_size += size
        return self.transport.pause_reading() if self.pending_size >= self.http.body_high_water else 0

    cdef void _drop_pending(self) noexcept:
        PyMem_RawFree(self.c_pending)
        self.c_pending = NULL
        self.pending_size = self.pending_start = 0

    cdef int _begin(self) except -1:
        """The first byte of a request has come."""
        self._set_state(SESSION_HEAD)
        self.messages += 1
        self.body_size = self.discarded = 0
        self.pace.at = self.pace.elapsed = 0
        self.awaited = AWAITED_NOTHING
        self.dispatched = False
        return self._begin_head()

    cdef int _on_head(self) except -1:
        cdef Forwarded told
        cdef Handshake handshake = None
        cdef const Forwarded *known = NULL
        cdef const Address *client = self.transport.address()
        if self._check_head():
            return llhttp.HPE_USER
        if self.parser.content_length > self.http.max_body_size:
            return self._deny(413, "the request's body is larger than max_body_size")
        self.parser.upgrade = 0         # an offer that is not taken (RFC 9110, 7.8)
        # RFC 9112, 9.3
        self.client_closes = self.connection & ASKED_TO_CLOSE or not (self.http11 or self.connection & ASKED_TO_STAY)
        self.keep_alive = not self.client_closes and not self.context.one_request
        if self.http.max_requests and self.served + self.messages >= <unsigned int>self.http.max_requests:
            self.keep_alive = False
        if not self.http11:
            self.expects_continue = False
        if self.forwarded:
            self.http.forwarding.read(self.fields, self.forwarded, &told)
            known = &told
            if told.client.family:
                client = &told.client
        self.declined = self.http.decline(self.transport, client, &self.retry_in)
        if self.declined:
            return self._set_state(SESSION_BODY)
        if self.upgrade and self.http.websockets is not None and _asks_for_websocket(self):
            handshake = _judge_upgrade(self)
            if handshake.status:
                return self._deny(handshake.status, handshake.why)
        self._make_exchange(known, handshake)
        return self._begin_body()

    cdef int _begin_body(self) except -1:
        """Nothing of the head is needed any more."""
        self.fields = None              # from now on, trailers
        self.target_size = 0
        return self._set_state(SESSION_BODY) if self.state == SESSION_HEAD else 0

    cdef int _make_exchange(self, const Forwarded *told, Handshake handshake) except -1:
        cdef Exchange exchange = self.http.new_exchange(self, self.transport, self.fields, told, self.read_at, handshake)
        exchange.method = self.method
        exchange.http_version = _HTTP11 if self.http11 else _HTTP10
        exchange.head_only = self.head_only
        exchange.read_ended = self.input_ended
        exchange.body_withheld = self.expects_continue
        self._set_target(exchange)
        if self.codings:
            exchange.trailers = []
        self.exchange = exchange
        return 0

    cdef int _on_body(self, const char *base, size_t size) except -1:
        cdef Exchange exchange = self.exchange
        if self._is_framing_large(base):
            return self._deny(431, "the framing of the request's body is larger than max_head_size")
        self.body_size += size
        self.expects_continue = False   # it did not wait
        if self.body_size > self.http.max_body_size:
            return self._deny(413, "the request's body is larger than max_body_size")
        if exchange is None:
            self.discarded += size
            if self.discarded > DISCARD_LIMIT:
                return self._deny(413, "the rest of the request's body, which nobody reads, is larger than 1 MiB")
            return 0
        exchange.add_body(base, size)
        if not self.suspended and exchange.buffered() >= self.http.body_high_water:
            self.suspended = True
            self.transport.pause_reading()
        return 0

    # exchanges

    cdef int _dispatch(self) except -1:
        # Held here: the exchange may end, and leave the session, before start() returns.
        cdef Exchange exchange = self.exchange
        if not exchange.may_start():
            return 0
        self.dispatched = True
        return exchange.start()

    cdef int accept(self, Exchange exchange, str subprotocol, list headers) except -1:
        cdef list fields = self.http.fields_of_accept(exchange, subprotocol, headers)   # may run the application's code
        if exchange.protocol is not self or self.transport.broken:
            exchange.disconnected = True
            return 0
        _write_accept(self, exchange, fields)
        return _take_over(self, exchange)

    cdef int hand_over(self) except -1:
        cdef Session successor = self.successor
        if self.c_pending is not NULL:
            self.transport.resume_reading()
            successor.feed(self.c_pending + self.pending_start, self.pending_size - self.pending_start)
        return successor.read_ended() if self.input_ended else 0

    cdef int body_wanted(self, Exchange exchange) except -1:
        cdef Transport transport = self.transport
        if self.state == SESSION_BODY and self.expects_continue:
            self.expects_continue = False
            if exchange.response == RESPONSE_NONE or exchange.response == RESPONSE_HEAD:
                self._interject(exchange, 100, _CONTINUE)
                if transport.corked == 0:
                    transport.flush()
            self._read_on()             # it did not wait for a body before
        if self.suspended and exchange.buffered() < self.http.body_high_water:
            self._go_on_reading()
        return 0

    cdef int _go_on_reading(self) except -1:
        """End the pause that an unread body made; also when the body is complete, as the client's leaving must be seen."""
        self.suspended = False
        return self._read_on() if self.c_pending is NULL else 0

    cdef int _response_done(self, Exchange exchange) except -1:
        cdef Transport transport = self.transport
        if exchange.read_at:
            observe(&self.http.latency, clock() - exchange.began_at)
        if transport.corked == 0:
            transport.flush()
        if self.http.access_log is not None:
            self._log_done(exchange)
        if self.state == SESSION_COMPLETE:
            return self._next()
        if self.state != SESSION_BODY:
            return 0
        self.exchange = None
        exchange.on_disconnect()
        return self._drop_rest()

    cdef int _drop_rest(self) except -1:
        """Answered before the body has come (RFC 9112, 9.3): read the rest and drop it, unless the client waits to be asked for it."""
        cdef Transport transport = self.transport
        if self.expects_continue or not self.keep_alive:
            self._set_state(SESSION_CLOSING)
            return transport.shut(True)
        if self.suspended:
            self._go_on_reading()
        # The connection has a deadline for the rest, which it arms when it looks at the session again.
        return 0 if self.feeding else transport.resume_soon()

    cdef int _next(self) except -1:
        """Request and response are complete: turn to the next."""
        cdef Exchange exchange = self.exchange
        self.exchange = None
        if exchange is not None:
            exchange.on_disconnect()
        if not self.keep_alive:
            self._set_state(SESSION_CLOSING)
            return self.transport.shut(self.pending_size > 0 or not self.client_closes)
        self._set_state(SESSION_IDLE)
        if self.suspended:
            self._go_on_reading()
        if not self.feeding:
            self.transport.resume_soon()
        return 0


cdef int _raise_pending() except? -1:
    """Raise what a callback left set."""
    return -1 if PyErr_Occurred() is not NULL else 0
