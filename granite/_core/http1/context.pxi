# What all sessions of a server share.

# RFC 9110, 15, and the registry of status codes.
cdef dict _REASONS = {
    100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints", 200: "OK", 201: "Created", 202: "Accepted",
    203: "Non-Authoritative Information", 204: "No Content", 205: "Reset Content", 206: "Partial Content", 207: "Multi-Status",
    208: "Already Reported", 226: "IM Used", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other",
    304: "Not Modified", 305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request",
    401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
    411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long",
    415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed", 418: "I'm a teapot",
    421: "Misdirected Request", 422: "Unprocessable Content", 423: "Locked", 424: "Failed Dependency", 425: "Too Early",
    426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported", 506: "Variant Also Negotiates",
    507: "Insufficient Storage", 508: "Loop Detected", 510: "Not Extended", 511: "Network Authentication Required",
}
cdef str _HEAD = "HEAD"
cdef str _OPTIONS = "OPTIONS"
cdef dict _HEADER_MAPS = {"drop": HEADER_MAP_DROP, "refuse": HEADER_MAP_REFUSE, "dangerous": HEADER_MAP_DANGEROUS}
cdef tuple _DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
cdef tuple _MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


cdef Rejection _reason_of(int status, SessionState state) noexcept:
    """Why requests are refused with this status."""
    if status == 408:
        return REJECTED_BODY_TIMEOUT if state == SESSION_BODY else REJECTED_HEAD_TIMEOUT
    if status == 504:
        return REJECTED_REQUEST_TIMEOUT
    if status == 413:
        return REJECTED_BODY_SIZE
    return REJECTED_HEAD_SIZE if status == 414 or status == 431 else REJECTED_BAD_REQUEST


cdef str _why_declined(Rejection reason):
    """What a line of the log says of a request that could be served another time."""
    if reason == REJECTED_REQUESTS_PER_IP:
        return "more requests than max_requests_per_ip allows"
    if reason == REJECTED_QUEUE_TIME:
        return "no turn within max_queue_time"
    return "more requests at once than backpressure allows"


cdef class Refusal:
    """What never changes in the server's own answers with one status."""


cdef class Http1Context:
    """Settings, caches and spare sessions of one server's HTTP/1.1.

    Parameters:
        interface: makes the exchanges.
        cache: strings that requests share.
        forwarding: what is believed of what proxies tell.
        rejections: where refused requests are counted.
        config: has `server_header`, `http1_keep_alive`, `header_map`, `write_high_water`, `body_high_water` (bytes) and the sections
            "Limits" and "Overload".
        access_log: gets each request that has ended; or None.
    """

    def __init__(
        self, Interface interface, ScopeCache cache, Forwarding forwarding, Rejections rejections, config, AccessLog access_log
    ):
        self.interface = interface
        self.cache = cache
        self.forwarding = forwarding
        self.rejections = rejections
        self.one_request = not config.http1_keep_alive
        self.max_request_line = min(config.max_request_line or config.max_head_size, config.max_head_size)
        self.max_field_size = config.max_field_size or config.max_head_size
        self.max_fields = config.max_fields or config.max_head_size
        self.access_log = access_log
        if access_log is not None:
            self.note_first_byte = access_log.format.wants_first_byte
            self.note_fields = access_log.format.wants_fields
        self.max_head_size = config.max_head_size
        self.max_body_size = config.max_body_size or UINT64_MAX
        self.max_requests = config.max_requests_per_connection
        self.retry_after = config.retry_after
        self.rates = config.max_requests_per_ip > 0
        self.write_high_water = config.write_high_water
        self.body_high_water = config.body_high_water
        self.server_line = b"server: " + config.server_header.encode("latin-1") + b"\r\n" if config.server_header else b""
        self.hsts_line = b"strict-transport-security: " + config.ssl_hsts.encode("latin-1") + b"\r\n" if config.ssl_hsts else None
        self.date_line = self.default_lines = b""
        self.refusals = [None] * REFUSALS
        self.header_map = _HEADER_MAPS[config.header_map]
        self.methods = ("GET", "POST", _HEAD, "PUT", "DELETE", _OPTIONS, "PATCH")
        self.method_names = tuple([method.encode() for method in self.methods])
        llhttp.llhttp_settings_init(&self.settings)
        self.settings.on_header_field = _cb_llhttp_header_field
        self.settings.on_header_value = _cb_llhttp_header_value
        self.settings.on_header_value_complete = _cb_llhttp_header_value_complete
        self.settings.on_chunk_extension_name = _cb_llhttp_extension_name
        self.settings.on_chunk_extension_name_complete = _cb_llhttp_extension_complete
        self.settings.on_chunk_extension_value = _cb_llhttp_extension_value
        self.settings.on_chunk_extension_value_complete = _cb_llhttp_extension_complete
        self.settings.on_headers_complete = _cb_llhttp_headers_complete
        self.settings.on_body = _cb_llhttp_body
        self.settings.on_message_complete = _cb_llhttp_message_complete
        llhttp.llhttp_init(&self.behind_line, llhttp.HTTP_REQUEST, &self.settings)
        if llhttp.llhttp_execute(&self.behind_line, b"POST / HTTP/1.1\r\n", 17) != llhttp.HPE_OK:
            raise RuntimeError("llhttp does not know a request line")

    def __dealloc__(self):
        cdef int i
        for i in range(NAME_SLOTS):
            Py_XDECREF(self.names[i].name)

    cdef FieldKind kind_of(self, PyObject *name) noexcept:
        """What a field of a response is to the server, by its name; that is looked at once, as long as it is the same object."""
        cdef FieldName *slot = &self.names[(<size_t>name >> 4) % NAME_SLOTS]
        if slot.name is name:
            return slot.kind
        if PyBytes_GET_SIZE(name) > NAME_LIMIT:
            return _kind_of(self, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        Py_INCREF(name)
        Py_XDECREF(slot.name)
        slot.name = name
        slot.kind = _kind_of(self, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        return slot.kind

    cdef Http1Session session(self, Transport transport):
        """A session for a connection on which a request begins."""
        cdef Http1Session session
        if self.spare is not None:
            session = self.spare
            self.spare = session.next_spare
            session.next_spare = None
            self.spares -= 1
        else:
            session = Http1Session.__new__(Http1Session)
            session.context = self
        session.transport = transport
        session.state = SESSION_IDLE
        session.messages = 0
        session.unsent = 0
        session.input_ended = False
        self.live += 1
        return session

    cdef int give_back(self, Http1Session session) except -1:
        """Take a session back whose connection is idle or closed."""
        session.transport = None
        session.exchange = session.unlogged = None
        session.fields = None
        session.suspended = session.feeding = False
        session._drop_pending()
        self.live -= 1
        if self.spares < SPARE_SESSIONS:
            session.next_spare = self.spare
            self.spare = session
            self.spares += 1
        return 0

    cdef int tick(self) except -1:
        """Bring the Date field up to date; it changes once a second (RFC 9110, 6.6.1)."""
        cdef timespec clock
        cdef time_t now
        clock_gettime(CLOCK_REALTIME, &clock)       # not time(), which may be a tick of the kernel behind
        now = clock.tv_sec
        if self.date_at == now:
            return 0
        self.date_at = now
        year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(now)
        self.date_line = (
            f"date: {_DAYS[weekday]}, {day:02} {_MONTHS[month]} {year} {hour:02}:{minute:02}:{second:02} GMT\r\n".encode()
        )
        self.default_lines = self.date_line + self.server_line
        return 0

    cdef bytes status_line(self, int status, bytes reason):
        """The status line; the reason is the usual one unless it is given."""
        if status != self.last_status or reason is not self.last_reason:
            self.last_status_line = b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, "").encode() if reason is None else reason)
            self.last_status = status
            self.last_reason = reason
        return self.last_status_line

    cdef Refusal refusal(self, int status):
        """The answer with this status, an error's."""
        cdef Refusal refusal = self.refusals[status - FIRST_REFUSAL]
        if refusal is None:
            refusal = self.refusals[status - FIRST_REFUSAL] = Refusal.__new__(Refusal)
            refusal.line = self.status_line(status, None)
            refusal.text = _REASONS[status].encode()
            refusal.fields = b"content-type: text/plain\r\ncontent-length: %d\r\n" % len(refusal.text)
        return refusal

    cdef bytes no_tls(self):
        """The answer to a request without TLS where only that is spoken."""
        cdef bytes text = b"This port speaks HTTPS. Your request came over plain HTTP.\n"
        self.tick()
        count_response(self.responses, 400)
        return b"%b%bcontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (
            self.refusal(400).line, self.default_lines, len(text), text
        )

    cdef bytes turned_away(self):
        """The answer to a connection that is one too many; the same for a second."""
        cdef Refusal refusal
        self.tick()
        if self.farewell_at != self.date_at:
            refusal = self.refusal(429)
            retry = b"retry-after: %d\r\n" % self.retry_after if self.retry_after else b""
            self.farewell = b"%b%b%b%bconnection: close\r\n\r\n%b" % (
                refusal.line, self.default_lines, refusal.fields, retry, refusal.text
            )
            self.farewell_at = self.date_at
        count_response(self.responses, 429)
        return self.farewell
