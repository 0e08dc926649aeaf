# A stream that belongs to a WebSocket (RFC 8441).
#
# The WebSocket is the session of a Tunnel, as it is one of a connection over HTTP/1.1: it writes to the tunnel's queue, from where its bytes
# become pieces of the stream's body, and is fed when nghttp2 has returned. Its stream is served like any other then: windows, priorities and
# a client that takes nothing are looked after in one place.

cdef enum:
    LINGER = 2000                       # ms that a stream which has ended waits for the client's end
    URGENCY_OF_CLIENT = -1              # the client has said how urgent the WebSocket is
    URGENCY_OF_MESSAGES = 1             # RFC 9218, 4.1: 0 is the most urgent
    URGENCY_USUAL = 3
    UPDATES_FORGIVEN = 2                # small WINDOW_UPDATEs, of the stream and of the connection, for each time that something is sent


cdef int _open_tunnel(Http2Stream stream, Exchange exchange, list fields) except -1:
    """Answer an extended CONNECT: its stream belongs to the WebSocket from now on."""
    cdef HttpContext http = stream.http
    cdef Tunnel tunnel = Tunnel.__new__(Tunnel)
    stream.start_response(exchange, 200, fields)
    if http.note_first_byte:
        exchange.first_byte_at = clock()
    exchange._set_response(RESPONSE_BODY)
    stream._submit(True)
    stream.exchange = None
    if http.access_log is not None:
        stream.unlogged = exchange
        # As of an interim response, it is told when the head has left: the line has its size.
        stream.interims += 1
        stream.wants_room = True
    tunnel._open(stream, exchange)
    return stream.session._soon()


cdef int _rank(Http2Stream stream) except -1:
    """Messages are small, and waited for: where the client does not say how urgent they are, a download must not hold them up."""
    if stream.id <= stream.session.urged:
        return 0
    for name, _ in stream.fields:
        if name == b"priority":
            return 0
    stream.urgency = URGENCY_USUAL
    return _urge(stream, URGENCY_OF_MESSAGES)


cdef int _urge(Http2Stream stream, int urgency) except -1:
    """Say how urgent a WebSocket is, if that is left to the server."""
    cdef nghttp2.nghttp2_extpri rank
    if stream.urgency == URGENCY_OF_CLIENT or stream.urgency == urgency or stream.closed:
        return 0
    stream.urgency = urgency
    rank.urgency, rank.inc = urgency, 1
    return stream.session._check(nghttp2.nghttp2_session_change_extpri_stream_priority(stream.session.c_session, stream.id, &rank, 0))


cdef class Tunnel(Transport):
    """A stream as what carries a WebSocket, which asks for no more of a transport than is here."""

    def __dealloc__(self):
        PyMem_RawFree(self.c_input)
        if self.pool is not None:
            self.pool.clear(&self.out)

    cdef int _open(self, Http2Stream stream, Exchange exchange) except -1:
        cdef bytes early = exchange.take_body()
        self.stream = stream
        self.pool = stream.transport.pool
        self.reading = True
        stream.tunnel = self
        exchange.protocol = self.session = stream.http.websockets.open(stream.http, self, exchange)
        if early:
            append_octets(&self.c_input, &self.input_size, &self.input_capacity, early, len(early))
        if early or stream.ended:
            stream.session._note(stream, EVENT_BODY)
        return self.session.drain() if stream.http.draining else 0

    # input

    cdef int take(self, const char *base, size_t size) except -1:
        """Keep what has come until nghttp2 has returned."""
        cdef Http2Stream stream = self.stream
        if stream.complete:
            return stream.session._received(size)
        append_octets(&self.c_input, &self.input_size, &self.input_capacity, base, size)
        stream.unread += size
        stream.session.unread += size
        stream.session._note(stream, EVENT_BODY)
        return stream.session._received(size)

    cdef int handle(self, int events) except -1:
        """Deal with what has come, and with what the WebSocket has asked for."""
        cdef Http2Stream stream = self.stream
        cdef Session session = self.session
        self.corked += 1
        try:
            session.resume()
            self._feed()
            if stream.ended and not self.end_told:
                self.end_told = True
                session.read_ended()
            if events & EVENT_ROOM:
                self._on_room()
        finally:
            self.corked -= 1
        self.flush()
        return self._give_back() if self.reading else 0

    cdef int _feed(self) except -1:
        cdef char *fed = self.c_input
        cdef size_t size = self.input_size
        if fed is NULL:
            return 0
        self.c_input = NULL
        self.input_size = self.input_capacity = 0
        try:
            self.session.feed(fed, size)
        finally:
            PyMem_RawFree(fed)
        return 0

    cdef int _give_back(self) except -1:
        cdef Http2Stream stream = self.stream
        return stream._give(stream.unread) if stream.unread and not stream.closed else 0

    cdef int pause_reading(self) except -1:
        """Leave the stream's window as it is: what fits into it still comes."""
        self.reading = False
        return 0

    cdef int resume_reading(self) except -1:
        self.reading = True
        return self._give_back()

    cdef int resume_soon(self) except -1:
        if self.stream.closed:
            return 0
        self.stream.session._note(self.stream, EVENT_BODY)
        return self.stream.transport.resume_soon()

    # output

    cdef size_t unsent(self) noexcept:
        return self.out.pending + self.stream.queued

    cdef int flush_soon(self) except -1:
        """At once: it is nghttp2 that writes at the end of the turn, from pieces that need less memory than a buffer."""
        return self.flush()

    cdef int flush(self) except -1:
        """Make pieces of what waits: what was copied into the queue becomes one object, everything else stays where it lies."""
        cdef Http2Stream stream = self.stream
        cdef Account *account = &stream.session.accounts[<int>ABUSE_WINDOWS]
        cdef OutBuf *buf = self.out.head
        cdef bint over = stream.closed or stream.was_reset
        cdef uint32_t i
        if buf is NULL:
            return 0
        while buf is not NULL and not over:
            for i in range(buf.vectors):
                _add_vector(stream, <const char *>buf.vector[i].iov_base, buf.vector[i].iov_len, buf.owner[i])
            buf = buf.next
        self.pool.clear(&self.out)
        if over:
            return 0
        if stream.queued >= stream.http.write_high_water:
            stream.wants_room = True
            _urge(stream, URGENCY_USUAL)        # so much is no message that somebody waits for, and there is more where it comes from
        account.count -= min(account.count, <uint32_t>UPDATES_FORGIVEN)
        return stream._wake()

    cdef int _on_room(self) except -1:
        """Little is left to be sent, or the head has left."""
        cdef Http2Stream stream = self.stream
        cdef Exchange exchange = stream.unlogged
        if exchange is not None and stream.interims == 0:
            stream.unlogged = None
            stream._log(exchange, False)
        if stream.queued <= stream.http.write_low_water:
            _urge(stream, URGENCY_OF_MESSAGES)
            return self.session.writable_again()
        stream.wants_room = True
        return 0

    cdef int shut(self, bint linger) except -1:
        """End the stream behind what waits."""
        self.flush()
        self.stream.complete = True
        return 0 if self.stream.closed else self.stream._wake()

    cdef int await_end(self) except -1:
        """This end of the stream has been sent."""
        self.until = self.now() + LINGER
        return self.rearm()

    cdef int reset(self) except -1:
        self.pool.clear(&self.out)
        return self.stream._reset(nghttp2.NGHTTP2_CANCEL)      # RFC 8441, 5

    # what else there is of a transport

    cdef uint64_t now(self) noexcept:
        return self.stream.transport.now()

    cdef int rearm(self) except -1:
        return self.stream.transport.rearm()

    cdef object client(self):
        return self.stream.transport.client()

    # for the stream

    cdef uint64_t deadline(self) noexcept:
        return earlier(self.until, self.session.deadline())

    cdef int on_due(self, uint64_t now) except -1:
        if self.until and now >= self.until:
            self.until = 0
            return self.stream._reset(nghttp2.NGHTTP2_NO_ERROR)
        return self.session.on_due(now)

    cdef int closed(self) except -1:
        """The stream has, or its connection."""
        cdef Session session = self.session
        self.corked += 1
        try:
            self._feed()                # which came before
        finally:
            try:
                session.closed()
            finally:
                session.release()
                self.stream = None
        return 0


cdef int _add_vector(Http2Stream stream, const char *base, size_t size, PyObject *owner) except -1:
    cdef bytes copy
    if owner is not NULL:
        return stream._add_piece(<object>owner, base, size, -1)
    copy = PyBytes_FromStringAndSize(base, size)
    return stream._add_piece(copy, PyBytes_AS_STRING(<PyObject *>copy), size, -1)
