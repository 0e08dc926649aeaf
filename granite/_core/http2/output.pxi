# The response half of a stream: fields for HPACK, pieces for frames of DATA.

cdef enum:
    FIRST_FIELDS = 16                   # fields for which there is room at first
    MOST_INTERIMS = 16                  # responses of a stream that may wait for the socket


cdef int _check_block(size_t size, str what) except -1:
    """nghttp2 would drop what is larger, and tell nobody who could answer it."""
    if size > MOST_HEAD:
        raise RuntimeError(f"{what}: over HTTP/2 expected at most {<int>MOST_HEAD} bytes of fields, got {size}")
    return 0


cdef ssize_t _cb_nghttp2_read(
    nghttp2.nghttp2_session *session, int32_t id, uint8_t *place, size_t size, uint32_t *flags, nghttp2.nghttp2_data_source *source, void *user
) except -902:
    return (<StreamResponse>source.ptr)._read(size, flags)


cdef int _cb_nghttp2_send_data(
    nghttp2.nghttp2_session *session, nghttp2.nghttp2_frame *frame, const uint8_t *head, size_t size, nghttp2.nghttp2_data_source *source, void *user
) except -902:
    return (<StreamResponse>source.ptr)._write_frame(head, size)


cdef class StreamResponse(Protocol):
    """Turns the response of one stream into fields and pieces, and these into frames."""

    def __cinit__(self):
        self.c_pieces = self.own_pieces
        self.pieces_capacity = OWN_PIECES

    def __dealloc__(self):
        self._drop_pieces()
        PyMem_RawFree(self.c_fields)

    # fields

    cdef int _put(self, const char *name, size_t name_size, const char *value, size_t value_size) except -1:
        """Add a field; what it points to lives as long as the stream, or has its owner in `owners`."""
        cdef nghttp2.nghttp2_nv *field
        cdef nghttp2.nghttp2_nv *grown
        if self.fields_count == self.fields_capacity:
            grown = <nghttp2.nghttp2_nv *>PyMem_RawRealloc(self.c_fields, (2 * self.fields_capacity + FIRST_FIELDS) * sizeof(nghttp2.nghttp2_nv))
            if grown is NULL:
                raise MemoryError()
            self.c_fields = grown
            self.fields_capacity = 2 * self.fields_capacity + FIRST_FIELDS
        field = &self.c_fields[self.fields_count]
        field.name = <uint8_t *>name
        field.namelen = name_size
        field.value = <uint8_t *>value
        field.valuelen = value_size
        field.flags = nghttp2.NGHTTP2_NV_FLAG_NO_COPY_NAME | nghttp2.NGHTTP2_NV_FLAG_NO_COPY_VALUE
        self.fields_count += 1
        self.fields_size += name_size + value_size + FIELD_OVERHEAD
        return 0

    cdef void _drop_fields(self) noexcept:
        self.fields_count = self.fields_size = 0
        if self.owners:
            self.owners.clear()

    cdef int _put_status(self, int status) except -1:
        self.status_text[0] = <char>(48 + status // 100)
        self.status_text[1] = <char>(48 + status // 10 % 10)
        self.status_text[2] = <char>(48 + status % 10)
        return self._put(b":status", 7, self.status_text, 3)

    cdef int _put_length(self, int64_t size) except -1:
        cdef char *end = self.length_text + sizeof(self.length_text)
        cdef char *place = end
        while True:
            place -= 1
            place[0] = <char>(48 + size % 10)
            size //= 10
            if size == 0:
                break
        return self._put(b"content-length", 14, place, end - place)

    cdef int _put_defaults(self, bint secure, bytes request_id) except -1:
        """The server's own fields, but for those that are there."""
        cdef HttpContext http = self.http
        cdef RequestIds ids = http.interface.request_ids
        if not self.seen & SEEN_DATE:
            self.owners.append(http.date)
            self._put(b"date", 4, PyBytes_AS_STRING(<PyObject *>http.date), PyBytes_GET_SIZE(<PyObject *>http.date))
        if not self.seen & SEEN_SERVER and http.server:
            self._put(b"server", 6, PyBytes_AS_STRING(<PyObject *>http.server), PyBytes_GET_SIZE(<PyObject *>http.server))
        if http.hsts is not None and secure and not self.seen & SEEN_HSTS:
            self._put(b"strict-transport-security", 25, PyBytes_AS_STRING(<PyObject *>http.hsts), PyBytes_GET_SIZE(<PyObject *>http.hsts))
        if request_id is not None and not self.seen & SEEN_REQUEST_ID:
            self.owners.append(request_id)
            self._put(PyBytes_AS_STRING(<PyObject *>ids.name), PyBytes_GET_SIZE(<PyObject *>ids.name),
                      PyBytes_AS_STRING(<PyObject *>request_id), PyBytes_GET_SIZE(<PyObject *>request_id))
        return 0

    cdef int start_response(self, Exchange exchange, int status, object headers) except -1:
        cdef PyObject *name
        cdef PyObject *value
        cdef PyObject *field
        cdef Py_ssize_t i = 0
        if size_of_fields(headers) < 0:
            headers = plain(headers)
            for given in headers:
                pair(given, &name, &value)
        if exchange.response != RESPONSE_NONE:
            raise RuntimeError("the response was started while its fields were being looked at")
        self.http.tick()
        exchange.status = status
        exchange.declared = -1
        self.seen = 0
        self._drop_fields()
        self._put_status(status)
        try:
            while True:
                field = field_at(<PyObject *>headers, i)
                if field is NULL:
                    break
                pair(<object>field, &name, &value)
                self._write_field(exchange, name, value)
                i += 1
            _check_block(self.fields_size, "response headers")
        except BaseException:
            self._drop_fields()
            exchange.status = 0
            raise
        self._put_defaults(exchange.secure, exchange.request_id)
        if self.http.note_fields:
            exchange.response_fields = headers
        return exchange._set_response(RESPONSE_HEAD)

    cdef int _write_field(self, Exchange exchange, PyObject *name, PyObject *value) except -1:
        """Add one field; those that are the server's business are taken note of, or left out (RFC 9113, 8.2.2)."""
        cdef const char *v = PyBytes_AS_STRING(value)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
        cdef const FieldName *known = self.http.name_of(name)
        cdef FieldKind kind = known.kind
        cdef PyObject *lower
        if kind == FIELD_INVALID or not is_value(v, size):
            raise RuntimeError(
                f"response headers: a name must be a token and a value must not hold CR, LF or NUL, got {(<object>name, <object>value)!r}"
            )
        if kind == FIELD_OTHER:
            pass
        elif kind == FIELD_CONTENT_LENGTH:
            if exchange.declared >= 0:
                raise RuntimeError("response headers: expected one content-length, got several")
            exchange.declared = length_of(<object>value)
            if exchange.status == 204 or exchange.status == 205:
                return 0                # RFC 9110, 8.6
        elif kind == FIELD_TRANSFER_ENCODING:
            raise RuntimeError(
                "response headers: transfer-encoding is the server's, which chunks what has no content-length: leave it out, "
                f"of fields that come from another response too, got {<object>value!r}"
            )
        elif kind == FIELD_CONNECTION or kind == FIELD_UPGRADE or kind == FIELD_HOP_BY_HOP:
            return 0
        elif kind == FIELD_DATE:
            self.seen |= SEEN_DATE
        elif kind == FIELD_SERVER:
            self.seen |= SEEN_SERVER
        elif kind == FIELD_HSTS:
            self.seen |= SEEN_HSTS
        elif exchange.request_id is not None:
            self.seen |= SEEN_REQUEST_ID
        lower = known.lower
        self.owners.append(<object>lower)
        self.owners.append(<object>value)
        while size and (v[size - 1] == 32 or v[size - 1] == 9):        # RFC 9113, 8.2.1
            size -= 1
        while size and (v[0] == 32 or v[0] == 9):
            v += 1
            size -= 1
        return self._put(PyBytes_AS_STRING(lower), PyBytes_GET_SIZE(lower), v, size)

    cdef int discard_head(self, Exchange exchange) except -1:
        self._drop_fields()
        exchange.status = 0
        return exchange._set_response(RESPONSE_NONE)

    cdef int _end_head(self, Exchange exchange, int64_t size, bint more) except -1:
        """Submit the head, whose length may be known only now."""
        if exchange.handshake is not None and exchange.status < 300:
            # RFC 8441, 5.
            raise RuntimeError(f"over HTTP/2 a response with a status of 2xx accepts a WebSocket: expected one from 300 on that refuses it, got {exchange.status}")
        count_response(self.context.responses, exchange.status)
        if exchange.status == 205:
            self._put_length(0)
        elif not is_bodyless(exchange.status) and exchange.declared < 0 and not more and not (exchange.head_only and size == 0):
            self._put_length(size)
            exchange.declared = size
        if self.http.note_first_byte:
            exchange.first_byte_at = clock()
        exchange._set_response(RESPONSE_BODY)
        return self._submit(more or (size > 0 and not has_no_content(exchange)))

    cdef int _submit(self, bint has_body) except -1:
        cdef nghttp2.nghttp2_data_provider source
        source.source.ptr = <void *>self
        source.read_callback = _cb_nghttp2_read
        self.submitted = True
        self.moved_at = self.transport.now()
        return self.session._check(nghttp2.nghttp2_submit_response(
            self.session.c_session, self.id, self.c_fields, self.fields_count, &source if has_body else NULL
        ))

    cdef int _submit_fields(self, int status, list fields) except -1:
        """Submit an interim response, which nghttp2 copies."""
        cdef nghttp2.nghttp2_nv *c_fields
        cdef char text[3]
        cdef Py_ssize_t i
        cdef int code
        c_fields = <nghttp2.nghttp2_nv *>PyMem_RawMalloc((len(fields) + 1) * sizeof(nghttp2.nghttp2_nv))
        if c_fields is NULL:
            raise MemoryError()
        text[0] = 49
        text[1] = <char>(48 + status // 10 % 10)
        text[2] = <char>(48 + status % 10)
        c_fields[0].name, c_fields[0].namelen = <uint8_t *>b":status", 7
        c_fields[0].value, c_fields[0].valuelen = <uint8_t *>text, 3
        c_fields[0].flags = nghttp2.NGHTTP2_NV_FLAG_NONE
        _set_fields(&c_fields[1], fields)
        code = nghttp2.nghttp2_submit_headers(
            self.session.c_session, nghttp2.NGHTTP2_FLAG_NONE, self.id, NULL, c_fields, len(fields) + 1, NULL
        )
        PyMem_RawFree(c_fields)
        count_response(self.context.responses, status)
        self.session._check(code)
        self.interims += 1
        return 0

    cdef int send_interim(self, Exchange exchange, int status, object headers) except -1:
        cdef list fields = interim(self.http, headers)
        _check_block(_size_of_block(fields), "interim response")
        if exchange.response > RESPONSE_HEAD or self.session is None:
            return 0
        self._submit_fields(status, fields)
        self.wants_room |= self.interims >= MOST_INTERIMS
        return self.push(exchange)      # an application that sends one is going to be busy

    # pieces

    cdef int _grow_pieces(self) except -1:
        cdef uint32_t capacity = 2 * self.pieces_capacity
        cdef Piece *grown = <Piece *>PyMem_RawMalloc(capacity * sizeof(Piece))
        cdef uint32_t i
        if grown is NULL:
            raise MemoryError()
        for i in range(self.pieces_count):
            grown[i] = self.c_pieces[(self.pieces_first + i) & (self.pieces_capacity - 1)]
        if self.c_pieces is not self.own_pieces:
            PyMem_RawFree(self.c_pieces)
        self.c_pieces = grown
        self.pieces_capacity = capacity
        self.pieces_first = 0
        return 0

    cdef int _add_piece(self, object owner, const char *base, size_t size, int64_t offset) except -1:
        cdef Piece *piece
        if self.queued == 0:
            self.moved_at = self.transport.now()    # nothing was to be taken until now
        if self.pieces_count == self.pieces_capacity:
            self._grow_pieces()
        piece = &self.c_pieces[(self.pieces_first + self.pieces_count) & (self.pieces_capacity - 1)]
        Py_INCREF(<PyObject *>owner)
        piece.owner = <PyObject *>owner
        piece.base = base
        piece.size = size
        piece.offset = offset
        self.pieces_count += 1
        self.queued += size
        return 0

    cdef void _drop_pieces(self) noexcept:
        cdef PyObject *owner
        while self.pieces_count:
            owner = self.c_pieces[self.pieces_first & (self.pieces_capacity - 1)].owner
            self.pieces_first += 1
            self.pieces_count -= 1
            Py_DECREF(owner)
        self.queued = self.pieces_first = 0
        if self.c_pieces is not self.own_pieces:
            PyMem_RawFree(self.c_pieces)
            self.c_pieces = self.own_pieces
            self.pieces_capacity = OWN_PIECES

    cdef bint _admit(self, Exchange exchange, int64_t size, bint more) except -1:
        """Whether a piece of the body can still be sent; it fits what was declared, and the head is submitted then."""
        if self.session is None or self.transport.broken or self.was_reset:
            exchange.disconnected = True
            return False
        take_length(exchange, size)
        if exchange.response == RESPONSE_HEAD:
            self._end_head(exchange, size, more)
        return True

    cdef int send_body(self, Exchange exchange, object body, bint more) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(<PyObject *>body)
        if not self._admit(exchange, size, more):
            return 0
        if size and not has_no_content(exchange):
            self._add_piece(body, PyBytes_AS_STRING(<PyObject *>body), size, -1)
        return self._piece_sent(exchange, more)

    cdef int send_file(self, Exchange exchange, int fd, int64_t offset, int64_t count, bint more) except -1:
        cdef OutFile file = self.transport.pool.hold_file(fd)   # first: if it fails, nothing has happened
        if not self._admit(exchange, count, more):
            return 0
        if count and not has_no_content(exchange):
            self._add_piece(file, NULL, count, offset)
        return self._piece_sent(exchange, more)

    cdef int send_trailers(self, Exchange exchange, object headers) except -1:
        cdef list fields = checked(headers, True)
        _check_block(_size_of_block(fields), "trailers")
        if self.session is None or self.transport.broken or self.was_reset:
            exchange.disconnected = True
            return 0
        if exchange.response == RESPONSE_HEAD:
            self._end_head(exchange, 0, True)
        if exchange.takes_trailers() and not has_no_content(exchange) and exchange.sent >= exchange.declared:
            self.trailers = fields
        return self._piece_sent(exchange, False)

    cdef int _piece_sent(self, Exchange exchange, bint more) except -1:
        """A piece of the body is in the queue."""
        if more:
            self._wake()
            if self.queued >= self.context.high_water:
                self.wants_room = True
            return 0
        if is_short(exchange):
            return self.cut_short(exchange)
        self.complete = True
        self._wake()
        exchange._set_response(RESPONSE_DONE)
        return self._response_done(exchange)

    cdef int _wake(self) except -1:
        """There is more for nghttp2 to send."""
        if self.queued == 0:
            self.moved_at = self.transport.now()    # only the end, which was not to be taken until now
        if self.deferred:
            self.deferred = False
            # It fails for a stream that has closed, which is about to be told.
            if nghttp2.nghttp2_session_resume_data(self.session.c_session, self.id) == nghttp2.NGHTTP2_ERR_NOMEM:
                raise MemoryError()
        return self.session._soon()

    cdef bint writable(self, Exchange exchange) noexcept:
        return self.queued < self.context.high_water and self.interims < MOST_INTERIMS

    cdef int push(self, Exchange exchange) except -1:
        cdef Http2Session session = self.session
        if session is None:
            return 0
        session._write()
        if session.noted is not None:
            session.transport.flush_soon()  # not from inside of an application's call
        return session.transport.flush()

    cdef int cut_short(self, Exchange exchange) except -1:
        exchange.aborted = True
        if exchange.response != RESPONSE_BODY:
            exchange.status = 0         # it has not left
        exchange._set_response(RESPONSE_DONE)
        self._reset(nghttp2.NGHTTP2_INTERNAL_ERROR)
        return self._response_done(exchange)

    cdef int _reset(self, uint32_t code) except -1:
        """End the stream, so that the client sees that its response is not whole."""
        self.was_reset = True
        self._drop_pieces()
        self.session._check(nghttp2.nghttp2_submit_rst_stream(self.session.c_session, nghttp2.NGHTTP2_FLAG_NONE, self.id, code))
        return self.session._soon()

    cdef int _write_refusal(self, int status, int retry_after, bint head_only, bytes request_id) except -1:
        """Submit a whole answer of the server's own, for which there is no exchange; `retry_after` in seconds, 0 leaves it out."""
        cdef bytes text = phrase_of(status).encode()
        cdef bytes seconds
        self.http.tick()
        self._drop_fields()
        self.seen = 0
        count_response(self.context.responses, status)
        self._put_status(status)
        self._put_defaults(self.transport.scheme() == "https", request_id)
        self._put(b"content-type", 12, b"text/plain", 10)
        self._put_length(len(text))
        if retry_after:
            seconds = b"%d" % retry_after
            self.owners.append(seconds)
            self._put(b"retry-after", 11, PyBytes_AS_STRING(<PyObject *>seconds), PyBytes_GET_SIZE(<PyObject *>seconds))
        if status == 426:               # RFC 6455, 4.4
            self._put(b"sec-websocket-version", 21, b"13", 2)
        self.complete = True
        if not head_only:
            self._add_piece(text, PyBytes_AS_STRING(<PyObject *>text), len(text), -1)
        self._submit(not head_only)
        return self.session._soon()

    # called by nghttp2

    cdef ssize_t _read(self, size_t most, uint32_t *flags) except -902:
        """How much the next frame has."""
        cdef size_t size = min(self.queued, most)
        if size == 0 and not self.complete:
            self.deferred = True
            return nghttp2.NGHTTP2_ERR_DEFERRED
        if size:
            flags[0] |= nghttp2.NGHTTP2_DATA_FLAG_NO_COPY
        if self.complete and size == self.queued:
            flags[0] |= nghttp2.NGHTTP2_DATA_FLAG_EOF
            if self.trailers:
                flags[0] |= nghttp2.NGHTTP2_DATA_FLAG_NO_END_STREAM
                self._submit_trailers()
        return <ssize_t>size

    cdef int _submit_trailers(self) except -1:
        cdef nghttp2.nghttp2_nv *fields = <nghttp2.nghttp2_nv *>PyMem_RawMalloc(len(self.trailers) * sizeof(nghttp2.nghttp2_nv))
        cdef int code
        if fields is NULL:
            raise MemoryError()
        _set_fields(fields, self.trailers)
        code = nghttp2.nghttp2_submit_trailer(self.session.c_session, self.id, fields, len(self.trailers))
        PyMem_RawFree(fields)
        return self.session._check(code)

    cdef int _write_frame(self, const uint8_t *head, size_t size) except -902:
        """Append a frame of DATA to the transport's queue."""
        cdef Transport transport = self.transport
        cdef Piece *piece
        cdef size_t part
        cdef char *place
        if self.was_reset:
            # It has waited for room since _read() said how large it is, and nghttp2 asks for nothing else before it has got rid of it.
            return nghttp2.NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
        if transport.unsent() >= self.http.write_high_water:
            return nghttp2.NGHTTP2_ERR_WOULDBLOCK
        self.bytes_out += FRAME_HEAD + size
        self.moved_at = transport.now()
        if GRANITE_IS_DEBUG:
            assert size <= self.queued, (size, self.queued)
        self.queued -= size
        if size <= OUT_COPY_LIMIT and self.c_pieces[self.pieces_first].size >= size and self.c_pieces[self.pieces_first].offset < 0:
            piece = &self.c_pieces[self.pieces_first]
            place = out_reserve(transport.pool, &transport.out, FRAME_HEAD + size)
            memcpy(place, head, FRAME_HEAD)
            memcpy(place + FRAME_HEAD, piece.base, size)
            out_commit(&transport.out, FRAME_HEAD + size)
            self._consume(piece, size)
            return self._has_room()
        out_copy(transport.pool, &transport.out, <const char *>head, FRAME_HEAD)
        while size:
            piece = &self.c_pieces[self.pieces_first]
            part = min(size, piece.size)
            if piece.offset >= 0:
                transport.pool.reference_file(&transport.out, <OutFile>piece.owner, piece.offset, part)
            elif part <= OUT_COPY_LIMIT:
                out_copy(transport.pool, &transport.out, piece.base, part)
            else:
                transport.pool.reference(&transport.out, <object>piece.owner, piece.base, part)
            self._consume(piece, part)
            size -= part
        return self._has_room()

    cdef void _consume(self, Piece *piece, size_t size) noexcept:
        cdef PyObject *owner = piece.owner
        piece.size -= size
        if piece.size:
            if piece.offset >= 0:
                piece.offset += size
            else:
                piece.base += size
            return
        self.pieces_first = (self.pieces_first + 1) & (self.pieces_capacity - 1)
        self.pieces_count -= 1
        Py_DECREF(owner)

    cdef int _has_room(self) except -902:
        if self.wants_room and self.queued <= self.context.high_water // 2 and self.interims < MOST_INTERIMS:
            self.wants_room = False
            self.session._note(<Http2Stream>self, EVENT_ROOM)
        return 0

    cdef int _response_done(self, Exchange exchange) except -1:
        """The last piece of the response is in the queue."""
        raise NotImplementedError


cdef size_t _size_of_block(list fields) except? 0:
    cdef size_t size = 0
    for name, value in fields:
        size += PyBytes_GET_SIZE(<PyObject *>name) + PyBytes_GET_SIZE(<PyObject *>value) + FIELD_OVERHEAD
    return size


cdef int _set_fields(nghttp2.nghttp2_nv *place, list fields) except -1:
    """Fields that nghttp2 is to copy."""
    for name, value in fields:
        place.name, place.namelen = <uint8_t *>PyBytes_AS_STRING(<PyObject *>name), PyBytes_GET_SIZE(<PyObject *>name)
        place.value, place.valuelen = <uint8_t *>PyBytes_AS_STRING(<PyObject *>value), PyBytes_GET_SIZE(<PyObject *>value)
        place.flags = nghttp2.NGHTTP2_NV_FLAG_NONE
        place += 1
    return 0
