"""Strings that requests share: names of header fields, whole fields, paths.

Owns one direct-mapped cache of each, per reactor; a newcomer evicts whoever sat in its slot, so the memory is bounded however odd the
traffic is. Values of fields that may hold a secret are never kept. Knows neither protocols nor interfaces. Runs on the reactor's
thread.
"""

from cpython.object cimport PyObject
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy
from granite._core.capi.python cimport (
    Py_INCREF, Py_XDECREF, PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, PyTuple_GET_ITEM,
    PyUnicode_DecodeLatin1, PyUnicode_DecodeUTF8,
)

# Fields whose values say something about the client's software or the address it asked for, and nothing secret.
cdef frozenset _SHAREABLE = frozenset((
    b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"connection", b"content-length",
    b"content-type", b"dnt", b"expect", b"host", b"origin", b"pragma", b"priority", b"sec-websocket-extensions",
    b"sec-websocket-version", b"te", b"transfer-encoding", b"upgrade", b"upgrade-insecure-requests", b"user-agent", b"x-forwarded-host",
    b"x-forwarded-port", b"x-forwarded-proto", b"x-requested-with",
))

cdef dict _KNOWN = {
    b"content-length": NAME_CONTENT_LENGTH, b"cookie": NAME_COOKIE,
    b"connection": NAME_CONNECTION, b"expect": NAME_EXPECT, b"host": NAME_HOST, b"transfer-encoding": NAME_TRANSFER_ENCODING,
    b"upgrade": NAME_UPGRADE,
    b"forwarded": NAME_FORWARDED, b"x-forwarded-for": NAME_X_FORWARDED_FOR, b"x-forwarded-proto": NAME_X_FORWARDED_PROTO,
    b"x-forwarded-host": NAME_X_FORWARDED_HOST, b"x-forwarded-port": NAME_X_FORWARDED_PORT,
    b"x-forwarded-prefix": NAME_X_FORWARDED_PREFIX, b"x-real-ip": NAME_X_REAL_IP,
}


cdef inline unsigned char _lower(unsigned char c) noexcept nogil:
    return c + 32 if 65 <= c <= 90 else c


cdef inline int _hex(unsigned char c) noexcept nogil:
    if 48 <= c <= 57:
        return c - 48
    c = _lower(c)
    return c - 87 if 97 <= c <= 102 else -1


cdef inline uint64_t _load(const char *base, size_t size) noexcept nogil:
    """The first up to eight bytes as a number."""
    cdef uint64_t word = 0
    memcpy(&word, base, size if size < 8 else 8)
    return word


cdef inline uint32_t _mix(uint64_t word) noexcept nogil:
    word *= <uint64_t>0x9E3779B97F4A7C15
    return <uint32_t>(word >> 32)


cdef inline uint32_t _hash(const char *base, size_t size) noexcept nogil:
    """Both ends and the length: enough to tell real headers apart, at a cost that does not grow with them. With this factor the names
    that requests usually have do not share slots."""
    cdef uint64_t word = _load(base, size)
    if size > 8:
        memcpy(&word, base + size - 8, 8)
        word = word * 239 + _load(base, 8)
    return _mix(word + size)


cdef class ScopeCache:
    """The caches of one reactor."""

    def __dealloc__(self):
        cdef int i
        for i in range(NAME_SLOTS):
            Py_XDECREF(self.names[i].name)
        for i in range(FIELD_SLOTS):
            Py_XDECREF(self.fields[i])
        for i in range(PATH_SLOTS):
            Py_XDECREF(self.paths[i])

    cdef object field(self, const char *name, size_t name_size, const char *value, size_t value_size, int *known):
        """The tuple (name in lower case, value) of one field line; `known` tells the names that a protocol acts on."""
        cdef unsigned char lowered[NAME_LIMIT]
        cdef size_t i
        cdef uint32_t slot
        cdef NameEntry *entry
        cdef PyObject *kept
        cdef PyObject *kept_value
        known[0] = NAME_OTHER
        if name_size > NAME_LIMIT:
            if memchr(name, 95, name_size) is not NULL:
                known[0] = NAME_UNDERSCORED
            return (PyBytes_FromStringAndSize(name, name_size).lower(), PyBytes_FromStringAndSize(value, value_size))
        for i in range(name_size):
            lowered[i] = _lower(name[i])
        entry = &self.names[_hash(<char *>lowered, name_size) % NAME_SLOTS]
        if entry.name is NULL or <size_t>PyBytes_GET_SIZE(entry.name) != name_size \
                or memcmp(PyBytes_AS_STRING(entry.name), lowered, name_size) != 0:
            self._intern(entry, PyBytes_FromStringAndSize(<char *>lowered, name_size))
        known[0] = entry.known
        if not entry.shareable or value_size > VALUE_LIMIT:
            return (<object>entry.name, PyBytes_FromStringAndSize(value, value_size))
        slot = (_hash(value, value_size) + 2 * <uint32_t>(entry - &self.names[0])) % FIELD_SLOTS
        kept = self.fields[slot]
        if kept is not NULL and PyTuple_GET_ITEM(kept, 0) is entry.name:
            kept_value = PyTuple_GET_ITEM(kept, 1)
            if <size_t>PyBytes_GET_SIZE(kept_value) == value_size and memcmp(PyBytes_AS_STRING(kept_value), value, value_size) == 0:
                return <object>kept
        field = (<object>entry.name, PyBytes_FromStringAndSize(value, value_size))
        Py_INCREF(<PyObject *>field)
        self.fields[slot] = <PyObject *>field
        Py_XDECREF(kept)
        return field

    cdef _intern(self, NameEntry *entry, bytes name):
        cdef PyObject *old = entry.name
        Py_INCREF(<PyObject *>name)
        entry.name = <PyObject *>name
        entry.shareable = name in _SHAREABLE or name.startswith(b"sec-ch-ua") or name.startswith(b"sec-fetch-")
        entry.known = _KNOWN.get(name, NAME_UNDERSCORED if b"_" in name else NAME_OTHER)
        Py_XDECREF(old)

    cdef object path(self, const char *base, size_t size):
        """The tuple (raw path, path) of a request target's path, which is percent-decoded as UTF-8."""
        cdef PyObject *kept
        cdef PyObject *kept_raw
        cdef uint32_t slot
        if size > PATH_LIMIT:
            return (PyBytes_FromStringAndSize(base, size), decode_path(base, size))
        slot = _hash(base, size) % PATH_SLOTS
        kept = self.paths[slot]
        if kept is not NULL:
            kept_raw = PyTuple_GET_ITEM(kept, 0)
            if <size_t>PyBytes_GET_SIZE(kept_raw) == size and memcmp(PyBytes_AS_STRING(kept_raw), base, size) == 0:
                return <object>kept
        pair = (PyBytes_FromStringAndSize(base, size), decode_path(base, size))
        Py_INCREF(<PyObject *>pair)
        self.paths[slot] = <PyObject *>pair
        Py_XDECREF(kept)
        return pair


cdef str decode_path(const char *base, size_t size):
    """Percent-decode (RFC 3986, 2.1); what is no UTF-8 becomes U+FFFD, a percent sign without two digits stays."""
    cdef size_t length
    cdef char *octets
    if memchr(base, 37, size) is NULL:
        return PyUnicode_DecodeUTF8(base, size, "replace")
    octets = _unescape(base, size, &length)
    try:
        return PyUnicode_DecodeUTF8(octets, length, "replace")
    finally:
        PyMem_Free(octets)


cdef str decode_octets(const char *base, size_t size):
    """Percent-decode into a string that has a character for each octet, as WSGI wants it."""
    cdef size_t length
    cdef char *octets = _unescape(base, size, &length)
    try:
        return PyUnicode_DecodeLatin1(octets, length, NULL)
    finally:
        PyMem_Free(octets)


cdef char *_unescape(const char *base, size_t size, size_t *length) except NULL:
    """Percent-decode; the octets are the caller's to free."""
    cdef char *octets = <char *>PyMem_Malloc(size + 1)
    cdef size_t i = 0
    cdef size_t count = 0
    cdef int high, low
    if octets is NULL:
        raise MemoryError()
    while i < size:
        if base[i] == 37 and i + 2 < size:
            high = _hex(base[i + 1])
            low = _hex(base[i + 2])
            if high >= 0 and low >= 0:
                octets[count] = <char>(high << 4 | low)
                count += 1
                i += 3
                continue
        octets[count] = base[i]
        count += 1
        i += 1
    length[0] = count
    return octets
