# What an application reads of a request.

cdef str _HTTP = "http"
cdef str _WS = "ws"
cdef str _VERSION = "1.6"


@cython.freelist(64)
cdef class Scope:
    """The request, or the WebSocket, as the specification's connection scope."""

    cdef Exchange exchange

    @property
    def proto(self):
        return _WS if isinstance(self.exchange, RsgiWebSocket) else _HTTP

    @property
    def rsgi_version(self):
        return _VERSION

    @property
    def http_version(self):
        """Version of HTTP: "1", "1.1" or "2"."""
        version = self.exchange.http_version
        return "1" if version == "1.0" else version

    @property
    def server(self):
        """Address and port that the client has reached; at a Unix socket "unix:" and its path."""
        return _address(self.exchange.server)

    @property
    def client(self):
        """Address and port of the client; at a Unix socket "unix:"."""
        return _address(self.exchange.client)

    @property
    def scheme(self):
        return self.exchange.scheme

    @property
    def method(self):
        return self.exchange.method

    @property
    def path(self):
        """The path, percent-decoded."""
        return self.exchange.path

    @property
    def query_string(self):
        """What follows the question mark, as it was sent."""
        return self.exchange.query_string.decode("latin-1")

    @property
    def authority(self):
        """What HTTP/2 has in place of the field Host; None in HTTP/1."""
        if self.exchange.http_version == "2":
            for name, value in self.exchange.headers:
                if name == b"host":
                    return value.decode("latin-1")
        return None

    @property
    def headers(self):
        """The header fields, a `Headers`."""
        cdef Headers headers = Headers.__new__(Headers)
        headers.fields = self.exchange.headers
        return headers


@cython.freelist(64)
cdef class Headers:
    """Header fields by their names, in any case. A field that comes several times counts once, with its first value, but in items(),
    values() and get_all()."""

    cdef list fields

    cdef bytes _first(self, object name):
        """The first value of a field; None without."""
        cdef bytes wanted = _lower(name)
        cdef tuple field
        for field in self.fields:
            if <bytes>field[0] == wanted:
                return <bytes>field[1]
        return None

    def __contains__(self, name):
        return self._first(name) is not None

    def __getitem__(self, name):
        value = self._first(name)
        if value is None:
            raise KeyError(name)
        return (<bytes>value).decode("latin-1")

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self.keys())

    def get(self, name, default=None):
        """Return the value of the field, `default` where there is none."""
        value = self._first(name)
        return default if value is None else (<bytes>value).decode("latin-1")

    def get_all(self, name):
        """Return the list of the values of all fields of that name."""
        cdef bytes wanted = _lower(name)
        cdef tuple field
        return [(<bytes>field[1]).decode("latin-1") for field in self.fields if <bytes>field[0] == wanted]

    def keys(self):
        """Return the list of the names, in lower case, each once."""
        cdef tuple field
        return [name.decode("latin-1") for name in dict.fromkeys([field[0] for field in self.fields])]

    def values(self):
        """Return the list of all values."""
        cdef tuple field
        return [(<bytes>field[1]).decode("latin-1") for field in self.fields]

    def items(self):
        """Return the list of all pairs (name, value)."""
        cdef tuple field
        return [((<bytes>field[0]).decode("latin-1"), (<bytes>field[1]).decode("latin-1")) for field in self.fields]


cdef bytes _lower(object name):
    """A name as fields have it. What no field can have becomes a question mark, which none has either."""
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a field to be a str, got {name!r}")
    return (<str>name).lower().encode("latin-1", "replace")


cdef str _address(tuple address):
    if address is None:
        return "unix:"
    host, port = address
    if port is None:
        return f"unix:{host}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
