# Fields of responses, as applications give them.

# RFC 9110, 6.5.1: a trailer comes too late for what says how a message is framed, routed, authenticated, cached or read.
cdef frozenset _NO_TRAILERS = frozenset((
    b"age", b"authorization", b"cache-control", b"connection", b"content-encoding", b"content-length",
    b"content-range", b"content-type", b"cookie", b"date", b"expect", b"expires", b"host", b"if-match", b"if-modified-since",
    b"if-none-match", b"if-range", b"if-unmodified-since", b"keep-alive", b"location", b"max-forwards", b"pragma",
    b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"range", b"retry-after",
    b"set-cookie", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"vary", b"www-authenticate",
))


cdef bint is_no_trailer(object name) except -1:
    return name.lower() in _NO_TRAILERS


cdef inline bint _is_hop_by_hop(const char *name, Py_ssize_t size) noexcept:
    """RFC 9110, 7.6.1: what is said of a connection is for the server to say."""
    if size == 10:
        return equals_lower(name, b"keep-alive", 10)
    if size == 16:
        return equals_lower(name, b"proxy-connection", 16)
    return size == 2 and equals_lower(name, b"te", 2)


cdef list _as_list(object given):
    try:
        return list(given)
    except TypeError:
        raise RuntimeError(f"response headers: expected an iterable of pairs (name, value), got {given!r}") from None


cdef list plain(object headers):
    """The fields as a list of pairs of plain bytes, whatever the application gave."""
    cdef list fields = []
    for field in _as_list(headers):
        if not isinstance(field, (tuple, list)):
            field = _as_list(field)
        fields.append(tuple([bytes(part) if isinstance(part, bytes) else part for part in field]))
    return fields


cdef int no_pair(object field) except -1:
    """Say what is wrong with a field."""
    cdef PyObject *name
    cdef PyObject *value
    if not parts(<PyObject *>field, &name, &value):
        raise RuntimeError(f"response headers: expected pairs (name, value), got {field!r}")
    raise RuntimeError(f"response headers: expected names and values to be bytes, got {field!r}")


cdef Py_ssize_t size_of_fields(object headers) noexcept:
    """The bytes of the fields' lines; -1 if they do not come as nearly all applications give them: a list or tuple of pairs of plain bytes."""
    cdef PyObject *field
    cdef PyObject *name
    cdef PyObject *value
    cdef Py_ssize_t size = 0
    cdef Py_ssize_t i = 0
    if not PyList_CheckExact(<PyObject *>headers) and not PyTuple_CheckExact(<PyObject *>headers):
        return -1
    while True:
        field = field_at(<PyObject *>headers, i)
        if field is NULL:
            return size
        if not parts(field, &name, &value) or not PyBytes_CheckExact(name) or not PyBytes_CheckExact(value):
            return -1
        size += PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + 4
        i += 1


cdef list checked(object headers, bint trailers):
    """Pairs of bytes that can be sent as they are: the fields of what is no response head, an interim response or `trailers`."""
    cdef PyObject *name
    cdef PyObject *value
    cdef list fields = []
    for field in plain(headers):
        pair(field, &name, &value)
        if not is_token(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)) or not is_value(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)):
            raise RuntimeError(f"headers: a name must be a token and a value must not hold CR, LF or NUL, got {field!r}")
        if trailers and is_no_trailer(<bytes>name):
            raise RuntimeError(f"headers: {(<bytes>name).decode()} must not be a trailer (RFC 9110, section 6.5.1)")
        fields.append((<bytes>name, (<bytes>value).strip(b" \t")))
    return fields


cdef list interim(HttpContext http, object headers):
    """The fields of an interim response, without those that say how a message is framed, or something of the connection (RFC 9110, 7.6.1 and 8.6)."""
    cdef FieldKind kind
    cdef list fields = []
    for field in checked(headers, False):
        kind = http.kind_of(PyTuple_GET_ITEM(<PyObject *>field, 0))
        if kind != FIELD_CONTENT_LENGTH and kind != FIELD_TRANSFER_ENCODING and kind != FIELD_CONNECTION and kind != FIELD_UPGRADE and kind != FIELD_HOP_BY_HOP:
            fields.append(field)
    return fields


cdef FieldKind _kind_of(HttpContext context, const char *name, Py_ssize_t size) noexcept:
    """What a field of a response is to the server."""
    cdef RequestIds ids = context.interface.request_ids
    if not is_token(name, size):
        return FIELD_INVALID
    if size == 14 and equals_lower(name, b"content-length", 14):
        return FIELD_CONTENT_LENGTH
    if size == 17 and equals_lower(name, b"transfer-encoding", 17):
        return FIELD_TRANSFER_ENCODING
    if size == 10 and equals_lower(name, b"connection", 10):
        return FIELD_CONNECTION
    if size == 7 and equals_lower(name, b"upgrade", 7):
        return FIELD_UPGRADE
    if _is_hop_by_hop(name, size):
        return FIELD_HOP_BY_HOP
    if size == 4 and equals_lower(name, b"date", 4):
        return FIELD_DATE
    if size == 6 and equals_lower(name, b"server", 6):
        return FIELD_SERVER
    if size == 25 and equals_lower(name, b"strict-transport-security", 25):
        return FIELD_HSTS
    if ids is not None and size == PyBytes_GET_SIZE(<PyObject *>ids.name) and equals_lower(name, PyBytes_AS_STRING(<PyObject *>ids.name), size):
        return FIELD_REQUEST_ID
    return FIELD_OTHER


cdef int64_t length_of(object value) except -1:
    """The number of a Content-Length field (RFC 9110, 8.6)."""
    cdef int64_t length = number_of(PyBytes_AS_STRING(<PyObject *>value), PyBytes_GET_SIZE(<PyObject *>value))
    if length < 0:
        raise RuntimeError(f"response headers: expected content-length to be a number of bytes, got {value!r}")
    return length
