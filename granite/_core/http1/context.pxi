# What all sessions of a server share.

cdef str _HEAD = "HEAD"
cdef str _OPTIONS = "OPTIONS"


cdef class Refusal:
    """What never changes in the server's own answers with one status."""


cdef class Http1Context:
    """What is HTTP/1.1's own of a server, and its spare sessions.

    Parameters:
        http: what is shared with other versions.
        config: has the sections "HTTP" and "Limits".
    """

    def __init__(self, HttpContext http, config):
        self.http = http
        self.one_request = not config.http1_keep_alive
        self.max_request_line = min(config.max_request_line or config.max_head_size, config.max_head_size)
        self.server_line = b"server: %b\r\n" % http.server if http.server else b""
        self.hsts_line = b"strict-transport-security: %b\r\n" % http.hsts if http.hsts is not None else None
        self.date_line = self.default_lines = b""
        self.refusals = [None] * REFUSALS
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
            session.http = self.http
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
        session.successor = None
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
        """Bring the line of the Date field up to date."""
        cdef HttpContext http = self.http
        http.tick()
        if self.date_at != http.date_at:
            self.date_at = http.date_at
            self.date_line = b"date: %b\r\n" % http.date
            self.default_lines = self.date_line + self.server_line
        return 0

    cdef bytes status_line(self, int status, bytes reason):
        """The status line; the reason is the usual one unless it is given."""
        if status != self.last_status or reason is not self.last_reason:
            self.last_status_line = b"HTTP/1.1 %d %b\r\n" % (status, phrase_of(status).encode() if reason is None else reason)
            self.last_status = status
            self.last_reason = reason
        return self.last_status_line

    cdef Refusal refusal(self, int status):
        """The answer with this status, an error's."""
        cdef Refusal refusal = self.refusals[status - FIRST_REFUSAL]
        if refusal is None:
            refusal = self.refusals[status - FIRST_REFUSAL] = Refusal.__new__(Refusal)
            refusal.line = self.status_line(status, None)
            refusal.text = phrase_of(status).encode()
            refusal.fields = b"content-type: text/plain\r\ncontent-length: %d\r\n" % len(refusal.text)
            if status == 426:           # RFC 6455, 4.4; RFC 9110, 15.5.22
                refusal.fields += b"sec-websocket-version: 13\r\nupgrade: websocket\r\n"
        return refusal

    cdef bytes no_tls(self):
        """The answer to a request without TLS where only that is spoken."""
        return self._farewell(400, b"This port speaks HTTPS. Your request came over plain HTTP.\n")

    cdef bytes no_http1(self):
        """The answer to a request where only HTTP/2 is spoken."""
        return self._farewell(505, b"This port speaks HTTP/2 only.\n")

    cdef bytes _farewell(self, int status, bytes text):
        self.tick()
        count_response(self.responses, status)
        return b"%b%bcontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (
            self.refusal(status).line, self.default_lines, len(text), text
        )

    cdef bytes turned_away(self):
        """The answer to a connection that is one too many; the same for a second."""
        cdef Refusal refusal
        self.tick()
        if self.farewell_at != self.date_at:
            refusal = self.refusal(429)
            retry = b"retry-after: %d\r\n" % self.http.retry_after if self.http.retry_after else b""
            self.farewell = b"%b%b%b%bconnection: close\r\n\r\n%b" % (
                refusal.line, self.default_lines, refusal.fields, retry, refusal.text
            )
            self.farewell_at = self.date_at
        count_response(self.responses, 429)
        return self.farewell
