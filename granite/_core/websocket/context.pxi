# What all WebSockets of a server share: limits, and zlib's streams.

cdef class WebSocketContext(WebSockets):
    """Limits of messages, and how they are compressed.

    Parameters:
        config: has the section "WebSocket".
    """

    def __init__(self, config):
        self.handshake_timeout = _milliseconds(config.ws_handshake_timeout)
        self.ping_interval = _milliseconds(config.ws_ping_interval)
        self.ping_timeout = _milliseconds(config.ws_ping_timeout)
        self.close_timeout = _milliseconds(config.ws_close_timeout)
        self.max_queue = config.ws_max_queue
        if config.ws_origins:
            self.origins = frozenset([origin.lower().encode("utf-8") for origin in config.ws_origins])
        self.max_message = config.ws_max_message_size
        self.max_frame = config.ws_max_frame_size
        self.max_fragments = config.ws_max_fragments
        self.fragment_size = config.ws_fragment_size
        self.deflate.on = config.ws_per_message_deflate
        self.deflate.server_takeover = config.ws_deflate_server_context
        self.deflate.client_takeover = config.ws_deflate_client_context
        self.deflate.server_bits = config.ws_deflate_server_max_window_bits
        self.deflate.client_bits = config.ws_deflate_client_max_window_bits
        self.level = config.ws_deflate_level
        self.memory_level = config.ws_deflate_mem_level
        self.threshold = config.ws_deflate_threshold

    def __dealloc__(self):
        cdef Stream *stream
        cdef int bits
        while self.c_inflaters is not NULL:
            stream = self.c_inflaters
            self.c_inflaters = stream.next
            zlib.inflateEnd(&stream.z)
            PyMem_RawFree(stream)
        for bits in range(MOST_BITS + 1):
            if self.c_deflaters[bits] is not NULL:
                zlib.deflateEnd(&self.c_deflaters[bits].z)
                PyMem_RawFree(self.c_deflaters[bits])
        PyMem_RawFree(self.c_scratch)

    cdef Handshake judge(self, list fields, bint is_http1):
        cdef OfferedHandshake handshake = OfferedHandshake.__new__(OfferedHandshake)
        _judge(self, handshake, fields, is_http1)
        return handshake

    cdef Session open(self, HttpContext http, Transport transport, Exchange exchange):
        cdef WebSocketSession session = WebSocketSession.__new__(WebSocketSession)
        session.http = http
        session.context = self
        session.transport = transport
        session.exchange = exchange
        session.deflate = (<OfferedHandshake>exchange.handshake).deflate
        session.state = WEBSOCKET_OPEN
        if self.ping_interval:
            session.ping_at = transport.now() + self.ping_interval
        self.live += 1
        count_response(self.responses, exchange.status)
        return session

    cdef void export(self, int64_t *snapshot) noexcept:
        snapshot[WEBSOCKETS_ACTIVE] = self.live
        export_responses(self.responses, &snapshot[RESPONSES_WEBSOCKET])
        snapshot[WEBSOCKET_MESSAGES_RECEIVED] = self.received
        snapshot[WEBSOCKET_MESSAGES_SENT] = self.sent
        export(&self.round_trip, &snapshot[WEBSOCKET_ROUND_TRIP])

    cdef char *scratch(self) except NULL:
        """SCRATCH_SIZE bytes that are free until something else is called."""
        if self.c_scratch is NULL:
            self.c_scratch = <char *>PyMem_RawMalloc(SCRATCH_SIZE)
            if self.c_scratch is NULL:
                raise MemoryError()
        return self.c_scratch

    cdef Stream *_new_stream(self, int bits) except NULL:
        cdef Stream *stream = <Stream *>PyMem_RawCalloc(1, sizeof(Stream))
        if stream is NULL:
            raise MemoryError()
        stream.bits = bits
        self.streams += 1
        return stream

    cdef Stream *borrow_inflater(self, int bits) except NULL:
        """A stream without a window, which give_back() takes."""
        cdef Stream *stream = self.c_inflaters
        if stream is not NULL:
            self.c_inflaters = stream.next
            self.inflaters -= 1
            zlib.inflateReset2(&stream.z, -bits)
            return stream
        stream = self._new_stream(bits)
        if zlib.inflateInit2(&stream.z, -bits) != zlib.Z_OK:
            self.streams -= 1
            PyMem_RawFree(stream)
            raise MemoryError()
        return stream

    cdef void give_back(self, Stream *stream) noexcept:
        if self.inflaters < SPARE_INFLATERS:
            stream.next = self.c_inflaters
            self.c_inflaters = stream
            self.inflaters += 1
            return
        zlib.inflateEnd(&stream.z)
        PyMem_RawFree(stream)
        self.streams -= 1

    cdef Stream *new_deflater(self, int bits) except NULL:
        cdef Stream *stream = self._new_stream(bits)
        cdef int code = zlib.deflateInit2(&stream.z, self.level, zlib.Z_DEFLATED, -bits, self.memory_level, zlib.Z_DEFAULT_STRATEGY)
        if code != zlib.Z_OK:
            self.streams -= 1
            PyMem_RawFree(stream)
            raise MemoryError()
        return stream

    cdef void drop_deflater(self, Stream *stream) noexcept:
        zlib.deflateEnd(&stream.z)
        PyMem_RawFree(stream)
        self.streams -= 1

    cdef bytes compress_alone(self, object message, const char *base, size_t size, int bits):
        """What anybody with a window of that size can inflate, whatever came before. Of the last message it is kept: one that goes to many
        is compressed once."""
        cdef Stream *stream
        cdef bytes body
        if self.shared_body is not None and self.shared_bits <= bits and _is_same(self.shared, message):
            return self.shared_body
        stream = self.c_deflaters[bits]
        if stream is NULL:
            stream = self.c_deflaters[bits] = self.new_deflater(bits)
        else:
            zlib.deflateReset(&stream.z)
        body = _deflate(stream, base, size)
        self.deflated += 1
        if size <= SHARED_LIMIT:
            self.shared = message
            self.shared_body = body
            self.shared_bits = bits
        return body


cdef uint64_t _milliseconds(double seconds) noexcept:
    """A timeout; one that is not 0 does not become 0, which is none."""
    return <uint64_t>(seconds * 1000) or (seconds > 0)


cdef bint _is_same(object message, object other) except -1:
    """Whether these are the same text, or the same bytes."""
    return message is other or (type(message) is type(other) and message == other)


cdef bytes _deflate(Stream *stream, const char *base, size_t size):
    """The message's blocks, without the octets that all of them end with (RFC 7692, 7.2.1)."""
    cdef z_stream *z = &stream.z
    cdef size_t room = zlib.deflateBound(z, size) + 16
    cdef PyObject *body = PyBytes_New(NULL, room)
    cdef size_t done = 0
    cdef size_t piece
    z.next_in = <const unsigned char *>base
    try:
        while True:
            # zlib counts in 32 bits.
            if z.avail_in == 0:
                piece = min(size, <size_t>1 << 30)
                z.avail_in = <unsigned int>piece
                size -= piece
            z.next_out = <unsigned char *>PyBytes_AS_STRING(body) + done
            z.avail_out = <unsigned int>min(room - done, <size_t>1 << 30)
            piece = z.avail_out
            zlib.deflate(z, zlib.Z_NO_FLUSH if size else zlib.Z_SYNC_FLUSH)
            done += piece - z.avail_out
            if size == 0 and z.avail_in == 0 and z.avail_out:
                break
            if room - done < 16:
                room += room // 2
                _PyBytes_Resize(&body, room)
        _PyBytes_Resize(&body, done - 4)
        return <bytes>body
    finally:
        Py_XDECREF(body)
