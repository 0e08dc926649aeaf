# The messages of the specification's extensions, and granite's own extension.

cdef str _MORE_TRAILERS = "more_trailers"
cdef str _LINKS = "links"
cdef str _PATHSEND = "http.response.pathsend"
cdef str _ZEROCOPYSEND = "http.response.zerocopysend"
cdef str _EARLY_HINT = "http.response.early_hint"
cdef str _RESPONSE_TRAILERS = "http.response.trailers"
cdef str _TLS = "tls"
cdef str _REQUEST_TRAILERS = "granite.request.trailers"

# What is shared by all requests, as their scopes are copied: nobody has a reason to fill in an empty dictionary.
cdef dict _EXTENSIONS_OF_1_0 = {_PATHSEND: {}, _ZEROCOPYSEND: {}}
cdef dict _EXTENSIONS_OF_1_1 = {_EARLY_HINT: {}, _RESPONSE_TRAILERS: {}}

cdef dict _describe_tls(tuple tls):
    """The extension "tls", version 0.2. There is no error of a client's certificate: it would have ended the handshake."""
    certificate, version, cipher_suite, client = tls
    chain, name, _ = client if client is not None else ((), None, None)
    return {
        "server_cert": certificate, "client_cert_chain": list(chain), "client_cert_name": name, "client_cert_error": None,
        "tls_version": version, "cipher_suite": cipher_suite,
    }


cdef object _send_other(AsgiExchange self, object message, object kind):
    """What may come between the start and the end, besides the body."""
    if kind == _EARLY_HINT:
        return _send_hint(self, message)
    if not self.body_ended:
        if kind == _PATHSEND:
            return _send_path(self, message)
        if kind == _ZEROCOPYSEND:
            return _send_range(self, message)
        raise RuntimeError(f"expected the message 'http.response.body', got {kind!r}")
    if kind != _RESPONSE_TRAILERS:
        raise RuntimeError(f"expected the message 'http.response.trailers', as the start has announced, got {kind!r}")
    return _send_trailers(self, message)


cdef object _send_hint(AsgiExchange self, object message):
    cdef Protocol protocol = self.protocol
    cdef list fields = [(b"link", link) for link in _items(message, _LINKS, "bytes")]
    if fields:
        protocol.send_interim(self, 103, fields)
    return self._sent()


cdef object _send_path(AsgiExchange self, object message):
    cdef object path = message.get("path")
    if self.response != RESPONSE_HEAD:
        raise RuntimeError("'http.response.pathsend' is the whole body: it can't be mixed with other messages")
    if not isinstance(path, str):
        raise RuntimeError("'http.response.pathsend': expected 'path' to be a str, got " + _got(message, "path"))
    try:
        # The specification asks for an absolute path, but Starlette's FileResponse hands on what it was given.
        self.send_path(path, 0, -1, self.trailing)
    except (OSError, ValueError) as exc:
        # No OSError: that would mean that the client has gone.
        raise RuntimeError(f"'http.response.pathsend': {path!r} can't be sent: {exc}") from exc
    self.body_ended = True
    return self._sent()


cdef object _send_range(AsgiExchange self, object message):
    cdef object file = message.get("file")
    cdef object offset = message.get("offset")
    cdef object count = message.get("count")
    cdef bint more = bool(message.get(_MORE_BODY, False))
    cdef bint from_position = offset is None
    cdef int fd
    cdef int64_t sent
    for key, value in (("offset", offset), ("count", count)):
        if value is not None and (not isinstance(value, int) or value < 0):
            raise RuntimeError(f"'http.response.zerocopysend': expected {key!r} to be a number of bytes, got {value!r}")
    try:
        fd = file if isinstance(file, int) else file.fileno()
        if from_position:
            offset = os.lseek(fd, 0, os.SEEK_CUR) if isinstance(file, int) else file.tell()
        sent = self.send_range(fd, offset, -1 if count is None else count, more or self.trailing)
        if from_position and isinstance(file, int):
            os.lseek(fd, offset + sent, os.SEEK_SET)
        elif from_position:
            file.seek(offset + sent)
    except (OSError, ValueError, TypeError, AttributeError, OverflowError) as exc:
        raise RuntimeError(f"'http.response.zerocopysend': {file!r} can't be sent: {exc}") from exc
    self.body_ended = not more
    return self._sent()


cdef object _send_trailers(AsgiExchange self, object message):
    cdef Protocol protocol
    cdef PyObject *more = PyDict_GetItemWithError(message, _MORE_TRAILERS)
    cdef list fields = _items(message, _HEADERS, "pairs (name, value)")
    if self.sent_trailers is not None:
        fields = self.sent_trailers + fields
    if more is not NULL and bool(<object>more):
        self.sent_trailers = fields
        return _DONE
    protocol = self.carrier()
    protocol.send_trailers(self, fields)
    return self._sent()


cdef list _items(message, str key, str of):
    """What an iterable in a message holds."""
    try:
        return list(message[key])
    except (KeyError, TypeError):
        raise RuntimeError(f"{message[_TYPE]!r}: expected {key!r} to be an iterable of {of}, got {_got(message, key)}") from None
