# What the access log hears of requests, those that never became an exchange among them.

cdef enum:
    LOG_AHEAD = 16384                   # bytes of responses that are logged before they are written


cdef class LoggedSession(RequestReader):
    """Tells the access log of each request once, when it is known what has become of it."""

    cdef int closed_within(self, const char *head, size_t size) except -1:
        """The connection has closed, and all that came of a request is this."""
        if self.http.access_log is None:
            return 0
        self._begin_head()
        self._keep_line(head, head + size)
        self.raw_size = size
        return self._log_cut(_record_of(self))

    cdef int _keep_line(self, const char *base, const char *end) except -1:
        """What came in a request line's place."""
        cdef const char *found = <const char *>memchr(base, 10, end - base)
        if found is not NULL:
            end = found
        if <size_t>(end - base) > self.context.max_request_line:
            end = base + self.context.max_request_line
        self.line = PyBytes_FromStringAndSize(base, end - base)
        return 0

    cdef int _log_done(self, Exchange exchange) except -1:
        """A response is complete, and logged when the socket has taken it; of a small one, which is about to be written, that is taken for granted."""
        cdef Transport transport = self.transport
        exchange.bytes_in = self.raw_size
        if self.unlogged is not None:
            self.log_sent(0)            # this one comes behind it
        if transport.unsent() > <size_t>(LOG_AHEAD if transport.corked and not transport.broken else 0):
            self.unlogged = exchange
        else:
            self.http.access_log.append(exchange)
        return 0

    cdef int log_sent(self, size_t lost) except -1:
        cdef Exchange exchange = self.unlogged
        self.unlogged = None
        if lost:
            exchange.aborted = True
            exchange.bytes_out = max(exchange.bytes_out - <int64_t>lost, 0)
        self.http.access_log.append(exchange)
        return 0

    cdef int _log_cut(self, Exchange exchange) except -1:
        """A request has no answer, or not all of one, and gets no more."""
        if self.http.access_log is None:
            return 0
        if exchange.response != RESPONSE_BODY:
            exchange.status = 0
        exchange.bytes_in = self.raw_size
        exchange.bytes_out = max(exchange.bytes_out - <int64_t>self.unsent, 0)
        exchange.aborted = True
        self.http.access_log.append(exchange)
        return 0


cdef Exchange _record_of(RequestReader reader):
    """What is known of a request that is refused, which may be no more than that it came."""
    cdef Exchange exchange = reader.http.record(reader.transport, reader.fields, reader.forwarded if reader.declined else 0)
    exchange.head_only = reader.head_only
    if reader.method is not None:
        exchange.method = reader.method
        exchange.http_version = _HTTP11 if reader.http11 else _HTTP10
        _set_raw_target(exchange, PyBytes_FromStringAndSize(reader.target, reader.target_size))
    elif reader.line is not None:
        _split_line(exchange, reader.line)
    return exchange


cdef int _split_line(Exchange exchange, bytes line) except -1:
    """Take a request line apart that need not be one."""
    method, blank, target = line.rstrip(b"\r\n").partition(b" ")
    exchange.method = method.decode("ascii", "surrogateescape")
    if blank:
        before, mark, version = target.rpartition(b" HTTP/")
        if mark:
            exchange.http_version = version.decode("ascii", "surrogateescape")
        _set_raw_target(exchange, before if mark else target)
    return 0


cdef int _set_raw_target(Exchange exchange, bytes target) except -1:
    exchange.raw_path, mark, query = target.partition(b"?")
    exchange.query_string = query if mark else None
    return 0
