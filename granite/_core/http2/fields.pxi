# The fields of a request, as nghttp2 tells them one by one.

cdef int _cb_nghttp2_header(
    nghttp2.nghttp2_session *session, const nghttp2.nghttp2_frame *frame, nghttp2.nghttp2_rcbuf *name, nghttp2.nghttp2_rcbuf *value, uint8_t flags,
    void *user
) except -902:
    cdef StreamRequest stream = _stream_of(session, frame.hd.stream_id)
    cdef nghttp2.nghttp2_vec n = nghttp2.nghttp2_rcbuf_get_buf(name)
    cdef nghttp2.nghttp2_vec v = nghttp2.nghttp2_rcbuf_get_buf(value)
    if stream is not None:
        stream._on_field(<const char *>n.base, n.len, <const char *>v.base, v.len)
    return _verdict(user)


cdef int _cb_nghttp2_invalid_header(
    nghttp2.nghttp2_session *session, const nghttp2.nghttp2_frame *frame, nghttp2.nghttp2_rcbuf *name, nghttp2.nghttp2_rcbuf *value, uint8_t flags,
    void *user
) except -902:
    cdef StreamRequest stream = _stream_of(session, frame.hd.stream_id)
    (<LimitedSession>user)._account(ABUSE_FIELDS)
    if stream is not None and not stream.malformed:
        # RFC 9113, 8.1.1: nghttp2 would leave the field out.
        stream.malformed = True
        nghttp2.nghttp2_submit_rst_stream(session, nghttp2.NGHTTP2_FLAG_NONE, frame.hd.stream_id, nghttp2.NGHTTP2_PROTOCOL_ERROR)
    return _verdict(user)


cdef class StreamRequest(StreamResponse):
    """Collects a request's fields, and says what is wrong with them.

    nghttp2 has made sure of what RFC 9113, 8.2 and 8.3 ask for: lower case, no field of a connection, each pseudo-field once and before the others, a
    length that is the body's.
    """

    cdef int _deny(self, int status, str why) noexcept:
        """Say how the request is refused; the first reason counts."""
        if self.error == 0:
            self.error = status
            self.why = why
        return 0

    cdef int _on_field(self, const char *name, size_t name_size, const char *value, size_t value_size) except -1:
        cdef int known
        self.head_size += name_size + value_size + FIELD_OVERHEAD
        if self.head_size > self.context.max_head_size:
            self.fields = None          # what is left of it costs nothing more
            if self.head_size > BOMB * self.context.max_head_size:
                self.session._end(nghttp2.NGHTTP2_ENHANCE_YOUR_CALM, REJECTED_HTTP2_FIELDS, "the request's fields are many times too large")
            return self._deny(431, "the request's fields are larger than http2_max_headers_size or max_head_size")
        if self.error:
            return 0
        if name[0] == 58:
            return self._on_pseudo_field(name, name_size, value, value_size)
        if name_size + value_size + 2 > self.http.max_field_size:
            return self._deny(431, "a field is larger than max_field_size")
        if self.cookie_at < 0 or self.in_trailers or name_size != 6 or memcmp(name, b"cookie", 6) != 0:
            self.field_lines += 1       # else it is a piece of the one that is there (RFC 9113, 8.2.3)
        if self.field_lines > self.http.max_fields:
            return self._deny(431, "there are more fields than max_fields")
        field = self.http.cache.field(name, name_size, value, value_size, &known)
        if known == NAME_UNDERSCORED and self.http.header_map != HEADER_MAP_DANGEROUS:
            return self._deny(400, "a field's name has an underscore") if self.http.header_map == HEADER_MAP_REFUSE else 0
        if known and not self.in_trailers:
            return self._on_known_field(known, field, value, value_size)
        # RFC 9110, 6.5.1: what may not be a trailer is never seen, lest somebody takes it for a field of the head.
        if not self.in_trailers or not is_no_trailer(field[0]):
            self.fields.append(field)
        return 0

    cdef int _on_pseudo_field(self, const char *name, size_t name_size, const char *value, size_t value_size) except -1:
        cdef int status
        cdef int known
        if name_size == 5:              # :path
            return self._on_target(value, value_size)
        if name[1] == 109:              # :method
            found = self.http.method_of(value, value_size, &status)
            if status == 501 and value_size == 7 and memcmp(value, b"CONNECT", 7) == 0:
                found = _CONNECT        # with a path it is an extended one (RFC 8441, 4), without one refused as it has none
            elif status:
                return self._deny(status, found)
            self.method = found
        elif name[1] == 97:             # :authority
            self.authority = self.http.cache.field(b"host", 4, value, value_size, &known)
            if not self.http.check_host(self.authority):
                return self._deny(400, "the value of :authority is no host with a port")
        elif name[1] == 112:            # :protocol; nghttp2 lets it pass where the settings have offered it
            if value[:value_size].lower() != b"websocket":
                return self._deny(501, "the protocol of a CONNECT is one that the server does not offer")
            self.is_tunnel = True
            self.session.incomplete -= 1        # which has no end that anybody waits for
        return 0

    cdef int _on_target(self, const char *base, size_t size) except -1:
        cdef const char *end = base + size
        cdef const char *query = <const char *>memchr(base, 63, size)
        if size > self.context.max_path:
            return self._deny(414, "the path is larger than max_request_line")
        if granite_skip_printable(base, end) is not end:
            return self._deny(400, "the path has an octet that is not allowed there")
        if memchr(base, 35, size) is not NULL:
            return self._deny(400, "the target has a fragment")
        if query is NULL:
            query = end
        if not is_decodable(base, query - base):
            return self._deny(400, "the target's path has a percent sign without two hexadecimal digits")
        self.query_string = PyBytes_FromStringAndSize(query + 1, end - query - 1) if query < end else b""
        self.raw_path, self.path = self.http.cache.path(base, query - base)
        return 0

    cdef int _on_known_field(self, int known, object field, const char *value, size_t size) except -1:
        """Take note of a field that says something to the server."""
        if known == NAME_COOKIE:        # RFC 9113, 8.2.3
            if self.cookie_at < 0:
                self.cookie_at = len(self.fields)
            elif self.cookies is None:
                self.cookies = [self.fields[self.cookie_at][1], field[1]]
                return 0
            else:
                self.cookies.append(field[1])
                return 0
        elif known == NAME_CONTENT_LENGTH:
            self.content_length = number_of(value, size)
        elif known == NAME_EXPECT:
            if not is_continue(value, size):
                return self._deny(417, "the client expects something else than 100-continue")
            self.expects_continue = has_token(value, size, b"100-continue", 12)
        elif known == NAME_HOST:
            # RFC 9113, 8.3.1: a Host that differs from the authority is none of this server's choosing.
            if self.authority is None:
                self.authority = field
                return 0 if self.http.check_host(field) else self._deny(400, "the value of Host is no host with a port")
            if field is not self.authority and self._normal(field[1]) != self._normal(self.authority[1]):
                return self._deny(400, "the value of Host is another than that of :authority")
            return 0
        elif known & NAME_FORWARDED and self.transport.trusted:
            self.forwarded |= <uint32_t>1 << (known - NAME_FORWARDED)
        self.fields.append(field)
        return 0

    cdef bytes _normal(self, bytes host):
        """RFC 3986, 6.2.3: without the scheme's own port."""
        return host.lower().removesuffix(b":443" if self.transport.scheme() == "https" else b":80")

    cdef int _check_head(self) except -1:
        """Judge the head as a whole."""
        cdef bytes cookie
        if self.fields is None or self.error:
            return 0
        if self.cookies is not None:
            cookie = b"; ".join(self.cookies)
            if <size_t>len(cookie) + 8 > self.http.max_field_size:
                return self._deny(431, "a field is larger than max_field_size")
            self.fields[self.cookie_at] = (b"cookie", cookie)
        if self.authority is not None:
            self.fields.insert(0, self.authority)
        if self.method is None or self.path is None:
            return self._deny(501, "the method is one that the server does not offer")
        if <uint64_t>max(self.content_length, 0) > self.http.max_body_size:
            return self._deny(413, "the request's body is larger than max_body_size")
        return 0
