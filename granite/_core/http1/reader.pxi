# The fields of a request, and the framing of its body, as llhttp tells them piece by piece.

# A callback that fails leaves its exception set: llhttp runs no Python code and returns at once, and _execute() raises it then.

cdef int _cb_llhttp_header_field(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    cdef RequestReader self = <RequestReader>parser.data
    return self._append(&self.name, base, size)


cdef int _cb_llhttp_header_value(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    cdef RequestReader self = <RequestReader>parser.data
    return self._append(&self.value, base, size)


cdef int _cb_llhttp_header_value_complete(llhttp.llhttp_t *parser) except -1:
    return (<RequestReader>parser.data)._on_field()


cdef int _cb_llhttp_extension_name(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    return (<RequestReader>parser.data)._on_extension(base, size, False)


cdef int _cb_llhttp_extension_value(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    return (<RequestReader>parser.data)._on_extension(base, size, True)


cdef int _cb_llhttp_extension_complete(llhttp.llhttp_t *parser) except -1:
    return (<RequestReader>parser.data)._on_extension_complete()


cdef class RequestReader(LineReader):
    """Collects a request's fields, and says what is wrong with them.

    Spans stay where they were read. A trailer that a read's end cuts in two is copied into the scratch.
    """

    def __dealloc__(self):
        PyMem_RawFree(self.c_scratch)

    cdef int _set_state(self, SessionState state) except -1:
        if GRANITE_IS_DEBUG:
            assert state == SESSION_CLOSING or (
                state == (SESSION_IDLE if self.state == SESSION_COMPLETE else <int>self.state + 1)
            ) or (state == SESSION_IDLE and self.state == SESSION_HEAD), (self.state, state)
        self.state = state
        return 0

    cdef int _begin_head(self) except -1:
        self._begin_line()
        self.name.size = self.value.size = 0
        self.name.kept = self.value.kept = False
        self.scratch_size = 0
        self.raw_size = self.head_size = self.framing_size = self.extension_size = 0
        self.hosts = self.codings = self.connection = 0
        self.field_lines = 0
        self.forwarded = 0
        self.upgrade = False
        self.expects_continue = False
        self.fields = []
        return 0

    cdef int _begin_fields(self) except -1:
        """The request line is complete: llhttp goes on behind one of its own."""
        self.parser = self.context.behind_line
        self.parser.data = <void *>self
        self.parser.http_minor = self.http11
        return 0

    cdef int _append(self, Span *span, const char *base, size_t size) except -1:
        """Add to a span, which stays where it was read as long as it can."""
        # Where llhttp is, blanks and line ends included; it tells of an empty value behind its line's end.
        if self.state != SESSION_BODY:
            self.head_size = self.raw_size + (base + size - self.read_base) - (2 if size == 0 else 0)
        elif self._on_framing(size):    # trailers
            return llhttp.HPE_USER
        elif self.declined:             # the head is still needed, and nothing else is
            return 0
        if self._check_size(size):
            return llhttp.HPE_USER
        if span.size == 0:
            span.base = base
            span.size = size
            return 0
        if not span.kept:
            if span.base + span.size == base:
                span.size += size
                return 0
            self._keep(span)
        if self.scratch_size + size > self.scratch_capacity:
            self._grow_scratch(size)
        memcpy(self.c_scratch + self.scratch_size, base, size)
        self.scratch_size += size
        span.size += size
        return 0

    cdef int _check_size(self, size_t more) noexcept:
        """Refuse the request if `more` bytes of this span are too many."""
        if self.head_size > self.http.max_head_size:
            return self._deny(431, "the request's head is larger than max_head_size")
        if self.name.size + self.value.size + more + 2 > self.http.max_field_size:
            return self._deny(431, "a field is larger than max_field_size")
        return 0

    cdef int _keep(self, Span *span) except -1:
        """Copy a span into the scratch, as the buffer that it lies in goes."""
        if span.size == 0 or span.kept:
            return 0
        if self.scratch_size + span.size > self.scratch_capacity:
            self._grow_scratch(span.size)
        memcpy(self.c_scratch + self.scratch_size, span.base, span.size)
        span.start = self.scratch_size
        span.kept = True
        self.scratch_size += span.size
        return 0

    cdef int _grow_scratch(self, size_t size) except -1:
        cdef size_t capacity = 2 * (self.scratch_size + size) + 256
        cdef char *grown = <char *>PyMem_RawRealloc(self.c_scratch, capacity)
        if grown is NULL:
            raise MemoryError()
        self.c_scratch = grown
        self.scratch_capacity = capacity
        return 0

    cdef const char *_bytes_of(self, Span *span) noexcept:
        if span.size == 0:
            return b""
        if span.kept:
            return self.c_scratch + span.start
        return span.base

    cdef int _on_framing(self, size_t size) except -1:
        """Chunk extensions are not used, but neither they nor trailers may be endless."""
        self.framing_size += size
        if self.framing_size > self.http.max_head_size:
            return self._deny(431, "the chunk extensions or trailers are larger than max_head_size")
        return 0

    cdef int _on_extension(self, const char *base, size_t size, bint is_value) except -1:
        """RFC 9112, 7.1.1: a name is a token, a value one or a quoted string. llhttp also takes none, and a quote inside of a token."""
        if self.extension_size == 0 and size:
            self.extension_quoted = is_value and base[0] == 34
        self.extension_size += size
        if is_value and not self.extension_quoted and memchr(base, 34, size) is not NULL:
            return self._deny(400, "a chunk extension's value is neither a token nor a quoted string")
        return self._on_framing(size)

    cdef int _on_extension_complete(self) except -1:
        if self.extension_size == 0:
            return self._deny(400, "a chunk extension is empty")
        self.extension_size = 0
        return 0

    cdef int _on_field(self) except -1:
        cdef const char *value = self._bytes_of(&self.value)
        cdef size_t size = self.value.size
        cdef bint is_trailer = self.state == SESSION_BODY
        cdef int known
        if is_trailer and self.declined:
            return 0
        while size and (value[size - 1] == 32 or value[size - 1] == 9):
            size -= 1
        field = self.http.cache.field(self._bytes_of(&self.name), self.name.size, value, size, &known)
        if self.fields is None:         # the first trailer
            self.fields = []
            self.field_lines = 0
        self.field_lines += 1
        if self.field_lines > self.http.max_fields:
            return self._deny(431, "there are more fields than max_fields")
        if known == NAME_UNDERSCORED and self.http.header_map != HEADER_MAP_DANGEROUS:
            if self.http.header_map == HEADER_MAP_REFUSE:
                return self._deny(400, "a field's name has an underscore")
        # RFC 9110, 6.5.1: what may not be a trailer is never seen, lest somebody takes it for a field of the head.
        elif not is_trailer or not is_no_trailer(field[0]):
            self.fields.append(field)
        if known > NAME_UNDERSCORED and not is_trailer and self._on_known_field(known, field, value, size):
            return llhttp.HPE_USER
        self.scratch_size = 0
        self.name.size = self.value.size = 0
        self.name.kept = self.value.kept = False
        return self._on_framing(4) if is_trailer else 0

    cdef int _on_known_field(self, int known, object field, const char *value, size_t size) except -1:
        """Take note of a field that says something to the server."""
        if known == NAME_CONNECTION:
            if has_token(value, size, b"close", 5):
                self.connection |= ASKED_TO_CLOSE
            if has_token(value, size, b"keep-alive", 10):
                self.connection |= ASKED_TO_STAY
            return 0
        if known == NAME_HOST:
            self.hosts += 1
            self.host_at = len(self.fields) - 1
            if self.hosts > 1:
                return self._deny(400, "there are several Host fields")     # RFC 9112, 3.2
            return 0 if self.http.check_host(field) else self._deny(400, "the value of Host is no host with a port")
        if known == NAME_EXPECT:
            if not is_continue(value, size):
                return self._deny(417, "the client expects something else than 100-continue")
            if has_token(value, size, b"100-continue", 12):
                self.expects_continue = True
            return 0
        if known == NAME_UPGRADE:
            self.upgrade = self.upgrade or has_token(value, size, b"websocket", 9)
            return 0
        if known & NAME_FORWARDED:
            if self.transport.trusted:
                self.forwarded |= <uint32_t>1 << (known - NAME_FORWARDED)
            return 0
        self.codings += 1
        if self.codings > 1:
            return self._deny(400, "there are several Transfer-Encoding fields")
        if memchr(value + size, 9, self.value.size - size) is not NULL:
            return self._deny(400, "there is a tab behind the transfer coding")     # which llhttp does not take either, but later
        return self._check_coding(value, size)

    cdef int _check_coding(self, const char *value, size_t size) except -1:
        """RFC 9112, 6.1 and 6.3: no other coding than chunked is understood, and where it is not the last one nothing is."""
        cdef int status = judge_coding(value, size)
        if status == 0:
            return 0
        return self._deny(status, "a transfer coding is not known" if status == 501 else "the transfer coding is not chunked")

    cdef int _check_head(self) except -1:
        """Judge the head as a whole."""
        if self.head_size + 4 > self.http.max_head_size:
            return self._deny(431, "the request's head is larger than max_head_size")
        if self.hosts == 0 and self.http11:
            return self._deny(400, "there is no Host field")    # RFC 9112, 3.2
        if self.codings and not self.http11:
            return self._deny(400, "there is a transfer coding in HTTP/1.0")    # RFC 9112, 6.1: such framing is faulty
        if self.parser.content_length >> 63:
            return self._deny(400, "the value of Content-Length is too large")
        if self.authority_size:
            # RFC 9110, 7.4: who asks for an https resource has to have come by TLS, be it to a proxy of ours.
            if self.is_https and not self.transport.trusted and self.transport.scheme() != "https":
                return self._deny(421, "the target is an https URI, and the connection is not secured")
            self._set_host()
        if self.transport.redirects and self._host_size() == 0:
            return self._deny(400, "there is no host whose TLS the client could be sent to")
        return 0

    cdef int _set_host(self) except -1:
        """RFC 9112, 3.2.2: the authority of the target is the host, whatever the field says."""
        cdef int known
        cdef const char *base = self.target + self.authority_at
        field = self.http.cache.field(b"host", 4, base, self.authority_size, &known)
        if self.hosts:
            self.fields[self.host_at] = field
        else:
            self.fields.insert(0, field)
            self.host_at = 0
        return 0

    cdef Py_ssize_t _host_size(self) except -1:
        """The octets of the host without its port, which has been found right; 0 if there is none."""
        cdef const char *base
        cdef const char *stop
        cdef Py_ssize_t size
        if self.hosts == 0 and self.authority_size == 0:
            return 0
        value = self.fields[self.host_at][1]
        base, size = PyBytes_AS_STRING(<PyObject *>value), PyBytes_GET_SIZE(<PyObject *>value)
        if size and base[0] == 91:
            return <const char *>memchr(base, 93, size) + 1 - base
        stop = <const char *>memchr(base, 58, size)
        return size if stop is NULL else stop - base

    cdef bytes _location(self):
        """The field by which the client finds the same place over TLS."""
        cdef int port = self.context.secure_port
        cdef bytes host = self.fields[self.host_at][1][:self._host_size()]
        cdef bytes rest = self.target[self.path_at:self.target_size]
        if self.path_size == 0 or rest == b"*":
            rest = b"/" + rest[self.path_size:]
        return b"location: https://%b%b%b\r\n" % (host, b"" if port == 443 or port == 0 else b":%d" % port, rest)
