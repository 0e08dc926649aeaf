# The environ: a copy of the worker's template, and what the request says. Strings are bytes decoded as Latin-1, as PEP 3333 wants them.

cdef str _METHOD = "REQUEST_METHOD"
cdef str _GET = "GET"
cdef str _SCRIPT_NAME = "SCRIPT_NAME"
cdef str _PATH_INFO = "PATH_INFO"
cdef str _RAW_URI = "RAW_URI"
cdef str _QUERY_STRING = "QUERY_STRING"
cdef str _PROTOCOL = "SERVER_PROTOCOL"
cdef str _SERVER_NAME = "SERVER_NAME"
cdef str _SERVER_PORT = "SERVER_PORT"
cdef str _REMOTE_ADDR = "REMOTE_ADDR"
cdef str _REMOTE_PORT = "REMOTE_PORT"
cdef str _SCHEME = "wsgi.url_scheme"
cdef str _HTTPS = "HTTPS"
cdef str _INPUT = "wsgi.input"
cdef str _EARLY_HINTS = "wsgi.early_hints"
cdef str _REQUEST_ID = "granite.request_id"
cdef str _HTTP = "http"
# Told by identity, as protocols intern theirs.
cdef str _HTTP11 = sys.intern("1.1")

# These have keys of their own. What a client says of a proxy never becomes HTTP_PROXY, which programs that the application
# calls would take for theirs.
cdef dict _KEYS = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH", b"proxy": None}

cdef dict _TLS_VERSIONS = {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
cdef dict _CIPHER_SUITES = {                # by OpenSSL's names
    0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256", 0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384", 0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256", 0xC030: "ECDHE-RSA-AES256-GCM-SHA384", 0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305",
}


cdef inline size_t _slot(PyObject *object, size_t slots) noexcept:
    """Objects have their place in memory for a number."""
    return (<size_t>object >> 4) % slots


cdef inline void _replace(PyObject **place, PyObject *value) noexcept:
    cdef PyObject *old = place[0]
    if value is not NULL:
        Py_INCREF(value)
    place[0] = value
    Py_XDECREF(old)


cdef class Environs:
    """Makes the environs of one worker.

    What requests have in common, fields, paths, ports, is kept as strings in direct-mapped slots, found by the place in memory of what the
    protocol shares between requests.

    Parameters:
        constants: what every environ has.
        prefix: the path at which the application is mounted, "" for none.
    """

    def __init__(self, dict constants, str prefix):
        self.prefix = _latin(prefix)
        # Every key that a request always sets is there from the start, so that filling a copy in hardly ever makes the dictionary grow.
        self.template = {
            "wsgi.version": (1, 0), "wsgi.input_terminated": True, "wsgi.file_wrapper": FileWrapper, **constants,
            _METHOD: _GET, _SCRIPT_NAME: self.prefix, _PATH_INFO: "/", _RAW_URI: "/", _QUERY_STRING: "",
            _PROTOCOL: "HTTP/1.1", _SERVER_NAME: "localhost", _SERVER_PORT: "80", _REMOTE_ADDR: "", _REMOTE_PORT: "",
            _SCHEME: _HTTP, _INPUT: None, _EARLY_HINTS: None,
        }

    def __dealloc__(self):
        cdef int i
        for i in range(KEY_SLOTS):
            Py_XDECREF(self.keys[i].name)
            Py_XDECREF(self.keys[i].key)
        for i in range(VALUE_SLOTS):
            Py_XDECREF(self.values[i].field)
            Py_XDECREF(self.values[i].key)
            Py_XDECREF(self.values[i].value)
        for i in range(PATH_SLOTS):
            Py_XDECREF(self.paths[i].raw)
            Py_XDECREF(self.paths[i].text)
        for i in range(PORT_SLOTS):
            Py_XDECREF(self.ports[i].text)

    cdef dict make(self, Exchange exchange):
        cdef dict environ
        if exchange.server is not self.server:      # which seldom changes
            self._set_server(exchange.server)
        environ = PyDict_Copy(self.template)
        if exchange.method is not _GET:
            PyDict_SetItem(environ, _METHOD, exchange.method)
        if exchange.http_version is not _HTTP11:
            PyDict_SetItem(environ, _PROTOCOL, "HTTP/" + exchange.http_version)
        self._set_path(environ, exchange)
        if exchange.client is not None:
            self._set_client(environ, exchange.client)
        if exchange.scheme is not _HTTP:
            PyDict_SetItem(environ, _SCHEME, exchange.scheme)
            if exchange.scheme == "https":
                PyDict_SetItem(environ, _HTTPS, "on")
                if exchange.server[1] is None:
                    PyDict_SetItem(environ, _SERVER_PORT, "443")
            if exchange.tls is not None:
                _set_tls(environ, exchange.tls)
        self._set_fields(environ, exchange.headers)
        if exchange.request_id is not None:
            PyDict_SetItem(environ, _REQUEST_ID, exchange.request_id.decode("ascii"))
        return environ

    cdef int _set_server(self, object server) except -1:
        """(host, port), or (path, None) of a Unix socket, which has neither."""
        host, port = server
        self.template[_SERVER_NAME] = "localhost" if port is None else host
        self.template[_SERVER_PORT] = "80" if port is None else str(port)
        self.server = server
        return 0

    cdef int _set_path(self, dict environ, Exchange exchange) except -1:
        cdef bytes raw = exchange.raw_path
        cdef bytes query = exchange.query_string
        cdef str prefix
        cdef str path = exchange.path
        target = self._text(raw)
        if not PyUnicode_IS_COMPACT_ASCII(<PyObject *>path):
            path = decode_octets(PyBytes_AS_STRING(<PyObject *>raw), PyBytes_GET_SIZE(<PyObject *>raw))
        if exchange.prefix:
            prefix = _latin(exchange.prefix)
            PyDict_SetItem(environ, _SCRIPT_NAME, prefix + self.prefix)
            path = _below(prefix, path)
        if self.prefix:
            path = _below(self.prefix, path)
        PyDict_SetItem(environ, _PATH_INFO, path)
        if PyBytes_GET_SIZE(<PyObject *>query):
            text = PyUnicode_DecodeLatin1(PyBytes_AS_STRING(<PyObject *>query), PyBytes_GET_SIZE(<PyObject *>query), NULL)
            PyDict_SetItem(environ, _QUERY_STRING, text)
            target = f"{target}?{text}"
        return PyDict_SetItem(environ, _RAW_URI, target)

    cdef int _set_client(self, dict environ, object client) except -1:
        cdef PyObject *pair = <PyObject *>client    # (address, port)
        PyDict_SetItem(environ, _REMOTE_ADDR, <object>PyTuple_GET_ITEM(pair, 0))
        return PyDict_SetItem(environ, _REMOTE_PORT, self._port(<int>PyLong_AsLong(PyTuple_GET_ITEM(pair, 1))))

    cdef int _set_fields(self, dict environ, list fields) except -1:
        cdef ValueEntry *entry
        cdef PyObject *field
        cdef PyObject *had
        cdef Py_ssize_t size
        for given in fields:
            field = <PyObject *>given
            entry = &self.values[_slot(field, VALUE_SLOTS)]
            if entry.field is field:
                size = PyDict_GET_SIZE(environ)
                had = PyDict_SetDefault(environ, <object>entry.key, <object>entry.value)
                if PyDict_GET_SIZE(environ) == size:
                    _join(environ, <object>entry.key, <object>had, <object>entry.value)
            else:
                self._set_own(environ, field)
        return 0

    cdef int _set_own(self, dict environ, PyObject *field) except -1:
        """A field that has not been seen lately."""
        cdef ValueEntry *entry
        cdef PyObject *raw = PyTuple_GET_ITEM(field, 1)
        cdef PyObject *had
        cdef Py_ssize_t size = PyDict_GET_SIZE(environ)
        cdef object key = <object>self._key(PyTuple_GET_ITEM(field, 0))
        if key is None:
            return 0
        value = PyUnicode_DecodeLatin1(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), NULL)
        had = PyDict_SetDefault(environ, key, value)
        if PyDict_GET_SIZE(environ) == size:
            _join(environ, key, <object>had, value)
        if Py_REFCNT(field) > 1:
            # The protocol shares it between requests, so it is no secret and comes again.
            entry = &self.values[_slot(field, VALUE_SLOTS)]
            _replace(&entry.field, field)
            _replace(&entry.key, <PyObject *>key)
            _replace(&entry.value, <PyObject *>value)
        return 0

    cdef PyObject *_key(self, PyObject *name) except NULL:
        """The key of a field's name, borrowed; None where it gets none."""
        cdef KeyEntry *entry = &self.keys[_slot(name, KEY_SLOTS)]
        if entry.name is not name:
            known = <bytes>name
            key = _KEYS[known] if known in _KEYS else "HTTP_" + known.decode("latin-1").upper().replace("-", "_")
            _replace(&entry.name, name)
            _replace(&entry.key, <PyObject *>key)
        return entry.key

    cdef object _text(self, bytes raw):
        """A path as it came."""
        cdef PathEntry *entry = &self.paths[_slot(<PyObject *>raw, PATH_SLOTS)]
        if entry.raw is <PyObject *>raw:
            return <object>entry.text
        text = PyUnicode_DecodeLatin1(PyBytes_AS_STRING(<PyObject *>raw), PyBytes_GET_SIZE(<PyObject *>raw), NULL)
        _replace(&entry.raw, <PyObject *>raw)
        _replace(&entry.text, <PyObject *>text)
        return text

    cdef object _port(self, int port):
        cdef PortEntry *entry = &self.ports[(port >> 1) % PORT_SLOTS]      # Linux gives clients every other one
        if entry.text is NULL or entry.port != port:
            text = str(port)
            _replace(&entry.text, <PyObject *>text)
            entry.port = port
        return <object>entry.text


cdef int _set_tls(dict environ, tuple tls) except -1:
    """What was agreed on, by the names of Apache's mod_ssl."""
    _, version, suite, client = tls
    environ["SSL_PROTOCOL"] = _TLS_VERSIONS.get(version, "")
    environ["SSL_CIPHER"] = _CIPHER_SUITES.get(suite, "")
    environ["SSL_CLIENT_VERIFY"] = "NONE" if client is None else "SUCCESS"
    if client is not None:
        environ["SSL_CLIENT_CERT"] = client[0][0]
        environ["SSL_CLIENT_S_DN"] = _latin(client[1])
        environ["SSL_CLIENT_I_DN"] = _latin(client[2])
    return 0


cdef int _join(dict environ, object key, object first, object second) except -1:
    """A field that comes several times is one list (RFC 9110, 5.3), but for Cookie (RFC 9113, 8.2.3)."""
    PyDict_SetItem(environ, key, first + ("; " if key == "HTTP_COOKIE" else ",") + second)
    return 0


cdef str _below(str prefix, str path):
    """A path behind the prefix, which a proxy may have taken away already."""
    return path[len(prefix):] if path == prefix or path.startswith(prefix + "/") else path


cdef str _latin(str text):
    """The bytes of a text in UTF-8, as PEP 3333 has them in a string."""
    return text.encode("utf-8").decode("latin-1")
