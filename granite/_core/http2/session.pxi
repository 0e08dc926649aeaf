# A session: the streams of one connection, as long as it is open.

cdef enum:
    ERR_TOO_MANY_CONTINUATIONS = -905   # which the header has since 1.61
    WINDOWS_KEPT = 16                   # windows of the connection of which bodies may wait for the application
    MOST_ROUNDS = 16                    # writes in a row of what a fast client takes at once
    REST_AFTER = 1000                   # ms without a stream after which a connection is one that rests


cdef inline bint _ends_block(uint8_t kind, uint8_t flags) noexcept:
    """Whether anything but CONTINUATION may follow a frame of the server's."""
    return kind != nghttp2.NGHTTP2_HEADERS and kind != nghttp2.NGHTTP2_CONTINUATION or flags & nghttp2.NGHTTP2_FLAG_END_HEADERS != 0


cdef inline void _put_number(char *goaway, int32_t last) noexcept:
    """The last stream that the frame names."""
    cdef int i
    for i in range(4):
        goaway[FRAME_HEAD + i] = <char>(last >> (24 - 8 * i))


cdef int _cb_nghttp2_begin_headers(nghttp2.nghttp2_session *session, const nghttp2.nghttp2_frame *frame, void *user) except -902:
    return (<Http2Session>user)._on_begin_headers(frame)


cdef int _cb_nghttp2_frame_recv(nghttp2.nghttp2_session *session, const nghttp2.nghttp2_frame *frame, void *user) except -902:
    (<Http2Session>user)._on_frame(frame)
    return _verdict(user)


cdef int _cb_nghttp2_invalid_frame(nghttp2.nghttp2_session *session, const nghttp2.nghttp2_frame *frame, int code, void *user) except -902:
    cdef Http2Stream stream = _stream_of(session, frame.hd.stream_id)
    if stream is not None and frame.hd.type == nghttp2.NGHTTP2_HEADERS:
        stream.malformed = True
    return 0


cdef int _cb_nghttp2_frame_send(nghttp2.nghttp2_session *session, const nghttp2.nghttp2_frame *frame, void *user) except -902:
    (<Http2Session>user)._on_frame_sent(frame)
    return _verdict(user)


cdef int _cb_nghttp2_data_chunk(
    nghttp2.nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t size, void *user
) except -902:
    cdef Http2Stream stream = _stream_of(session, id)
    if stream is not None:
        stream._on_data(<const char *>data, size)
    else:
        (<Http2Session>user)._received(size)
    return 0


cdef int _cb_nghttp2_stream_close(nghttp2.nghttp2_session *session, int32_t id, uint32_t code, void *user) except -902:
    cdef Http2Stream stream = _stream_of(session, id)
    if stream is not None:
        stream.closed = True
        stream.code = code
        (<Http2Session>user)._note(stream, EVENT_CLOSED)
    return 0


cdef class Http2Session(LimitedSession):
    """The streams of one connection."""

    def __init__(self):
        raise TypeError("sessions are made by Http2Context")

    def __dealloc__(self):
        self._free()

    cdef int _open(self, Http2Context context, Transport transport) except -1:
        cdef nghttp2.nghttp2_settings_entry settings[6]
        self.context = context
        self.http = context.http
        self.transport = transport
        self.duplex = True
        self.last_told = LAST_STREAM
        _start_scan(&self.scan)
        self.window, self.stream_window = context.connection_window, context.stream_window
        self._new_session()
        self._open_accounts()
        settings[0].settings_id, settings[0].value = nghttp2.NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, context.max_streams
        settings[1].settings_id, settings[1].value = nghttp2.NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, <uint32_t>context.stream_window
        settings[2].settings_id, settings[2].value = nghttp2.NGHTTP2_SETTINGS_MAX_FRAME_SIZE, <uint32_t>context.max_frame_size
        settings[3].settings_id, settings[3].value = nghttp2.NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, <uint32_t>context.max_head_size
        settings[4].settings_id, settings[4].value = nghttp2.NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1
        settings[5].settings_id, settings[5].value = nghttp2.NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1
        self._check(nghttp2.nghttp2_submit_settings(
            self.c_session, nghttp2.NGHTTP2_FLAG_NONE, settings, 6 if self.http.websockets is not None else 5
        ))
        self._check(nghttp2.nghttp2_session_set_local_window_size(
            self.c_session, nghttp2.NGHTTP2_FLAG_NONE, 0, <int32_t>context.connection_window
        ))
        return self._write()            # before any answer, which nghttp2 would send first

    cdef int _new_session(self) except -1:
        cdef nghttp2.nghttp2_mem memory
        if self.context.slots is not None:
            self.c_slot = self.context.slots.take()
        memory.mem_user_data = self.c_slot
        memory.malloc, memory.free = _cb_nghttp2_malloc, _cb_nghttp2_free
        memory.calloc, memory.realloc = _cb_nghttp2_calloc, _cb_nghttp2_realloc
        self.awake = True
        return self._check(nghttp2.nghttp2_session_server_new3(
            &self.c_session, self.context.c_callbacks, <void *>self, self.context.c_option, &memory if self.c_slot is not NULL else NULL
        ))

    cdef void _free(self) noexcept:
        nghttp2.nghttp2_session_del(self.c_session)
        self.c_session = NULL
        if self.c_slot is not NULL:
            (<Slots>self.c_slot.owner).give(self.c_slot)
            self.c_slot = NULL

    # for the connection

    cdef int feed(self, const char *base, size_t size) except -1:
        cdef ssize_t taken
        if self.broken:
            return 0
        if self.context.ping_interval:
            self.ping_at = self.transport.now() + self.context.ping_interval
            self.pong_until = 0
        size = _scan(&self.scan, <const uint8_t *>base, size)
        self.busy = True
        try:
            taken = nghttp2.nghttp2_session_mem_recv(self.c_session, <const uint8_t *>base, size)
            if taken >= 0:
                taken = self._on_taken(taken)
        finally:
            self.busy = False
        if taken < 0:
            self._on_broken(<int>taken)
            return self._deliver()
        self._deliver()
        return self._pump()

    cdef int resume(self) except -1:
        self._deliver()
        return self._pump()

    cdef int writable_again(self) except -1:
        if self.pong_until:             # the client has taken something, perhaps the PING only now
            self._await_pong()
        self._pump()
        return self.transport.flush()

    cdef int read_ended(self) except -1:
        """No window will open any more, so what does not fit into those that are open can't be sent."""
        self._pump()
        return self.transport.shut(False)

    cdef int closed(self) except -1:
        self.ending = self.broken = True
        self._close_streams()
        return self._deliver()

    cdef int _close_streams(self) except -1:
        cdef Http2Stream stream
        for stream in self._open_streams():
            stream.closed = True
            self._note(stream, EVENT_CLOSED)
        return 0

    cdef int release(self) except -1:
        if self.c_session is not NULL:
            self._free()
            self.context.live -= 1
        return 0

    cdef int drain(self) except -1:
        cdef Http2Stream stream
        LimitedSession.drain(self)
        if self.http.draining and not self.busy:
            for stream in self._open_streams():
                if stream.tunnel is not None:
                    stream.tunnel.session.drain()
        return 0

    # deadlines

    cdef int settle(self) except -1:
        cdef uint64_t now = self.transport.now()
        cdef PyObject *current = self.c_first
        cdef uint64_t limit
        if self.streams:
            self.until = 0
        elif self.until == 0:
            limit = self.http.timeouts.keep_alive if self.messages else self.http.timeouts.head
            self.until = now + limit if limit else 0
        if self.awake and not self.streams:
            self.awake = False
            self.rest_at = now + REST_AFTER
        while self.incomplete and current is not NULL:
            (<Http2Stream>current)._pace(now)
            current = (<Http2Stream>current).c_next
        return 0

    cdef uint64_t deadline(self) noexcept:
        cdef PyObject *current = self.c_first
        cdef uint64_t first = earlier(earlier(self.until, self.rest_at), earlier(self.drain_at, earlier(self.ping_at, self.pong_until)))
        first = earlier(first, self.head_until)
        if not self.ending:
            while current is not NULL:
                first = earlier(first, (<Http2Stream>current)._deadline())
                current = (<Http2Stream>current).c_next
        return first

    cdef int on_due(self, uint64_t now) except -1:
        cdef Http2Stream stream
        cdef uint64_t deadline
        if self.rest_at and now >= self.rest_at:
            self.rest_at = 0
            if self.c_slot is not NULL and not self.streams:
                _rest(self.c_slot)
        for stream in self._open_streams():
            deadline = stream._deadline()
            if deadline and now >= deadline and not stream.closed:
                stream._on_late(now)
        if self.head_until and now >= self.head_until:
            self._on_late_head()
        elif self.drain_at and now >= self.drain_at:
            self._last_goaway()
        elif (self.ping_at and now >= self.ping_at) or (self.pong_until and now >= self.pong_until):
            self._on_silence(now)
        elif self.until and now >= self.until:
            self.ending = True
            self._terminate(nghttp2.NGHTTP2_NO_ERROR)
        self._deliver()
        return self._pump()

    # streams

    cdef list _open_streams(self):
        cdef PyObject *current = self.c_first
        cdef list found = []
        while current is not NULL:
            found.append(<object>current)
            current = (<Http2Stream>current).c_next
        return found

    cdef int _take(self, Http2Stream stream) except -1:
        """Keep a stream until _remove()."""
        Py_INCREF(<PyObject *>stream)
        stream.c_next = NULL
        stream.c_previous = self.c_last
        if self.c_last is not NULL:
            (<Http2Stream>self.c_last).c_next = <PyObject *>stream
        else:
            self.c_first = <PyObject *>stream
        self.c_last = <PyObject *>stream
        self.streams += 1
        return 0

    cdef int _remove(self, Http2Stream stream) except -1:
        if stream.c_previous is not NULL:
            (<Http2Stream>stream.c_previous).c_next = stream.c_next
        else:
            self.c_first = stream.c_next
        if stream.c_next is not NULL:
            (<Http2Stream>stream.c_next).c_previous = stream.c_previous
        else:
            self.c_last = stream.c_previous
        self.streams -= 1
        self.context.give_back(stream)
        Py_DECREF(<PyObject *>stream)
        return 0

    cdef void _note(self, Http2Stream stream, int event) noexcept:
        stream.events |= event
        if stream.is_noted:
            return
        stream.is_noted = True
        if self.last_noted is None:
            self.noted = stream
        else:
            self.last_noted.next_noted = stream
        self.last_noted = stream

    cdef int _deliver(self) except -1:
        """Deal with what nghttp2 has told."""
        cdef Http2Stream stream
        cdef int events
        if self.delivering:
            return 0
        self.delivering = True
        try:
            while self.noted is not None:
                stream = self._next_noted()
                events, stream.events = stream.events, 0
                stream._handle(events)
        finally:
            self.delivering = False
        return 0

    cdef Http2Stream _next_noted(self):
        cdef Http2Stream stream = self.noted
        self.noted = stream.next_noted
        if self.noted is None:
            self.last_noted = None
        stream.next_noted = None
        stream.is_noted = False
        return stream

    # output

    cdef int _soon(self) except -1:
        """There are frames to be written, which the read callback does at its end, or else the turn of the event loop."""
        if self.busy or self.transport.corked or self.transport.broken:
            return 0
        return self.transport.flush_soon()

    cdef int _pump(self) except -1:
        """Have nghttp2 write frames, and deal with what follows from that."""
        cdef Transport transport = self.transport
        while not transport.broken and not self.broken:
            self._write()
            if self.noted is None or self.delivering:
                break
            self._deliver()
        if not transport.broken and not self.broken and not nghttp2.nghttp2_session_want_write(self.c_session) \
                and not nghttp2.nghttp2_session_want_read(self.c_session):
            return transport.shut(True)
        return 0

    cdef int _write(self) except -1:
        """Have nghttp2 write frames, as long as little waits for the socket.

        A block of fields is written as a whole: what _on_broken() says may not fall into it (RFC 9113, 4.3).
        """
        cdef Transport transport = self.transport
        cdef size_t most = self.http.write_high_water
        cdef const uint8_t *data
        cdef ssize_t size = 0
        cdef int rounds = 0
        cdef bint whole = True
        if self.busy or self.broken:
            return 0
        while not transport.broken:
            self.busy = True
            try:
                while not whole or transport.unsent() < most:
                    size = nghttp2.nghttp2_session_mem_send(self.c_session, &data)
                    if size <= 0:
                        break
                    if data[3] == nghttp2.NGHTTP2_GOAWAY:
                        self._copy_goaway(<const char *>data, size)
                    else:
                        out_copy(transport.pool, &transport.out, <const char *>data, size)
                    whole = _ends_block(data[3], data[4])
            finally:
                self.busy = False
            if size < 0:
                return self._on_broken(<int>size)
            if transport.unsent() < most:
                return 0
            transport.flush()
            rounds += 1
            if transport.unsent() >= most:
                return 0                # writable_again() goes on
            if rounds == MOST_ROUNDS:   # others have their turn
                return transport.flush_soon()
        return 0

    cdef int _copy_goaway(self, const char *data, size_t size) except -1:
        """RFC 9113, 6.8: the number never rises. nghttp2's own, when the protocol is broken, counts the streams that were refused behind the last one."""
        cdef char frame[17]
        memcpy(frame, data, 17)
        if self.last_told < <int32_t>_number_at(<const uint8_t *>frame + FRAME_HEAD) < LAST_STREAM:
            _put_number(frame, self.last_told)
        out_copy(self.transport.pool, &self.transport.out, frame, 17)
        return out_copy(self.transport.pool, &self.transport.out, data + 17, size - 17) if size > 17 else 0

    cdef int _on_broken(self, int code) except -1:
        """nghttp2 can't go on, or must not, and says nothing to the client."""
        cdef Transport transport = self.transport
        cdef uint32_t error = self.fault or nghttp2.NGHTTP2_ENHANCE_YOUR_CALM
        cdef Rejection reason = REJECTED_HTTP2_FLOOD
        cdef char frame[17]
        if code == nghttp2.NGHTTP2_ERR_NOMEM:
            raise MemoryError()
        if code == ERR_TOO_MANY_CONTINUATIONS:
            reason = REJECTED_HTTP2_CONTINUATIONS
        elif code != nghttp2.NGHTTP2_ERR_FLOODED and not self.fault:
            error, reason = nghttp2.NGHTTP2_PROTOCOL_ERROR, REJECTED_HTTP2_PROTOCOL
        self.ending = self.broken = True
        self.head_until = 0
        self._note_offence(error)
        if not self.fault and self.http.rejections.note(reason):
            _log.info("%s: HTTP/2: %s", name_of(transport.client()), nghttp2.nghttp2_strerror(code).decode("ascii"))
        memcpy(frame, b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0", 17)
        _put_number(frame, self._last_begun())
        frame[16] = <char>error
        out_copy(transport.pool, &transport.out, frame, 17)
        self._close_streams()           # what they say, nghttp2 does not take any more
        return transport.shut(True)

    # called by nghttp2

    cdef int _on_begin_headers(self, const nghttp2.nghttp2_frame *frame) except -902:
        cdef Http2Stream stream
        if frame.headers.cat == nghttp2.NGHTTP2_HCAT_REQUEST:
            if frame.hd.stream_id > self.last_told:     # it has no object, and all that comes of it is passed over
                return self._check(nghttp2.nghttp2_submit_rst_stream(
                    self.c_session, nghttp2.NGHTTP2_FLAG_NONE, frame.hd.stream_id, nghttp2.NGHTTP2_REFUSED_STREAM
                ))
            stream = self.context.stream(self, frame.hd.stream_id)
            self._take(stream)
            self.incomplete += 1
            self.in_vain -= BEHIND_A_STREAM
            self.until = 0
            self.awake = True
            self._await_head(frame.hd.stream_id)
            nghttp2.nghttp2_session_set_stream_user_data(self.c_session, frame.hd.stream_id, <void *>stream)
            self.messages += 1
            if self.http.max_requests and self.messages >= self.http.max_requests:
                self.drain()
            return 0
        stream = _stream_of(self.c_session, frame.hd.stream_id)
        if stream is not None:
            stream.in_trailers = True
            stream.fields = []
            stream.field_lines = 0
            stream.head_size = 0
        self._await_head(frame.hd.stream_id)
        return 0

    cdef int _await_head(self, int32_t id) noexcept:
        """A block of fields has begun, which holds up all other streams until it ends."""
        if self.http.timeouts.head:
            self.head_until = self.transport.now() + self.http.timeouts.head
            self.head_id = id
        return 0

    cdef int _on_late_head(self) except -1:
        cdef Http2Stream stream = _stream_of(self.c_session, self.head_id)
        if self.head_ends and (stream is None or stream.malformed):
            self.head_until = 0         # nghttp2 says nothing of the end of a block that was malformed
            return 0
        return self._end(nghttp2.NGHTTP2_PROTOCOL_ERROR, REJECTED_HEAD_TIMEOUT, f"the request's head took longer than {self.http.timeouts.head / 1000.0:g} s")

    cdef int _on_frame(self, const nghttp2.nghttp2_frame *frame) except -902:
        cdef Http2Stream stream
        cdef bint ends = frame.hd.flags & nghttp2.NGHTTP2_FLAG_END_STREAM != 0
        self.in_vain -= FRAME_HEAD + frame.hd.length
        if frame.hd.type == nghttp2.NGHTTP2_HEADERS:
            self.head_until = 0
            stream = _stream_of(self.c_session, frame.hd.stream_id)
            if stream is not None:
                stream.bytes_in += FRAME_HEAD + frame.hd.length
                stream._on_head(ends)
        elif frame.hd.type == nghttp2.NGHTTP2_DATA:
            stream = _stream_of(self.c_session, frame.hd.stream_id)
            if stream is not None:
                stream.bytes_in += FRAME_HEAD + frame.data.padlen
                if frame.hd.length and frame.hd.length == frame.data.padlen and not ends:
                    self._account(ABUSE_EMPTY_FRAMES)
                if ends:
                    stream._on_end()
        elif frame.hd.type == nghttp2.NGHTTP2_PRIORITY_UPDATE:
            self._on_priority((<nghttp2.nghttp2_ext_priority_update *>frame.ext.payload).stream_id)
        elif frame.hd.type == nghttp2.NGHTTP2_RST_STREAM:
            stream = _stream_of(self.c_session, frame.hd.stream_id)
            if stream is None or not stream.complete or stream.queued:
                self._account(ABUSE_RESETS)
        elif frame.hd.type == nghttp2.NGHTTP2_WINDOW_UPDATE:
            if frame.window_update.window_size_increment < SMALL_INCREMENT:
                self._account(ABUSE_WINDOWS)
        elif frame.hd.type == nghttp2.NGHTTP2_PING and frame.hd.flags & nghttp2.NGHTTP2_FLAG_ACK:
            self._on_pong(frame.ping.opaque_data)
        return 0

    cdef int _on_priority(self, int32_t id) except -1:
        """The client has said how urgent a stream is, which may not have begun."""
        cdef Http2Stream stream = _stream_of(self.c_session, id)
        if id == 0:                     # RFC 9218, 7.1
            return self._end(nghttp2.NGHTTP2_PROTOCOL_ERROR, REJECTED_HTTP2_PROTOCOL, "a PRIORITY_UPDATE frame was of no stream")
        self.urged = max(self.urged, id)
        if stream is not None:
            stream.urgency = URGENCY_OF_CLIENT
        return 0

    cdef int _on_frame_sent(self, const nghttp2.nghttp2_frame *frame) except -902:
        cdef Http2Stream stream
        if frame.hd.type == nghttp2.NGHTTP2_RST_STREAM:
            if frame.rst_stream.error_code == nghttp2.NGHTTP2_PROTOCOL_ERROR:
                return self._on_malformed()
            # Streams beyond the limit, of a client that has not acknowledged it; those behind the last one are nobody's fault.
            if frame.rst_stream.error_code == nghttp2.NGHTTP2_REFUSED_STREAM and frame.hd.stream_id <= self.last_told:
                self._account(ABUSE_RESETS)
            return 0
        if frame.hd.type == nghttp2.NGHTTP2_GOAWAY:
            if self.ending:
                return 0
            return self._on_rejected(frame.goaway.error_code) if frame.goaway.error_code != nghttp2.NGHTTP2_NO_ERROR else self._on_goaway_sent()
        if frame.hd.type == nghttp2.NGHTTP2_PING:
            return self._on_ping_sent(frame.ping.opaque_data) if not frame.hd.flags & nghttp2.NGHTTP2_FLAG_ACK else 0
        if frame.hd.type != nghttp2.NGHTTP2_HEADERS and frame.hd.type != nghttp2.NGHTTP2_DATA:
            return 0
        if frame.hd.type == nghttp2.NGHTTP2_DATA and not frame.hd.flags & nghttp2.NGHTTP2_FLAG_END_STREAM:
            return 0
        stream = _stream_of(self.c_session, frame.hd.stream_id)
        if stream is None:
            return 0
        if frame.hd.type == nghttp2.NGHTTP2_HEADERS:
            stream.bytes_out += FRAME_HEAD + frame.hd.length
            if stream.interims:
                stream.interims -= 1
                stream._has_room()
        if frame.hd.flags & nghttp2.NGHTTP2_FLAG_END_STREAM and not stream.ended:
            if stream.tunnel is not None:
                return stream.tunnel.await_end()
            # RFC 9113, 8.1: the client need not send the rest of a request that is answered.
            nghttp2.nghttp2_submit_rst_stream(self.c_session, nghttp2.NGHTTP2_FLAG_NONE, frame.hd.stream_id, nghttp2.NGHTTP2_NO_ERROR)
        return 0

    cdef int _on_rejected(self, uint32_t error) except -1:
        """nghttp2 has ended the connection by itself: the protocol was broken, or a SETTINGS frame had too many values: then it asks for calm."""
        cdef Rejection reason = REJECTED_HTTP2_PROTOCOL
        self.ending = True
        self._note_offence(error)
        if error == nghttp2.NGHTTP2_ENHANCE_YOUR_CALM:
            reason = REJECTED_HTTP2_SETTINGS
        if self.http.rejections.note(reason):
            _log.info("%s: HTTP/2: %s", name_of(self.transport.client()), nghttp2.nghttp2_http2_strerror(error).decode("ascii"))
        return 0

    cdef int _on_malformed(self) except -1:
        """A stream was reset by the client's fault, which costs as much as its own reset."""
        if self.http.rejections.note(REJECTED_BAD_REQUEST):
            _log.info("%s: HTTP/2: a request is malformed", name_of(self.transport.client()))
        return self._account(ABUSE_RESETS)

    # the window of the connection

    cdef int _received(self, size_t size) except -1:
        """Bytes of a body have come; who keeps them has counted them as unread."""
        self.withheld += size
        if self.context.adaptive:
            self._sample(size)
        return self._release_window()

    cdef int _release_window(self) except -1:
        """Tell the client of what has come, unless it is more than is to be kept at a time."""
        cdef size_t size = self.withheld
        if size == 0 or self.unread > WINDOWS_KEPT * self.window or self.c_session is NULL:
            return 0
        self.withheld = 0
        return self._check(nghttp2.nghttp2_session_consume_connection(self.c_session, size))
