# A stream: one request and its response.

cdef inline Http2Stream _stream_of(nghttp2.nghttp2_session *session, int32_t id):
    cdef void *stream = nghttp2.nghttp2_session_get_stream_user_data(session, id)
    return <Http2Stream>stream if stream is not NULL else None


cdef class Http2Stream(StreamRequest):
    """One request and its response; the protocol of its exchange."""

    def __init__(self):
        raise TypeError("streams are made by Http2Context")

    cdef int _begin(self, Http2Session session, int32_t id) except -1:
        self.session = session
        self.transport = session.transport
        self.id = id
        self.fields = []
        self.cookie_at = self.content_length = -1
        self.field_lines = 0
        self.head_size = self.unread = self.body_size = 0
        self.forwarded = 0
        self.urgency = URGENCY_OF_CLIENT
        self.error = self.declined = self.retry_in = self.events = self.interims = 0
        self.in_trailers = self.malformed = self.expects_continue = self.submitted = self.deferred = self.was_reset = self.complete = self.wants_room = False
        self.is_tunnel = self.dispatched = self.ended = self.refused = self.closed = self.paced = False
        self.pace.at = self.pace.elapsed = 0
        self.bytes_in = self.bytes_out = 0
        return 0

    cdef int _end(self) except -1:
        """Drop what the stream holds; it may be a spare one then."""
        self._drop_fields()
        self._drop_pieces()
        self.session = None
        self.transport = None
        self.exchange = self.unlogged = None
        self.tunnel = None
        self.method = self.raw_path = self.path = self.query_string = self.authority = None
        self.fields = self.cookies = self.trailers = None
        return 0

    # called by nghttp2

    cdef int _on_head(self, bint ends) except -1:
        """The head is complete, or the trailers are."""
        if self.in_trailers and self.is_tunnel:     # RFC 9113, 8.5: it has frames of DATA only
            return self.session._check(nghttp2.nghttp2_submit_rst_stream(
                self.session.c_session, nghttp2.NGHTTP2_FLAG_NONE, self.id, nghttp2.NGHTTP2_PROTOCOL_ERROR
            ))
        if self.in_trailers:
            return self._on_end() if ends else 0
        if ends:
            self._request_ends()
        self._check_head()
        if not self.error:
            self._make_exchange()
        self.session._note(self, EVENT_HEAD)
        return 0

    cdef int _make_exchange(self) except -1:
        cdef HttpContext http = self.http
        cdef Transport transport = self.transport
        cdef Exchange exchange
        cdef Handshake handshake = None
        cdef Forwarded told
        cdef const Forwarded *known = NULL
        cdef const Address *client = transport.address()
        if self.forwarded:
            http.forwarding.read(self.fields, self.forwarded, &told)
            known = &told
            if told.client.family:
                client = &told.client
        self.declined = http.decline(transport, client, &self.retry_in)
        if self.declined:
            return 0
        if self.is_tunnel:
            handshake = self._judge()
            if handshake.status:
                return self._deny(handshake.status, handshake.why)
        exchange = http.new_exchange(self, transport, self.fields, known, self.session.read_at, handshake)
        self.fields = None              # from now on, trailers
        exchange.method = self.method
        exchange.http_version = _HTTP2
        exchange.head_only = self.method is _HEAD
        exchange.raw_path, exchange.path, exchange.query_string = self.raw_path, self.path, self.query_string
        exchange.body_complete = self.ended
        exchange.body_withheld = self.expects_continue and not self.ended
        if not self.ended and handshake is None:
            exchange.trailers = []
        self.exchange = exchange
        return 0

    cdef Handshake _judge(self):
        """What an extended CONNECT asks for; or with a status why it does not get it."""
        cdef Handshake handshake = self.http.websockets.judge(self.fields, False)
        if self.ended or self.content_length > 0:
            handshake.status = 400
            handshake.why = "a request for a WebSocket has a body, or an end"
        elif handshake.status == 0:
            _rank(self)
        return handshake

    cdef int _on_data(self, const char *base, size_t size) except -1:
        cdef Http2Session session = self.session
        cdef Exchange exchange = self.exchange
        self.bytes_in += size
        self.body_size += size
        self.expects_continue = False   # it did not wait
        if exchange is None or self.error:
            return session._received(size) if self.tunnel is None else self.tunnel.take(base, size)
        if self.body_size > self.http.max_body_size and not self.is_tunnel:
            self._deny(413, "the request's body is larger than max_body_size")
            session._note(self, EVENT_BODY)
        exchange.add_body(base, size)
        self.unread += size
        session.unread += size
        session._received(size)
        if self.paced:
            self.http.note_pace(&self.pace, self.transport.now(), size)
        session._note(self, EVENT_BODY)
        return 0

    cdef int _on_end(self) except -1:
        """The request is complete."""
        cdef Exchange exchange = self.exchange
        self._request_ends()
        if exchange is None:
            if self.tunnel is not None:
                self.session._note(self, EVENT_BODY)
            return 0
        if self.error:                  # of its trailers
            self.session._note(self, EVENT_BODY)
            return 0
        exchange.body_complete = True
        if self.is_tunnel:
            exchange.read_ended = True
        if self.in_trailers:
            exchange.trailers.extend(self.fields)
            self.fields = None
        self.session._note(self, EVENT_BODY)
        return 0

    cdef void _request_ends(self) noexcept:
        self.paced = False
        if not self.ended:
            self.ended = True
            if not self.is_tunnel:
                self.session.incomplete -= 1

    # behind nghttp2's back

    cdef int _handle(self, int events) except -1:
        """Deal with what has come."""
        cdef Exchange exchange = self.exchange
        if self.closed:
            return self._closed()
        if self.error and not self.refused:
            self.refused = True
            return self._refuse(self.error, self.why)
        if events & EVENT_HEAD:
            if self.declined:
                return self._decline(None, self.declined, REJECTED_OVERLOAD if self.declined == 503 else REJECTED_REQUESTS_PER_IP, self.retry_in)
            return self._dispatch()
        if exchange is None:
            return self.tunnel.handle(events) if self.tunnel is not None else 0
        if exchange.turn == TURN_COME:
            return self._dispatch()
        if not self.dispatched:
            return 0
        if events & EVENT_BODY:
            exchange.on_body()
        if events & EVENT_ROOM and self.exchange is not None:
            exchange.on_writable()
        return 0

    cdef int _dispatch(self) except -1:
        # Held here: the exchange may end, and leave the stream, before start() returns.
        cdef Exchange exchange = self.exchange
        if not exchange.may_start():
            return 0
        self.dispatched = True
        return exchange.start()

    cdef int turn_has_come(self, Exchange exchange) except -1:
        self.session._note(self, EVENT_BODY)
        return self.transport.resume_soon()

    cdef int turn_away(self, Exchange exchange, Rejection reason) except -1:
        self.exchange = None
        return self._decline(exchange, 503, reason, self.http.retry_after)

    cdef int _decline(self, Exchange exchange, int status, Rejection reason, int retry_after) except -1:
        """Answer a request that could be served another time."""
        if self.http.rejections.note(reason):
            self.http.log_declined((exchange if exchange is not None else self._record()).client, status, reason)
        return self._turn_down(exchange, status, retry_after)

    cdef int _refuse(self, int status, str why) except -1:
        """Answer a request that can't be served."""
        cdef Exchange exchange = self.exchange
        cdef bint answerable = not self.submitted
        self.exchange = None
        if self.http.rejections.note(rejection_of(status, True)):
            _log.info("%s: %d, %s", name_of(self.transport.client()), status, why)
        if exchange is not None and self.dispatched:
            if exchange.response == RESPONSE_HEAD:
                self.discard_head(exchange)
            exchange.on_disconnect()
        elif exchange is not None:
            exchange.withdraw(False)
        self._drop_body()
        if answerable:
            return self._turn_down(exchange, status, 0)
        self.unlogged = exchange
        return self._reset(nghttp2.NGHTTP2_CANCEL)

    cdef int _turn_down(self, Exchange exchange, int status, int retry_after) except -1:
        """Send an answer of the server's own to a request, for which there need not be an exchange."""
        cdef RequestIds ids = self.http.interface.request_ids
        cdef bytes request_id = exchange.request_id if exchange is not None else None
        if ids is not None and request_id is None:
            request_id = ids.fresh()
        self._write_refusal(status, retry_after, self.method is _HEAD, request_id)
        if self.http.access_log is not None:
            if exchange is None:
                exchange = self._record()
                exchange.request_id = request_id
            exchange.status = status
            exchange.sent = len(phrase_of(status))
            self.unlogged = exchange
        return 0

    cdef Exchange _record(self):
        """What is known of a request that never became an exchange."""
        cdef Exchange exchange = self.http.record(self.transport, self.fields, self.forwarded if self.declined else 0)
        exchange.method = self.method
        exchange.http_version = _HTTP2
        exchange.head_only = self.method is _HEAD
        exchange.raw_path, exchange.query_string = self.raw_path, self.query_string or None
        return exchange

    # called by an exchange

    cdef int body_wanted(self, Exchange exchange) except -1:
        if self.session is None or self.exchange is not exchange:
            return 0
        if self.expects_continue and not self.ended:
            self.expects_continue = False
            if not self.submitted:
                self._submit_fields(100, [])
                self.session._soon()
        return self._taken()

    cdef int _taken(self) except -1:
        """Tell the client of what the application has taken."""
        cdef size_t size = self.unread - self.exchange.buffered()
        return self._give(size) if size else 0

    cdef int _give(self, size_t size) except -1:
        """Open the windows by so many bytes."""
        cdef Http2Session session = self.session
        self.unread -= size
        session.unread -= size
        if not self.ended:
            session._check(nghttp2.nghttp2_session_consume_stream(session.c_session, self.id, size))
        session._release_window()
        return session._soon()

    cdef int _drop_body(self) except -1:
        """Nobody reads what has come of the body."""
        cdef Http2Session session = self.session
        session.unread -= self.unread
        self.unread = 0
        self.paced = False
        return session._release_window()

    cdef int _response_done(self, Exchange exchange) except -1:
        self.exchange = None
        self.paced = False
        if self.http.access_log is not None:
            self.unlogged = exchange
        if exchange.read_at:
            observe(&self.http.latency, clock() - exchange.began_at)
        exchange.on_disconnect()
        return self._drop_body() if self.unread else 0

    cdef int accept(self, Exchange exchange, str subprotocol, list headers) except -1:
        cdef list fields = self.http.fields_of_accept(exchange, subprotocol, headers)   # may run the application's code
        if self.exchange is not exchange or self.transport.broken:
            exchange.disconnected = True
            return 0
        return _open_tunnel(self, exchange, fields)

    # deadlines

    cdef int _pace(self, uint64_t now) noexcept:
        """Whether it is the client that takes its time: it has been told that it may send more of the body."""
        if self.exchange is None or self.ended or self.is_tunnel or self.expects_continue or self.unread >= self.session.stream_window // 2 or self.session.withheld:
            self.paced = False
        elif not self.paced:
            self.paced = True
            self.http.begin_pace(&self.pace, now, self.body_size)
        return 0

    cdef bint _has_unsent(self) noexcept:
        """Whether something waits for the client, be it the end alone: nghttp2 sends that within a window only, too."""
        if not self.complete or not self.submitted or self.was_reset:
            return self.queued > 0
        return nghttp2.nghttp2_session_get_stream_local_close(self.session.c_session, self.id) == 0

    cdef uint64_t _deadline(self) noexcept:
        cdef uint64_t first = self.http.pace_deadline(&self.pace) if self.paced else 0
        if self._has_unsent() and self.http.timeouts.write:
            first = earlier(first, self.moved_at + self.http.timeouts.write)
        if self.exchange is not None:
            return earlier(first, self.http.request_deadline(self.exchange))
        return earlier(first, self.tunnel.deadline()) if self.tunnel is not None else first

    cdef int _on_late(self, uint64_t now) except -1:
        cdef Exchange exchange = self.exchange
        cdef uint64_t limit = self.http.timeouts.write
        cdef uint64_t deadline = self.http.request_deadline(exchange) if exchange is not None else 0
        if limit and self._has_unsent() and now >= self.moved_at + limit and not (deadline and now >= deadline):
            return self._on_stalled(now)
        if self.tunnel is not None:
            return self.tunnel.on_due(now)
        self.refused = True
        if deadline and now >= deadline:
            return self._refuse(504, self.http.late_request(exchange))
        return self._refuse(408, self.http.late_body(&self.pace, now))

    cdef int _on_stalled(self, uint64_t now) except -1:
        """The client has taken nothing of the response for a while: as its windows are shut, or as others had their turn."""
        cdef Exchange exchange = self.exchange
        cdef Http2Session session = self.session
        self.moved_at = now
        if nghttp2.nghttp2_session_get_remote_window_size(session.c_session) > 0 \
                and nghttp2.nghttp2_session_get_stream_remote_window_size(session.c_session, self.id) > 0:
            return 0
        if self.http.rejections.note(REJECTED_WRITE_TIMEOUT):
            _log.info("%s: HTTP/2: a window has been shut for %g s", name_of(self.transport.client()), self.http.timeouts.write / 1000.0)
        return self._reset(nghttp2.NGHTTP2_CANCEL)

    # its end

    cdef int _closed(self) except -1:
        """nghttp2 knows the stream no more: it is complete, or was reset by either side."""
        cdef Exchange exchange = self.exchange
        cdef Http2Session session = self.session
        self.exchange = None
        try:
            if self.tunnel is not None:
                self.tunnel.closed()
            if self.unlogged is not None:
                self._log(self.unlogged, self.unlogged.aborted or self.was_reset or self.queued > 0 or not self.complete)
            elif exchange is not None:
                self._log(exchange, True)
            if self.unread:
                self._drop_body()
            if exchange is not None and self.dispatched:
                exchange.on_disconnect()
            elif exchange is not None:
                exchange.withdraw(True)
        finally:
            # As much may be on its way: of the body, with the frames around it, and of windows that are opened as the response is read.
            session.in_vain -= self.bytes_out // READ_BY
            if not self.ended:
                session.in_vain -= OF_WINDOW * <int64_t>min(session.stream_window, session.window)
            self._request_ends()
            session._remove(self)
        return 0

    cdef int _log(self, Exchange exchange, bint aborted) except -1:
        if self.http.access_log is None:
            return 0
        if not self.submitted:
            exchange.status = 0
        exchange.bytes_in = self.bytes_in
        exchange.bytes_out = self.bytes_out
        exchange.aborted = aborted
        self.http.access_log.append(exchange)
        return 0
