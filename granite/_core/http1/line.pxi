# The request line, which is read here: llhttp knows a list of methods, takes several blanks for one, and no form of targets from another.

cdef str _PROXY_HEADER = "a header of the PROXY protocol came (see proxy_protocol)"


cdef str _what_came(const char *base, size_t size):
    """What a line is that has octets of no line: another protocol means that somebody has set something wrong."""
    if base[0] == 22:
        return "a TLS handshake came, on a connection without TLS (see ssl_certificate)"
    if size > 3 and memcmp(base, b"\0\r\nQ", 4) == 0:     # behind two lines' ends: version 2
        return _PROXY_HEADER
    return "the request line has an octet that is not allowed there"


cdef class LineReader(ResponseWriter):
    """Reads `method SP request-target SP HTTP-version CRLF` (RFC 9112, 3), to the letter.

    A head is always read in one piece, so the line lies where it was read until the exchange is made.
    """

    cdef int _begin_line(self) except -1:
        self.method = self.line = None
        self.head_only = False
        self.error = self.declined = 0
        return 0

    cdef int _deny(self, int status, str why) noexcept:
        """Say how the request is refused. llhttp's callbacks end with what this returns."""
        self.error = status
        self.why = why
        return llhttp.HPE_USER

    cdef const char *_read_line(self, const char *base, const char *end) except? NULL:
        """The place behind the request line, or NULL if it is not complete, or if `error` says why it is none."""
        cdef const char *place
        cdef const char *stop = end
        if <size_t>(end - base) > self.context.max_request_line:
            stop = base + self.context.max_request_line
        place = granite_skip_printable(base, stop)
        if place == end:
            return NULL
        if place[0] != 13:
            if place == stop and 32 <= <unsigned char>place[0] < 127:
                self._deny(414, "the request line is larger than max_request_line" if self.context.max_request_line < self.http.max_head_size
                           else "the request line is larger than max_head_size")
            else:
                self._deny(400, _what_came(base, end - base))
            return NULL
        place += 1
        if place == end:
            return NULL
        if place[0] != 10:
            self._deny(400, "the request line has a CR that is no line's end")
            return NULL
        self._on_line(base, place - base - 1)
        return place + 1 if self.error == 0 else NULL

    cdef int _on_line(self, const char *base, size_t size) except -1:
        """The line is complete; an empty one leaves `method` None."""
        cdef const char *space
        cdef const char *version
        if size == 0:
            return 0
        version = base + size - 9 if size >= 12 else base
        space = <const char *>memchr(base, 32, size)
        if space is NULL or space == base or version < space + 2 or memcmp(version, b" HTTP/", 6) != 0 or version[7] != 46 \
                or not is_digit(version[6]) or not is_digit(version[8]) \
                or memchr(space + 1, 32, version - space - 1) is not NULL:
            if size > 6 and memcmp(base, b"PROXY ", 6) == 0:
                return self._deny(400, _PROXY_HEADER)
            return self._deny(400, "the request line is not a method, a target and a version with a space between")
        if version[6] != 49 or version[8] > 49:
            return self._deny(505, "the version is not 1.0 or 1.1")
        self.http11 = version[8] == 49
        self.target = space + 1
        self.target_size = version - space - 1
        if self._set_method(base, space - base):
            return 0
        return self._split_target(self.target, self.target_size)

    cdef int _set_method(self, const char *base, size_t size) except -1:
        cdef int status
        found = self.http.method_of(base, size, &status)
        if status:
            return self._deny(status, found)
        self.method = found
        self.head_only = found is _HEAD
        return 0

    cdef int _split_target(self, const char *base, size_t size) except -1:
        """Tell the form of a request target (RFC 9112, 3.2) and its parts, which are remembered as distances from its start."""
        cdef const char *end = base + size
        cdef const char *path = base
        cdef const char *query
        self.authority_size = 0
        self.is_https = False
        if memchr(base, 35, size) is not NULL:
            return self._deny(400, "the target has a fragment")
        if base[0] != 47:
            if size == 1 and base[0] == 42 and self.method is _OPTIONS:
                self.path_at, self.path_size = 0, 1
                self.query_at = 1
                return 0
            path = self._split_authority(base, end)
            if path is NULL:
                return 0
        query = <const char *>memchr(path, 63, end - path)
        if query is NULL:
            query = end
        if not is_decodable(path, query - path):
            return self._deny(400, "the target's path has a percent sign without two hexadecimal digits")
        self.path_at = path - base
        self.path_size = query - path
        self.query_at = query - base
        return 0

    cdef const char *_split_authority(self, const char *base, const char *end) except? NULL:
        """Where the path of a target in absolute-form begins, or NULL if it is none."""
        cdef const char *authority
        cdef const char *path
        if end - base > 7 and equals_lower(base, b"http", 4) and memcmp(base + 4, b"://", 3) == 0:
            authority = base + 7
        elif end - base > 8 and equals_lower(base, b"https", 5) and memcmp(base + 5, b"://", 3) == 0:
            authority = base + 8
            self.is_https = True
        else:
            self._deny(400, "the target is no path, and no URI of http or https")
            return NULL
        path = authority
        while path < end and path[0] != 47 and path[0] != 63:
            path += 1
        # RFC 9110, 4.2.1: a host there must be; 4.2.4: userinfo is an error, which it is by the syntax of Host.
        if path == authority or authority[0] == 58 or not is_host(authority, path - authority):
            self._deny(400, "the target's authority is no host with a port")
            return NULL
        self.authority_at = authority - base
        self.authority_size = path - authority
        return path

    cdef int _set_target(self, Exchange exchange) except -1:
        """Give the exchange the target's path and query."""
        cdef const char *base = self.target
        cdef size_t size = self.target_size
        exchange.query_string = PyBytes_FromStringAndSize(base + self.query_at + 1, size - self.query_at - 1) if self.query_at < size else b""
        if self.path_size:
            exchange.raw_path, exchange.path = self.http.cache.path(base + self.path_at, self.path_size)
        elif self.query_at == size and self.method is _OPTIONS:
            # RFC 9112, 3.2.4: who is the last on the way makes this asterisk-form.
            exchange.raw_path, exchange.path = b"*", "*"
        else:
            exchange.raw_path, exchange.path = b"/", "/"
        return 0
