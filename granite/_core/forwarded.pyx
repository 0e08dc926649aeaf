"""What proxies tell of a request: `Forwarded` (RFC 7239), `X-Forwarded-…`, `X-Real-IP`.

Owns the reading of these fields, and what follows from them for an exchange. Knows neither protocols nor transports: who calls it has made
sure that the peer is a proxy that is believed. Runs on the reactor's thread.

Theory of operation: each proxy adds what it knows behind what it was sent, so a list grows to the right, over all lines of its name in their
order, and only its right end is the word of the peer. The list is read from there, also inside a line, so that nothing a client has sent, such
as a quote that never ends, changes how the proxies' words are read. An address that is a trusted proxy's own leads on to what that
proxy has said, one step to the left; the first that is not is the client's. What is no address ends the search: the client is then
the last address that was found. The other values are taken from the same step, or from the leftmost one where their list is shorter.
"""


from cpython.object cimport PyObject
from libc.string cimport memchr, memcmp, strlen
from granite._core.address cimport FAMILY_IPV6, read_ip, read_node, read_port, text_of
from granite._core.capi.python cimport (
    PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, PyList_GET_ITEM, PyList_GET_SIZE, PyTuple_GET_ITEM,
)
from granite._core.scope cimport (
    NAME_FORWARDED, NAME_X_FORWARDED_FOR, NAME_X_FORWARDED_HOST, NAME_X_FORWARDED_PORT, NAME_X_FORWARDED_PREFIX, NAME_X_FORWARDED_PROTO,
    NAME_X_REAL_IP, decode_path,
)
from granite._core.transport cimport name_of
from granite._core.errorlog import error_log as _log


# In the order of KnownName.
cdef tuple _NAMES = (
    b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix", b"x-real-ip",
)

cdef enum:
    MOST_SHOWN = 100                    # bytes of a wrong value


cdef inline uint32_t _bit(int name) noexcept:
    return <uint32_t>1 << (name - NAME_FORWARDED)


cdef inline bint _is(const Text *text, const char *word) noexcept:
    """Whether it is this word, which is in lower case, in any case."""
    cdef size_t i
    if text.size != strlen(word):
        return False
    for i in range(text.size):
        if (text.base[i] | 32 if 65 <= text.base[i] <= 90 else text.base[i]) != word[i]:
            return False
    return True


# Elements of a list, from right to left.

cdef struct Elements:
    PyObject *headers
    Py_ssize_t line                     # the one that is read, and those before it
    PyObject *name
    const char *base                    # what is left of the line; NULL: nothing
    const char *end
    bint quoted                         # there are quoted strings


cdef Elements _elements(list headers, int name) noexcept:
    cdef Elements elements
    elements.headers = <PyObject *>headers
    elements.line = PyList_GET_SIZE(<PyObject *>headers)
    elements.name = PyTuple_GET_ITEM(<PyObject *>_NAMES, name - NAME_FORWARDED)
    elements.base = elements.end = NULL
    elements.quoted = name == NAME_FORWARDED
    return elements


cdef bint _previous_line(Elements *elements) noexcept:
    cdef PyObject *field
    cdef PyObject *name
    while elements.line > 0:
        elements.line -= 1
        field = PyList_GET_ITEM(elements.headers, elements.line)
        name = PyTuple_GET_ITEM(field, 0)
        if PyBytes_GET_SIZE(name) == PyBytes_GET_SIZE(elements.name) \
                and memcmp(PyBytes_AS_STRING(name), PyBytes_AS_STRING(elements.name), PyBytes_GET_SIZE(name)) == 0:
            elements.base = PyBytes_AS_STRING(PyTuple_GET_ITEM(field, 1))
            elements.end = elements.base + PyBytes_GET_SIZE(PyTuple_GET_ITEM(field, 1))
            return True
    return False


cdef bint _previous(Elements *elements, Text *element) noexcept:
    """The next element to the left that is not empty; whether there is one."""
    cdef const char *place
    cdef const char *end
    while elements.base is not NULL or _previous_line(elements):
        place = end = elements.end
        while place > elements.base and (place - 1)[0] != 44:
            place -= 1
            if elements.quoted and place[0] == 34:
                place = _opening_quote(elements.base, place)
        elements.end = place - 1
        element.base = place
        if place == elements.base:
            elements.base = NULL
        while end > place and ((end - 1)[0] == 32 or (end - 1)[0] == 9):
            end -= 1
        while element.base < end and (element.base[0] == 32 or element.base[0] == 9):
            element.base += 1
        element.size = end - element.base
        if element.size:
            return True
    return False


cdef const char *_opening_quote(const char *base, const char *place) noexcept:
    """Where the string begins that the quote at `place` ends: at a quote that no backslash escapes. Without one, at `base`."""
    cdef const char *behind
    while place > base:
        place -= 1
        if place[0] == 34:
            behind = place
            while behind > base and (behind - 1)[0] == 92:
                behind -= 1
            if (place - behind) % 2 == 0:
                break
    return place


cdef int _step(list headers, int name, int steps, Text *element) noexcept:
    """The element at this step from the right, from 1, or the leftmost one."""
    cdef Elements elements = _elements(headers, name)
    while steps > 0 and _previous(&elements, element):
        steps -= 1
    return 0


# One element of Forwarded

cdef struct Pairs:
    Text node                           # for=
    Text scheme                         # proto=
    Text host                           # host=


cdef inline bint _is_alphanumeric(unsigned char c) noexcept:
    return 97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57


cdef inline bint _is_token(unsigned char c) noexcept:
    """A character of a token (RFC 9110, section 5.6.2)."""
    return _is_alphanumeric(c) or (c > 32 and memchr(b"!#$%&'*+-.^_`|~", c, 15) is not NULL)


cdef bint _read_pairs(const Text *element, Pairs *pairs) noexcept:
    """Read `name=value;…` (RFC 7239, section 4); whether it is that, with no name of the three twice.

    A value in quotes is taken as it stands: who escapes a character of an address or a name, where none needs it, is not understood.
    """
    cdef const char *place = element.base
    cdef const char *end = place + element.size
    cdef Text name, value
    pairs.node.base = pairs.scheme.base = pairs.host.base = NULL
    pairs.node.size = pairs.scheme.size = pairs.host.size = 0
    while place < end:
        if place[0] == 59 or place[0] == 32 or place[0] == 9:
            place += 1
            continue
        name.base = place
        while place < end and _is_token(place[0]):
            place += 1
        name.size = place - name.base
        if name.size == 0 or end - place < 2 or place[0] != 61:
            return False
        place += 1
        if place[0] == 34:
            value.base = place + 1
            place += 1
            while place < end and place[0] != 34:
                place += 2 if place[0] == 92 else 1
            if place >= end:
                return False
            value.size = place - value.base
            place += 1
        else:
            value.base = place
            while place < end and place[0] != 59 and place[0] != 34 and place[0] != 32 and place[0] != 9:
                place += 1
            value.size = place - value.base
            if value.size == 0:
                return False
        while place < end and (place[0] == 32 or place[0] == 9):
            place += 1
        if (place < end and place[0] != 59) or not _note(pairs, &name, &value):
            return False
    return True


cdef bint _note(Pairs *pairs, const Text *name, const Text *value) noexcept:
    cdef Text *place
    if _is(name, b"for"):
        place = &pairs.node
    elif _is(name, b"proto"):
        place = &pairs.scheme
    elif _is(name, b"host"):
        place = &pairs.host
    else:
        return True
    if place.base is not NULL:
        return False
    place[0] = value[0]
    return True


cdef bint _is_hidden(const Text *node) noexcept:
    """Whether a proxy says that it does not tell (RFC 7239, section 6)."""
    return node.base is NULL or node.base[0] == 95 or _is(node, b"unknown")


cdef class Forwarding:
    """Which fields are believed, and from whom.

    Parameters:
        proxies: the peers that are believed, a `Networks`.
        names: the fields, in lower case.
    """

    def __cinit__(self, Networks proxies not None, names):
        self.proxies = proxies
        for name in names:
            self.believed |= _bit(NAME_FORWARDED + _NAMES.index(name.encode()))

    cdef void read(self, list headers, uint32_t seen, Forwarded *told) noexcept:
        """Find in a request's fields what is believed. `seen`: which of them there are; `told` borrows from `headers`."""
        cdef Text element
        cdef int steps = 1
        told.client.family = 0
        told.scheme.base = told.host.base = told.port.base = told.prefix.base = told.no_address.base = NULL
        seen &= self.believed
        if seen & _bit(NAME_FORWARDED):
            seen = _bit(NAME_FORWARDED)
            self._find_client(headers, NAME_FORWARDED, told)
        told.seen = seen
        if seen & _bit(NAME_X_FORWARDED_FOR):
            steps = self._find_client(headers, NAME_X_FORWARDED_FOR, told)
        elif seen & _bit(NAME_X_REAL_IP):
            element.base = NULL
            _step(headers, NAME_X_REAL_IP, 1, &element)
            if element.base is not NULL and not read_node(element.base, element.size, &told.client):
                told.client.family = 0
                told.no_address = element
        if seen & _bit(NAME_X_FORWARDED_PROTO):
            _step(headers, NAME_X_FORWARDED_PROTO, steps, &told.scheme)
        if seen & _bit(NAME_X_FORWARDED_HOST):
            _step(headers, NAME_X_FORWARDED_HOST, steps, &told.host)
        if seen & _bit(NAME_X_FORWARDED_PORT):
            _step(headers, NAME_X_FORWARDED_PORT, steps, &told.port)
        if seen & _bit(NAME_X_FORWARDED_PREFIX):
            _step(headers, NAME_X_FORWARDED_PREFIX, steps, &told.prefix)

    cdef int _find_client(self, list headers, int name, Forwarded *told) noexcept:
        """Walk from proxy to proxy to the client; at which step from the right it was found, 1 for nowhere."""
        cdef Elements elements = _elements(headers, name)
        cdef Text element
        cdef Pairs pairs
        cdef Address address
        cdef bint found
        cdef int steps = 0
        while _previous(&elements, &element):
            pairs.node = element
            pairs.scheme.base = pairs.host.base = NULL
            if name == NAME_FORWARDED and not _read_pairs(&element, &pairs):
                told.no_address = element
                break
            found = pairs.node.base is not NULL and read_node(pairs.node.base, pairs.node.size, &address)
            if found or steps == 0:     # the peer's own word counts also if it does not name its client
                if pairs.scheme.base is not NULL:
                    told.scheme = pairs.scheme
                if pairs.host.base is not NULL:
                    told.host = pairs.host
            if not found:
                if not _is_hidden(&pairs.node):
                    told.no_address = element
                break
            steps += 1
            told.client = address
            if not self.proxies.contain(&address):
                break
        return max(steps, 1)

    cdef int apply(self, const Forwarded *told, Exchange exchange) except -1:
        """Change what an exchange says of its client, and of the server as the client sees it."""
        if told.no_address.base is not NULL:
            self._complain(
                told, NAME_X_FORWARDED_FOR if told.seen & _bit(NAME_X_FORWARDED_FOR) else NAME_X_REAL_IP,
                "an address", &told.no_address, exchange,
            )
        if told.scheme.base is not NULL:
            # A proxy that forwards an upgrade which is not taken says ws.
            if _is(&told.scheme, b"https") or _is(&told.scheme, b"wss"):
                exchange.scheme = "https"
            elif _is(&told.scheme, b"http") or _is(&told.scheme, b"ws"):
                exchange.scheme = "http"
            else:
                self._complain(told, NAME_X_FORWARDED_PROTO, "http or https", &told.scheme, exchange)
        if told.host.base is not NULL or told.port.base is not NULL:
            self._set_server(told, exchange)
        if told.prefix.base is not NULL:
            exchange.prefix = _prefix_of(&told.prefix)
            if exchange.prefix is None:
                self._complain(told, NAME_X_FORWARDED_PREFIX, "an absolute path", &told.prefix, exchange)
        if told.client.family:          # last: until here it is the proxy that is complained about
            exchange.client = (text_of(&told.client), told.client.port)
        return 0

    cdef int _set_server(self, const Forwarded *told, Exchange exchange) except -1:
        cdef Text name
        cdef int port = -1
        cdef int own_port = -1
        if told.port.base is not NULL:
            port = read_port(told.port.base, told.port.size)
            if port <= 0:
                port = -1
                self._complain(told, NAME_X_FORWARDED_PORT, "a port", &told.port, exchange)
        if told.host.base is NULL:
            if port > 0 and exchange.server is not None and exchange.server[1] is not None:
                exchange.server = (exchange.server[0], port)
            return 0
        if not _split_host(&told.host, &name, &own_port):
            return self._complain(told, NAME_X_FORWARDED_HOST, "a host", &told.host, exchange)
        if own_port > 0:
            port = own_port
        elif port < 0:
            port = 443 if exchange.scheme == "https" else 80
        exchange.server = ((<bytes>PyBytes_FromStringAndSize(name.base, name.size)).decode("ascii"), port)
        return _replace_host(exchange.headers, PyBytes_FromStringAndSize(told.host.base, told.host.size))

    cdef int _complain(self, const Forwarded *told, int name, str expected, const Text *got, Exchange exchange) except -1:
        """Say, once for a field, that a proxy sends what is of no use."""
        if told.seen & _bit(NAME_FORWARDED):
            name = NAME_FORWARDED
        if self.complained & _bit(name):
            return 0
        self.complained |= _bit(name)
        text = PyBytes_FromStringAndSize(got.base, min(got.size, <size_t>MOST_SHOWN))
        field = _NAMES[name - NAME_FORWARDED].decode("ascii")
        _log.info(
            "%s: %s: expected %s, got %r; it is left out, and not mentioned again", name_of(exchange.client), field, expected,
            text.decode("latin-1"),
        )
        return 0


cdef bint _split_host(const Text *host, Text *name, int *port) noexcept:
    """Split `host[:port]` (RFC 3986, section 3.2); whether it is that. `name` is without brackets, the port -1 if there is none."""
    cdef const char *place = host.base
    cdef const char *end = place + host.size
    cdef Address address
    if place[0] == 91:
        name.base = place + 1
        while place < end and place[0] != 93:
            place += 1
        name.size = place - name.base
        if place == end or not read_ip(name.base, name.size, FAMILY_IPV6, &address):
            return False
        place += 1
    else:
        name.base = place
        # A name of the DNS or an IPv4 address: what else RFC 3986 allows, no proxy has reason to send.
        while place < end and (_is_alphanumeric(place[0]) or place[0] == 45 or place[0] == 46 or place[0] == 95):
            place += 1
        name.size = place - name.base
        if name.size == 0:
            return False
    if place == end:
        return True
    if place[0] != 58:
        return False
    port[0] = read_port(place + 1, end - place - 1)
    return port[0] > 0


cdef int _replace_host(list headers, bytes value) except -1:
    """Make `value` the only Host."""
    for i, field in enumerate(headers):
        if field[0] == b"host":
            headers[i] = (b"host", value)
            return 0
    headers.append((b"host", value))
    return 0


cdef str _prefix_of(const Text *text):
    """The path, decoded and without its last slash, or None: what an application puts before its links must not lead to another host."""
    cdef size_t i
    cdef str path
    for i in range(text.size):
        if not 33 <= text.base[i] <= 126:
            return None
    path = decode_path(text.base, text.size)
    if path[0] != "/" or "//" in path or "\\" in path or "\ufffd" in path or not path.isprintable():
        return None
    path = path.removesuffix("/")
    return None if "/./" in path + "/" or "/../" in path + "/" else path
