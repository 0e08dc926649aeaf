# The response half: serialises heads, frames bodies.

cdef enum:
    END_ROOM = 96                       # what _end_head() may add to the fields that are known before


cdef inline char *_put(char *place, object data) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(<PyObject *>data)
    memcpy(place, PyBytes_AS_STRING(<PyObject *>data), size)
    return place + size


cdef inline char *_put_text(char *place, const char *text, size_t size) noexcept:
    memcpy(place, text, size)
    return place + size


cdef char *_put_number(char *place, unsigned long long number, int base) noexcept:
    cdef char digits[24]
    cdef int count = 0
    while True:
        digits[count] = b"0123456789abcdef"[number % base]
        count += 1
        number //= base
        if number == 0:
            break
    while count:
        count -= 1
        place[0] = digits[count]
        place += 1
    return place


cdef bytes _lines(list fields):
    """The lines of fields."""
    return b"".join([b"%b: %b\r\n" % (name, value) for name, value in fields])


cdef inline size_t _size_of_id(Http1Context context, bytes request_id) noexcept:
    return PyBytes_GET_SIZE(<PyObject *>context.http.interface.request_ids.name) + PyBytes_GET_SIZE(<PyObject *>request_id) + 4


cdef inline char *_put_id(char *place, Http1Context context, bytes request_id) noexcept:
    place = _put(place, context.http.interface.request_ids.name)
    place = _put_text(place, b": ", 2)
    place = _put(place, request_id)
    return _put_text(place, b"\r\n", 2)


cdef class ResponseWriter(Session):
    """Serialises the responses of one connection."""

    cdef int start_response(self, Exchange exchange, int status, object headers) except -1:
        cdef PyObject *name
        cdef PyObject *value
        cdef Http1Context context = self.context
        cdef Transport transport = self.transport
        cdef PyObject *field
        cdef Py_ssize_t i = 0
        cdef Py_ssize_t size = size_of_fields(headers)
        cdef Py_ssize_t rest = END_ROOM
        cdef char *start
        cdef char *place
        cdef char *limit
        cdef bytes line
        if size < 0:
            headers = plain(headers)
            for given in headers:
                pair(given, &name, &value)
            size = size_of_fields(headers)
        if exchange.response != RESPONSE_NONE:
            raise RuntimeError("the response was started while its fields were being looked at")
        context.tick()
        line = context.status_line(status, exchange.reason)
        rest += PyBytes_GET_SIZE(<PyObject *>line) + PyBytes_GET_SIZE(<PyObject *>context.default_lines)
        if context.hsts_line is not None:
            rest += PyBytes_GET_SIZE(<PyObject *>context.hsts_line)
        if exchange.request_id is not None:
            rest += _size_of_id(context, exchange.request_id)
        start = out_reserve(transport.pool, &transport.out, size + rest)
        place = _put(start, line)
        # What the fields may take. The collector can run the application's code in between, which may change its list.
        limit = place + size
        exchange.status = status
        exchange.declared = -1
        self.trailers = exchange.trailing and self.http11 and not exchange.head_only and exchange.takes_trailers()
        self.seen = 0
        while True:
            field = field_at(<PyObject *>headers, i)
            if field is NULL:
                break
            pair(<object>field, &name, &value)
            if limit - place < PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + 4:
                raise RuntimeError("response headers: they changed while they were sent")
            place = self._write_field(exchange, place, name, value)
            i += 1
        if self.seen & (SEEN_DATE | SEEN_SERVER) == 0:
            place = _put(place, context.default_lines)
        else:
            if not self.seen & SEEN_DATE:
                place = _put(place, context.date_line)
            if not self.seen & SEEN_SERVER:
                place = _put(place, context.server_line)
        if context.hsts_line is not None and exchange.secure and not self.seen & SEEN_HSTS:
            place = _put(place, context.hsts_line)
        if exchange.request_id is not None and not self.seen & SEEN_REQUEST_ID:
            place = _put_id(place, context, exchange.request_id)
        if self.seen & SEEN_CLOSE:
            self.keep_alive = False
        transport.held = place - start
        out_commit(&transport.out, transport.held)
        if self.http.note_fields:
            exchange.response_fields = headers
        return exchange._set_response(RESPONSE_HEAD)

    cdef char *_write_field(self, Exchange exchange, char *place, PyObject *name, PyObject *value) except NULL:
        """Append one field line; those that are the server's business are taken note of instead."""
        cdef const char *n = PyBytes_AS_STRING(name)
        cdef const char *v = PyBytes_AS_STRING(value)
        cdef Py_ssize_t name_size = PyBytes_GET_SIZE(name)
        cdef Py_ssize_t value_size = PyBytes_GET_SIZE(value)
        cdef FieldKind kind = self.http.kind_of(name)
        if kind == FIELD_INVALID or not is_value(v, value_size):
            raise RuntimeError(
                f"response headers: a name must be a token and a value must not hold CR, LF or NUL, got {(<object>name, <object>value)!r}"
            )
        if kind == FIELD_OTHER:
            pass
        elif kind == FIELD_CONTENT_LENGTH:
            if exchange.declared >= 0:
                raise RuntimeError("response headers: expected one content-length, got several")
            exchange.declared = length_of(<object>value)
            if exchange.status == 204 or exchange.status == 205 or self.trailers:
                return place            # RFC 9110, 8.6; only a chunked body can have trailers
        elif kind == FIELD_TRANSFER_ENCODING:
            raise RuntimeError(
                "response headers: transfer-encoding is the server's, which chunks what has no content-length: leave it out, "
                f"of fields that come from another response too, got {<object>value!r}"
            )
        elif kind == FIELD_CONNECTION:
            if has_token(v, value_size, b"close", 5):
                self.seen |= SEEN_CLOSE
            return place
        elif kind == FIELD_UPGRADE:
            if exchange.status != 426:
                return place
            self.seen |= SEEN_UPGRADE
        elif kind == FIELD_HOP_BY_HOP:
            return place
        elif kind == FIELD_DATE:
            self.seen |= SEEN_DATE
        elif kind == FIELD_SERVER:
            self.seen |= SEEN_SERVER
        elif kind == FIELD_HSTS:
            self.seen |= SEEN_HSTS
        elif exchange.request_id is not None:
            self.seen |= SEEN_REQUEST_ID
        memcpy(place, n, name_size)
        place += name_size
        place[0] = 58
        place[1] = 32
        memcpy(place + 2, v, value_size)
        place += value_size + 2
        place[0] = 13
        place[1] = 10
        return place + 2

    cdef int send_interim(self, Exchange exchange, int status, object headers) except -1:
        cdef bytes lines = _lines(interim(self.http, headers))
        if not self.http11 or exchange.response > RESPONSE_HEAD or self.transport.broken:
            return 0                    # RFC 9110, 15.2: HTTP/1.0 has no such responses
        self._interject(exchange, status, self.context.status_line(status, None) + lines + b"\r\n")
        return self.transport.flush()   # also where others are written together: an application that sends one is going to be busy

    cdef int _interject(self, Exchange exchange, int status, bytes message) except -1:
        """Append an interim response, before the head of the final one that may be held back."""
        cdef Transport transport = self.transport
        cdef OutQueue head
        head.head = head.tail = NULL
        head.pending = 0
        count_response(self.context.responses, status)
        exchange.bytes_out += PyBytes_GET_SIZE(<PyObject *>message)
        if transport.held:
            transport.pool.split_tail(&transport.out, transport.held, &head)
        out_copy(transport.pool, &transport.out, PyBytes_AS_STRING(<PyObject *>message), PyBytes_GET_SIZE(<PyObject *>message))
        if transport.held:
            try:
                out_copy(transport.pool, &transport.out, <char *>head.head.vector[0].iov_base, transport.held)
            finally:
                transport.pool.clear(&head)
        return 0

    cdef int discard_head(self, Exchange exchange) except -1:
        cdef Transport transport = self.transport
        # The head is the last piece of the queue's last scratch.
        transport.out.tail.vector[transport.out.tail.vectors - 1].iov_len -= transport.held
        if transport.out.tail.vector[transport.out.tail.vectors - 1].iov_len == 0:
            transport.out.tail.vectors -= 1
        transport.out.tail.length -= <unsigned int>transport.held
        transport.out.pending -= transport.held
        transport.held = 0
        exchange.status = 0
        return exchange._set_response(RESPONSE_NONE)

    cdef int _end_head(self, Exchange exchange, Py_ssize_t size, bint more) except -1:
        """Append what depends on the body: its framing, and whether the connection stays open."""
        cdef Transport transport = self.transport
        cdef char *start = out_reserve(transport.pool, &transport.out, END_ROOM)
        cdef char *place = start
        self.chunked = False
        count_response(self.context.responses, exchange.status)
        if exchange.status == 205:
            place = _put_text(place, b"content-length: 0\r\n", 19)
        elif not is_bodyless(exchange.status) and (exchange.declared < 0 or self.trailers):
            if not more and not (exchange.head_only and size == 0):
                place = _put_text(place, b"content-length: ", 16)
                place = _put_number(place, size, 10)
                place = _put_text(place, b"\r\n", 2)
                exchange.declared = size
            elif exchange.head_only:
                pass                    # a GET would say more than is known here
            elif self.http11:
                self.chunked = True
                place = _put_text(place, b"transfer-encoding: chunked\r\n", 28)
            else:
                self.keep_alive = False
        if self.http.draining or transport.last_request or (self.expects_continue and not exchange.body_complete):
            self.keep_alive = False     # RFC 9110, 10.1.1: a client that waits to send its body must know that it need not
        place = self._put_connection(place)
        place = _put_text(place, b"\r\n", 2)
        out_commit(&transport.out, place - start)
        exchange.bytes_out += transport.held + (place - start)
        if self.http.note_first_byte:
            exchange.first_byte_at = clock()
        transport.held = 0
        return exchange._set_response(RESPONSE_BODY)

    cdef char *_put_connection(self, char *place) noexcept:
        if self.seen & SEEN_UPGRADE:    # RFC 9110, 7.8
            if not self.keep_alive:
                return _put_text(place, b"connection: close, upgrade\r\n", 28)
            return _put_text(place, b"connection: keep-alive, upgrade\r\n", 33)
        if not self.keep_alive:
            return _put_text(place, b"connection: close\r\n", 19)
        return place if self.http11 else _put_text(place, b"connection: keep-alive\r\n", 24)

    cdef bint _is_open_ended(self, Exchange exchange) noexcept:
        """Whether a response has begun whose body only the end of the connection ends."""
        return exchange.declared < 0 and not self.chunked and exchange.response == RESPONSE_BODY and not has_no_content(exchange)

    cdef bint _admit(self, Exchange exchange, int64_t size, bint more) except -1:
        """Whether a piece of the body can still be sent; it fits what was declared, and the head is complete then."""
        if self.transport.broken:
            exchange.disconnected = True
            return False
        take_length(exchange, size)
        if exchange.response == RESPONSE_HEAD:
            self._end_head(exchange, size, more)
        return True

    cdef int send_body(self, Exchange exchange, object body, bint more) except -1:
        cdef Transport transport = self.transport
        cdef Py_ssize_t size = PyBytes_GET_SIZE(<PyObject *>body)
        cdef size_t queued
        cdef char *start
        cdef char *place
        if not self._admit(exchange, size, more):
            return 0
        queued = transport.out.pending
        if (size or self.chunked) and not has_no_content(exchange):
            if size <= OUT_COPY_LIMIT:
                start = place = out_reserve(transport.pool, &transport.out, size + 32)
                if self.chunked:
                    if size:
                        place = _put_number(place, size, 16)
                        place = _put_text(place, b"\r\n", 2)
                        place = _put(place, body)
                        place = _put_text(place, b"\r\n", 2)
                    if not more:
                        place = _put_text(place, b"0\r\n\r\n", 5)
                else:
                    place = _put(place, body)
                out_commit(&transport.out, place - start)
            else:
                if self.chunked:
                    start = out_reserve(transport.pool, &transport.out, 32)
                    place = _put_number(start, size, 16)
                    place = _put_text(place, b"\r\n", 2)
                    out_commit(&transport.out, place - start)
                transport.pool.reference(&transport.out, body, PyBytes_AS_STRING(<PyObject *>body), size)
                if self.chunked:
                    out_copy(transport.pool, &transport.out, b"\r\n0\r\n\r\n", 2 if more else 7)
        exchange.bytes_out += transport.out.pending - queued
        return self._piece_sent(exchange, more)

    cdef int send_file(self, Exchange exchange, int fd, int64_t offset, int64_t count, bint more) except -1:
        cdef Transport transport = self.transport
        cdef OutFile file = transport.pool.hold_file(fd)    # first: if it fails, nothing has happened
        cdef size_t queued
        cdef char *start
        cdef char *place
        if not self._admit(exchange, count, more):
            return 0
        queued = transport.out.pending
        if count and not has_no_content(exchange):
            if self.chunked:
                start = out_reserve(transport.pool, &transport.out, 32)
                place = _put_number(start, count, 16)
                place = _put_text(place, b"\r\n", 2)
                out_commit(&transport.out, place - start)
            transport.pool.reference_file(&transport.out, file, offset, count)
            if self.chunked:
                out_copy(transport.pool, &transport.out, b"\r\n", 2)
        if self.chunked and not more:
            out_copy(transport.pool, &transport.out, b"0\r\n\r\n", 5)
        exchange.bytes_out += transport.out.pending - queued
        return self._piece_sent(exchange, more)

    cdef int push(self, Exchange exchange) except -1:
        return self.transport.flush()

    cdef int send_trailers(self, Exchange exchange, object headers) except -1:
        cdef Transport transport = self.transport
        cdef bytes lines = _lines(checked(headers, True))
        if transport.broken:
            exchange.disconnected = True
            return 0
        if self.chunked and exchange.sent >= exchange.declared:
            lines = b"0\r\n%b\r\n" % (lines if self.trailers else b"")
            out_copy(transport.pool, &transport.out, PyBytes_AS_STRING(<PyObject *>lines), PyBytes_GET_SIZE(<PyObject *>lines))
            exchange.bytes_out += PyBytes_GET_SIZE(<PyObject *>lines)
        return self._piece_sent(exchange, False)

    cdef int _piece_sent(self, Exchange exchange, bint more) except -1:
        """A piece of the body is in the output queue."""
        cdef Transport transport = self.transport
        if more:
            if transport.unsent() >= self.http.write_high_water:
                transport.flush()
            elif transport.corked == 0:
                transport.flush_soon()
            return 0
        if is_short(exchange):
            return self.cut_short(exchange)
        exchange._set_response(RESPONSE_DONE)
        return self._response_done(exchange)

    cdef int cut_short(self, Exchange exchange) except -1:
        if self._is_open_ended(exchange):
            self.transport.reset()      # let the end not look like the body's
        self.keep_alive = False
        exchange.aborted = True
        if exchange.response != RESPONSE_BODY:
            exchange.status = 0         # it has not left
        exchange._set_response(RESPONSE_DONE)
        return self._response_done(exchange)

    cdef int _write_refusal(self, int status, int retry_after, bint head_only, bytes request_id) except -1:
        """Append a whole answer of the server's own, for which there is no exchange; `retry_after` in seconds, 0 leaves it out."""
        cdef Http1Context context = self.context
        cdef Transport transport = self.transport
        cdef Refusal refusal = context.refusal(status)
        cdef bytes more = b""
        cdef char *start
        cdef char *place
        if status == REDIRECT:
            more = self._location()
        elif context.hsts_line is not None and transport.scheme() == "https":
            more = context.hsts_line
        context.tick()
        self.seen = SEEN_UPGRADE if status == 426 else 0
        count_response(context.responses, status)
        start = place = out_reserve(
            transport.pool, &transport.out, END_ROOM + len(refusal.line) + len(context.default_lines) + len(refusal.fields) + len(more) + len(refusal.text)
            + (_size_of_id(context, request_id) if request_id is not None else 0)
        )
        place = _put(place, refusal.line)
        place = _put(place, context.default_lines)
        place = _put(place, refusal.fields)
        place = _put(place, more)
        if retry_after:
            place = _put_text(place, b"retry-after: ", 13)
            place = _put_number(place, retry_after, 10)
            place = _put_text(place, b"\r\n", 2)
        if request_id is not None:
            place = _put_id(place, context, request_id)
        place = self._put_connection(place)
        place = _put_text(place, b"\r\n", 2)
        if not head_only:
            place = _put(place, refusal.text)
        out_commit(&transport.out, place - start)
        return 0

    cdef bytes _location(self):
        """The field of a redirect."""
        raise NotImplementedError

    cdef bint writable(self, Exchange exchange) noexcept:
        return self.transport.unsent() < self.http.write_high_water

    cdef int _response_done(self, Exchange exchange) except -1:
        """The last byte of the response is in the output queue."""
        raise NotImplementedError
