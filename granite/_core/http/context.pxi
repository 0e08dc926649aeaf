# What all sessions of a server share.

# RFC 9110, 15, and the registry of status codes.
cdef dict _PHRASES = {
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
cdef dict _HEADER_MAPS = {"drop": HEADER_MAP_DROP, "refuse": HEADER_MAP_REFUSE, "dangerous": HEADER_MAP_DANGEROUS}
cdef tuple _DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
cdef tuple _MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# As transports tell it: the same object, but for chance.
cdef str _HTTP = sys.intern("http")


# What says something of a body; an answer that accepts a WebSocket has none.
cdef frozenset _OF_BODIES = frozenset((b"content-length", b"transfer-encoding", b"upgrade"))


cdef str phrase_of(int status):
    """The usual words for a status."""
    return _PHRASES.get(status, "")


cdef Rejection rejection_of(int status, bint in_body) noexcept:
    """Why requests are refused with this status."""
    if status == 408:
        return REJECTED_BODY_TIMEOUT if in_body else REJECTED_HEAD_TIMEOUT
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


cdef int too_long(Exchange exchange, int64_t size) except -1:
    raise RuntimeError(
        f"the response's body is longer than its content-length: {exchange.declared} declared, {exchange.sent + size} sent"
    )


cdef bint is_short(Exchange exchange) except -1:
    """Whether a response that ends now has less of a body than was declared, which is an error of the application."""
    if exchange.sent >= exchange.declared or has_no_content(exchange):
        return False
    _log.error(
        "the response's body is shorter than its content-length: %d declared, %d sent: %s",
        exchange.declared, exchange.sent, exchange.name(),
    )
    return True


cdef class WebSockets:
    """What HTTP asks of the protocol that takes a connection, or a stream, over."""

    cdef Handshake judge(self, list fields, bint is_http1):
        """What a request for a WebSocket says, and whether it is as it should be."""
        raise NotImplementedError

    cdef Session open(self, HttpContext http, Transport transport, Exchange exchange):
        """The WebSocket of an exchange whose handshake has been accepted, as the session of what carries its bytes."""
        raise NotImplementedError

    cdef void export(self, int64_t *snapshot) noexcept:
        """Write what there is to say of WebSockets into a server's snapshot."""
        pass


cdef class HttpContext:
    """Settings and caches of one server, for all versions of HTTP that it speaks.

    Parameters:
        interface: makes the exchanges.
        forwarding: what is believed of what proxies tell.
        rejections: where refused requests are counted.
        config: has the sections "HTTP", "Limits", "Timeouts" and "Overload".
        access_log: gets each request that has ended; or None.
    """

    def __init__(self, Interface interface, Forwarding forwarding, Rejections rejections, config, AccessLog access_log):
        self.interface = interface
        self.cache = ScopeCache()
        self.forwarding = forwarding
        self.rejections = rejections
        self.access_log = access_log
        if access_log is not None:
            self.note_first_byte = access_log.format.wants_first_byte
            self.note_fields = access_log.format.wants_fields
        self.max_field_size = config.max_field_size or config.max_head_size
        self.max_fields = config.max_fields or config.max_head_size
        self.max_head_size = config.max_head_size
        self.max_body_size = config.max_body_size or UINT64_MAX
        self.max_requests = config.max_requests_per_connection
        self.retry_after = config.retry_after
        self.rates = config.max_requests_per_ip > 0
        self.write_high_water = config.write_high_water
        self.write_low_water = config.write_low_water
        self.body_high_water = config.body_high_water
        self.server = config.server_header.encode("latin-1")
        self.hsts = config.ssl_hsts.encode("latin-1") if config.ssl_hsts else None
        self.date = b""
        self.header_map = _HEADER_MAPS[config.header_map]
        self.methods = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
        self.method_names = tuple([method.encode() for method in self.methods])
        self._set_timeouts(config)

    def _set_timeouts(self, config):
        self.timeouts.head = milliseconds(config.request_head_timeout)
        self.timeouts.handshake = milliseconds(config.ssl_handshake_timeout)
        self.timeouts.keep_alive = milliseconds(config.keep_alive_timeout)
        self.timeouts.body = milliseconds(config.request_body_timeout)
        self.timeouts.body_rate = config.min_body_rate
        self.timeouts.body_grace = milliseconds(config.min_body_rate_grace)
        self.timeouts.write = milliseconds(config.write_timeout)
        self.timeouts.connection = milliseconds(config.connection_timeout)
        self.timeouts.request = milliseconds(config.request_timeout)
        self.timeouts.grace = milliseconds(config.request_timeout_grace)

    def __dealloc__(self):
        cdef int i
        for i in range(NAME_SLOTS):
            Py_XDECREF(self.names[i].name)
            Py_XDECREF(self.names[i].lower)
        Py_XDECREF(self.long_name.lower)

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
        self.date = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month]} {year} {hour:02}:{minute:02}:{second:02} GMT".encode()
        return 0

    # requests

    cdef object method_of(self, const char *base, size_t size, int *status):
        """The method, which any token is (RFC 9110, 9.1): the application has to know it; or, with a status, why it is not served."""
        cdef size_t i
        cdef PyObject *name
        status[0] = 0
        for i in range(<size_t>PyTuple_GET_SIZE(<PyObject *>self.method_names)):
            name = PyTuple_GET_ITEM(<PyObject *>self.method_names, <Py_ssize_t>i)
            if <size_t>PyBytes_GET_SIZE(name) == size and memcmp(PyBytes_AS_STRING(name), base, size) == 0:
                return <object>PyTuple_GET_ITEM(<PyObject *>self.methods, <Py_ssize_t>i)
        if not is_token(base, size):
            status[0] = 400
            return "the method is no token"
        status[0] = 501
        if size > METHOD_LIMIT:
            return "the method is too long"
        for i in range(size):
            if 97 <= base[i] <= 122:    # methods have case (RFC 9110, 9.1), and ASGI's are upper case
                return "the method has small letters"
        method = PyUnicode_DecodeASCII(base, size, NULL)
        if method == "CONNECT" or method == "TRACE":
            return "the method is one that the server does not offer"
        status[0] = 0
        return method

    cdef bint check_host(self, object field) noexcept:
        """Whether a Host field, as the cache has made it, is a host with a port."""
        cdef PyObject *value
        if field is self.last_host:
            return True
        value = PyTuple_GET_ITEM(<PyObject *>field, 1)
        if not is_host(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)):
            return False
        self.last_host = field
        return True

    cdef int decline(self, Transport transport, const Address *client, int *retry_in) except -1:
        """The status with which a request of this client is answered, as there is no room for it, or another place, and when it is to come again, in
        seconds; or 0.
        """
        cdef Admission admission = self.interface.admission
        if self.rates:
            retry_in[0] = transport.must_wait(client)
            if retry_in[0]:
                return 429
        if transport.redirects:
            return REDIRECT
        if admission is not None and admission.turns_away():
            retry_in[0] = self.retry_after
            return 503
        return 0

    cdef int log_declined(self, object client, int status, Rejection reason) except -1:
        _log.info("%s: %d, %s", name_of(client), status, _why_declined(reason))
        return 0

    cdef Exchange new_exchange(
        self, Protocol protocol, Transport transport, list headers, const Forwarded *told, int64_t read_at, Handshake handshake=None
    ):
        """An exchange for a request whose head is complete; its version, its method and its target are still to be filled in."""
        cdef Exchange exchange = self.interface.new_exchange() if handshake is None else self.interface.new_websocket()
        cdef RequestIds ids = self.interface.request_ids
        exchange.protocol = protocol
        exchange.handshake = handshake
        exchange.headers = headers
        exchange.read_at = read_at
        exchange.began_at = clock() if read_at else coarse_clock()
        exchange.scheme = transport.scheme()
        exchange.client = transport.client()
        exchange.secure = exchange.scheme is not _HTTP and exchange.scheme == "https"
        if exchange.secure:
            exchange.tls = transport.tls()
        exchange.server = transport.server()
        exchange.trusted = transport.trusted
        if told is not NULL:
            self.forwarding.apply(told, exchange)
        if ids is not None:
            ids.give(exchange)
        return exchange

    cdef Exchange record(self, Transport transport, list headers, uint32_t forwarded):
        """What the access log hears of a request that never became an exchange; `forwarded`, the fields that proxies have filled in, if the head is
        complete: in a part of it the client could name itself."""
        cdef Exchange exchange = Exchange.__new__(Exchange)
        cdef Forwarded told
        exchange.client = transport.client()
        exchange.server = transport.server()
        exchange.scheme = transport.scheme()
        exchange.secure = exchange.scheme is not _HTTP and exchange.scheme == "https"
        exchange.headers = headers
        if forwarded and headers is not None:
            self.forwarding.read(headers, forwarded, &told)
            self.forwarding.apply(&told, exchange)
        return exchange

    # responses

    cdef FieldKind kind_of(self, PyObject *name) noexcept:
        """What a field of a response is to the server, by its name; that is looked at once, as long as it is the same object."""
        cdef FieldName *slot = &self.names[(<size_t>name >> 4) % NAME_SLOTS]
        if slot.name is name:
            return slot.kind
        if PyBytes_GET_SIZE(name) > NAME_LIMIT:
            return _kind_of(self, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        Py_INCREF(name)
        Py_XDECREF(slot.name)
        Py_XDECREF(slot.lower)
        slot.lower = NULL
        slot.name = name
        slot.kind = _kind_of(self, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        return slot.kind

    cdef const FieldName *name_of(self, PyObject *name) except NULL:
        """The same, and the name in lower case; good until it is asked again."""
        cdef FieldName *slot = &self.names[(<size_t>name >> 4) % NAME_SLOTS]
        cdef FieldKind kind = self.kind_of(name)
        if slot.name is not name:
            slot = &self.long_name
            slot.kind = kind
            Py_XDECREF(slot.lower)
            slot.lower = NULL
        if slot.lower is NULL:
            lower = (<object>name).lower()
            Py_INCREF(<PyObject *>lower)
            slot.lower = <PyObject *>lower
        return slot

    # bodies that come slowly

    cdef void begin_pace(self, Pace *pace, uint64_t now, size_t size) noexcept:
        """From now on a body is read, of which `size` bytes have come."""
        pace.at = now
        if pace.elapsed == 0:
            pace.surplus = self._most_surplus(size)

    cdef void note_pace(self, Pace *pace, uint64_t now, size_t size) noexcept:
        """More of it has come."""
        pace.surplus = self._most_surplus(pace.surplus // 1000 + size) - <int64_t>(now - pace.at) * self.timeouts.body_rate
        pace.elapsed += now - pace.at
        pace.at = now

    cdef int64_t _most_surplus(self, int64_t size) noexcept:
        """What `size` bytes are worth. A client that was fast may pause for a while, and not live on it for ever."""
        return min(size * 1000, self.timeouts.body_rate * <int64_t>max(self.timeouts.body, self.timeouts.body_grace))

    cdef uint64_t pace_deadline(self, const Pace *pace) noexcept:
        """When the body that is being read has paused for too long, or is too slow, if nothing more comes."""
        cdef Timeouts *timeouts = &self.timeouts
        cdef uint64_t deadline = pace.at + timeouts.body if timeouts.body else 0
        cdef int64_t left
        if timeouts.body_rate:
            # It may be over already: what came last did not make up for what was missing.
            left = max(<int64_t>(timeouts.body_grace - pace.elapsed), pace.surplus // timeouts.body_rate + 1)
            deadline = earlier(deadline, pace.at + left)
        return deadline

    cdef str late_body(self, const Pace *pace, uint64_t now):
        """Why a body is given up whose deadline has come."""
        if self.timeouts.body and now >= pace.at + self.timeouts.body:
            return f"nothing came of the request's body for {self.timeouts.body / 1000.0:g} s"
        return f"the request's body came with less than {self.timeouts.body_rate} bytes per second"

    # WebSockets

    cdef list fields_of_accept(self, Exchange exchange, str subprotocol, list headers):
        """The fields of the answer that accepts a handshake: those of the protocol, and the application's."""
        cdef Handshake handshake = exchange.handshake
        cdef list fields = []
        cdef bytes lower
        if handshake.accept is not None:
            fields.append((b"sec-websocket-accept", handshake.accept))
        if subprotocol is not None:
            fields.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
        if handshake.extensions is not None:
            fields.append((b"sec-websocket-extensions", handshake.extensions))
        for name, value in checked(headers, False):
            lower = name.lower()
            if lower.startswith(b"sec-websocket-"):
                raise RuntimeError(f"the fields that accept a WebSocket: {lower.decode('latin-1')} is the server's")
            if lower not in _OF_BODIES:
                fields.append((name, value))
        return fields

    # requests that take too long

    cdef uint64_t request_deadline(self, Exchange exchange) noexcept:
        if _waits_for_answer(exchange) and self.websockets.handshake_timeout:
            return exchange.began_at // 1000000 + self.websockets.handshake_timeout
        return exchange.began_at // 1000000 + self.timeouts.request if self.timeouts.request else 0

    cdef str late_request(self, Exchange exchange):
        """Why a request is given up that took too long; its call gets a grace from now on."""
        self.interface.overran(exchange)
        if _waits_for_answer(exchange):
            return f"the application did not answer the handshake in time: {exchange.name()}"
        return f"the request took longer than {self.timeouts.request / 1000.0:g} s: {exchange.name()}"


cdef bint _waits_for_answer(Exchange exchange) noexcept:
    """Whether a client has asked for a WebSocket, and was told nothing yet."""
    return exchange.handshake is not None and (exchange.response == RESPONSE_NONE or exchange.response == RESPONSE_HEAD)


cdef uint64_t milliseconds(double seconds) noexcept:
    """A timeout; one that is not 0 does not become 0, which is none."""
    return <uint64_t>(seconds * 1000) or (seconds > 0)
