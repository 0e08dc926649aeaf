# The parsing half: the head of a request as llhttp tells it, piece by piece.

cdef const char *_PROTOCOL = b"HTTP"


# A callback that fails leaves its exception set: llhttp runs no Python code and returns at once, and _execute() raises it then.

cdef int _cb_llhttp_protocol(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    return (<RequestReader>parser.data)._on_protocol(base, size)


cdef int _cb_llhttp_url(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    cdef RequestReader self = <RequestReader>parser.data
    return self._append(&self.target, base, size)


cdef int _cb_llhttp_header_field(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    cdef RequestReader self = <RequestReader>parser.data
    return self._append(&self.name, base, size)


cdef int _cb_llhttp_header_value(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    cdef RequestReader self = <RequestReader>parser.data
    return self._append(&self.value, base, size)


cdef int _cb_llhttp_header_value_complete(llhttp.llhttp_t *parser) except -1:
    return (<RequestReader>parser.data)._on_field()


cdef int _cb_llhttp_chunk_extension(llhttp.llhttp_t *parser, const char *base, size_t size) except -1:
    return (<RequestReader>parser.data)._on_framing(size)


cdef class RequestReader(ResponseWriter):
    """Collects a request's target and fields, and says what is wrong with them.

    Spans stay where they were read as long as they can; what a read's end cuts in two is copied into the scratch.
    """

    def __dealloc__(self):
        PyMem_RawFree(self.c_scratch)

    cdef int _begin_head(self) except -1:
        self.target.size = self.name.size = self.value.size = 0
        self.target.kept = self.name.kept = self.value.kept = False
        self.scratch_size = 0
        self.head_size = self.framing_size = 0
        self.hosts = self.codings = 0
        self.protocol_size = 0
        self.error = 0
        self.expects_continue = False
        self.fields = []
        return 0

    cdef int _on_protocol(self, const char *base, size_t size) except -1:
        # llhttp speaks RTSP and ICE as well.
        if self.protocol_size + size > 4 or memcmp(base, &_PROTOCOL[self.protocol_size], size) != 0:
            self.error = 400
            return llhttp.HPE_USER
        self.protocol_size += size
        return 0

    cdef int _append(self, Span *span, const char *base, size_t size) except -1:
        """Add to a span, which stays where it was read as long as it can."""
        if self.state != SESSION_BODY:
            self.head_size += size
        elif self._on_framing(size):    # trailers
            return llhttp.HPE_USER
        self.error = self._check_size(span, size)
        if self.error:
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

    cdef int _check_size(self, Span *span, size_t more) noexcept:
        """The status to refuse the request with if `more` bytes of this span are too many, or 0."""
        cdef size_t line
        if span is &self.target:
            # With the method, two blanks and the version.
            line = span.size + more + strlen(llhttp.llhttp_method_name(<llhttp.llhttp_method_t>self.parser.method)) + 10
            return 414 if line > self.context.max_request_line or self.head_size > self.context.max_head_size else 0
        line = self.name.size + self.value.size + more + 2
        return 431 if line > self.context.max_field_size or self.head_size > self.context.max_head_size else 0

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

    cdef int _keep_all(self) except -1:
        self._keep(&self.target)
        self._keep(&self.name)
        return self._keep(&self.value)

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
        if self.framing_size > self.context.max_head_size:
            self.error = 431
            return llhttp.HPE_USER
        return 0

    cdef int _on_field(self) except -1:
        cdef const char *value = self._bytes_of(&self.value)
        cdef size_t size = self.value.size
        cdef int known
        while size and (value[size - 1] == 32 or value[size - 1] == 9):
            size -= 1
        field = self.context.cache.field(self._bytes_of(&self.name), self.name.size, value, size, &known)
        if self.fields is None:
            self.fields = []            # the first trailer
        if PyList_GET_SIZE(<PyObject *>self.fields) >= self.context.max_fields:
            self.error = 431
            return llhttp.HPE_USER
        if self.state == SESSION_BODY:
            self.name.size = self.value.size = self.scratch_size = 0
            self.name.kept = self.value.kept = False
            # RFC 9110, 6.5.1: what may not be a trailer is never seen, lest somebody takes it for a field of the head.
            if field[0] not in _NO_TRAILERS:
                self.fields.append(field)
            return self._on_framing(4)
        self.fields.append(field)
        self.head_size += 4             # colon, blank, line end
        if known:
            self.error = self._on_known_field(known, value, size)
            if self.error:
                return llhttp.HPE_USER
        # The target's bytes come first in the scratch; a field's are not needed any more.
        self.scratch_size = self.target.start + self.target.size if self.target.kept else 0
        self.name.size = self.value.size = 0
        self.name.kept = self.value.kept = False
        return 0

    cdef int _on_known_field(self, int known, const char *value, size_t size) except -1:
        """Take note of a field that says something to the server; the status to refuse the request with, or 0."""
        if known == NAME_HOST:
            self.hosts += 1
            return 0 if is_host(value, size) else 400
        if known == NAME_EXPECT:
            if size != 12 or not _equals(value, b"100-continue", 12):
                return 417
            self.expects_continue = True
            return 0
        # RFC 9112, 6.1: no other coding is understood, and none twice.
        self.codings += 1
        if self.codings > 1:
            return 400
        return 0 if size == 7 and _equals(value, b"chunked", 7) else 501

    cdef int _check_head(self) except -1:
        """The status to refuse the request with, now that its head is complete, or 0."""
        self.http11 = self.parser.http_minor == 1
        if self.parser.http_major != 1 or self.parser.http_minor > 1:
            return 505
        if self.hosts > 1 or (self.hosts == 0 and self.http11):
            return 400                  # RFC 9112, 3.2
        if self.codings and not self.http11:
            return 400                  # RFC 9112, 6.1: the framing of such a message is faulty
        if not is_target(self._bytes_of(&self.target), self.target.size, self.parser.method == llhttp.HTTP_OPTIONS):
            return 400                  # RFC 9112, 3.2
        return 501 if self.parser.method == llhttp.HTTP_CONNECT else 0

    cdef int _set_target(self, Exchange exchange) except -1:
        """Split the request target (RFC 9112, 3.2) into path and query."""
        cdef const char *base = self._bytes_of(&self.target)
        cdef const char *end = base + self.target.size
        cdef const char *found
        if base[0] != 47 and base[0] != 42:     # absolute-form: behind the authority
            found = <const char *>memchr(base, 58, end - base)
            base = found + 3 if found is not NULL and end - found > 3 else end
            while base < end and base[0] != 47 and base[0] != 63:
                base += 1
        found = <const char *>memchr(base, 63, end - base)
        if found is NULL:
            exchange.query_string = b""
        else:
            exchange.query_string = PyBytes_FromStringAndSize(found + 1, end - found - 1)
            end = found
        if base == end:
            base = b"/"
            end = base + 1
        exchange.raw_path, exchange.path = self.context.cache.path(base, end - base)
        return 0
