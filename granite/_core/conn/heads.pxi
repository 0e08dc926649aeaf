# Heads in pieces. What has come of a head is kept as it came, and a session reads it from the start when there is more of it.

cdef enum Preface:                      # RFC 9113, 3.4
    PREFACE_NOT
    PREFACE_PART
    PREFACE

cdef enum:
    PATIENCE = 16                       # a head that comes in pieces is looked at again when it has grown by this fraction


cdef Preface _preface_in(const char *data, size_t size) noexcept:
    """Whether a connection begins as one of HTTP/2 does."""
    cdef size_t length = 24
    if memcmp(data, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", min(size, length)) != 0:
        return PREFACE_NOT
    return PREFACE if size >= length else PREFACE_PART


cdef bint _is_http1(const char *data, size_t size) noexcept:
    """Whether the first line is one of HTTP/1.x, as far as it has come."""
    cdef const char *end = <const char *>memchr(data, 10, size)
    cdef size_t length = end - data if end is not NULL else size
    while length and data[length - 1] == 13:
        length -= 1
    return length > 9 and memcmp(data + length - 9, b" HTTP/1.", 8) == 0


@cython.no_gc
cdef class HeadKeeper(AcceptedStream):
    """Feeds what is read to a session, and keeps the beginning of a head in its place."""

    cdef Session _lend(self, const char *data, size_t size):
        """The session for what has been read; None where it can't be told yet which one, or none is for it."""
        cdef Session session = self.session
        cdef ConnectionHost host = self.host
        cdef Preface preface
        if session is not None:
            return session
        if self.requests == 0 and host.http2 is not None and not self.redirects:
            if self.layer is not None:
                preface = PREFACE if self.layer.http2 else PREFACE_NOT
            else:
                preface = _preface_in(data, size)
            if preface == PREFACE_PART:
                self.keep(data, size)
                return None
            if preface == PREFACE:
                return self._lend_http2()
            if host.only_http2 and _is_http1(data, size):
                self._refuse_http1()
                return None
            if host.only_http2:
                return self._lend_http2()
        return self._lend_http1()

    cdef Session _lend_http2(self):
        cdef Session session = self.host.http2.session(self)
        self.session = session
        if self.host.http.draining or self.last_request:
            session.drain()             # it is new, and was told nothing yet
        return session

    cdef Session _lend_http1(self):
        cdef Session session = self.session
        if session is None:
            session = self.session = self.host.http1.session(self)
            session.served = self.requests
        return session

    cdef int _refuse_http1(self) except -1:
        """A request came where only HTTP/2 is spoken: tell the client in its own language."""
        cdef bytes answer = self.host.http1.no_http1()
        if self.host.rejections.note(REJECTED_BAD_REQUEST):
            _log.info("%s: 505, what came is no HTTP/2", name_of(self.client()))
        out_copy(self.pool, &self.out, answer, len(answer))
        return self.shut(True)

    cdef int _feed(self, const char *data, size_t size) except -1:
        cdef Session session = self._lend(data, size)
        if session is None:
            return 0
        session.read_at = self.reactor.polled_at
        self.corked += 1
        try:
            session.feed(data, size)
        finally:
            self.corked -= 1
        return 0

    cdef int keep(self, const char *base, size_t size) except -1:
        cdef char *kept
        self.head_tried = <uint32_t>size
        if base == self.c_head:         # the same as before, longer
            return 0
        kept = <char *>PyMem_RawMalloc(size)
        if kept is NULL:
            raise MemoryError()
        memcpy(kept, base, size)
        self.c_head = kept
        self.head_size = <uint32_t>size
        self.host.heads += 1
        # Its deadline counts from its first byte on, however slowly the rest comes.
        return self._wait(WAITING_HEAD)

    cdef int _on_more_head(self, const char *data, size_t size) except -1:
        cdef uint32_t before = self.head_size
        cdef char *grown = <char *>PyMem_RawRealloc(self.c_head, before + size)
        if grown is NULL:
            raise MemoryError()
        memcpy(grown + before, data, size)
        self.c_head = grown
        self.head_size += <uint32_t>size
        # Reading it anew with each byte would cost the square of its size.
        before -= min(before, 2)
        if self.head_size - self.head_tried < self.head_tried // PATIENCE and not has_head_end(grown + before, self.head_size - before):
            return 0
        self._feed_head()
        return self._settle()

    cdef int _feed_head(self) except -1:
        """Have a session look at what is kept; keep() says that it is still not enough."""
        cdef char *fed = self.c_head
        self.head_tried = 0
        try:
            self._feed(fed, self.head_size)
        finally:
            if self.c_head is not fed:  # the next one, behind it
                PyMem_RawFree(fed)
                self.host.heads -= 1
            elif self.head_tried == 0:
                self._drop_head()
        return 0

    cdef int _give_head_up(self, int status, str why) except -1:
        """The rest of a head does not come."""
        cdef Session session
        self._feed_head()               # what has come since the last look may be wrong, which says more
        if self.c_head is not NULL:
            session = self._lend_http1()
            self._drop_head()
            (<Http1Session>session).refuse(status, why)
        return self._settle()

    cdef void _drop_head(self) noexcept:
        if self.c_head is not NULL:
            PyMem_RawFree(self.c_head)
            self.c_head = NULL
            self.host.heads -= 1

    # for the connection to fill in

    cdef int _wait(self, Waiting waiting) except -1:
        raise NotImplementedError

    cdef int _settle(self) except -1:
        raise NotImplementedError
