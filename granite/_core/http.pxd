# HTTP's semantics, whatever the version: what a server's sessions share, and what a connection asks of a session.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.time cimport time_t
from granite._core.accesslog cimport AccessLog
from granite._core.address cimport Address
from granite._core.capi.python cimport (
    PyBytes_CheckExact, PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE, PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE,
)
from granite._core.counters cimport Histogram, Rejection
from granite._core.exchange cimport Exchange, Handshake, Interface, Protocol, Rejections, is_bodyless
from granite._core.forwarded cimport Forwarded, Forwarding
from granite._core.scope cimport ScopeCache
from granite._core.transport cimport Transport

cdef enum:
    NAME_SLOTS = 64
    NAME_LIMIT = 64                     # octets: a longer name is not kept
    METHOD_LIMIT = 32                   # octets; no registered method has as many
    REDIRECT = 308                      # of requests that are to come over TLS

cdef enum HeaderMap:                    # what becomes of a field whose name has an underscore
    HEADER_MAP_DROP
    HEADER_MAP_REFUSE
    HEADER_MAP_DANGEROUS                # it is passed on

cdef enum FieldKind:                    # what a field of a response is to the server
    FIELD_INVALID                       # its name is no token
    FIELD_OTHER
    FIELD_CONTENT_LENGTH
    FIELD_TRANSFER_ENCODING
    FIELD_CONNECTION
    FIELD_UPGRADE
    FIELD_HOP_BY_HOP
    FIELD_DATE
    FIELD_SERVER
    FIELD_REQUEST_ID
    FIELD_HSTS

cdef enum:                              # which of its own fields the server need not add
    SEEN_DATE = 1
    SEEN_SERVER = 2
    SEEN_CLOSE = 4
    SEEN_UPGRADE = 8
    SEEN_REQUEST_ID = 16
    SEEN_HSTS = 32

cdef struct FieldName:
    PyObject *name                      # bytes; NULL: the slot is empty
    PyObject *lower                     # the same in lower case; NULL: nobody has asked
    FieldKind kind

cdef struct Timeouts:                   # ms, 0 = off
    uint64_t head                       # of a request: from its first byte to its end
    uint64_t handshake                  # of TLS: from the connection's beginning
    uint64_t keep_alive                 # between two requests
    uint64_t body                       # between two pieces of a body that is being read
    int64_t body_rate                   # bytes per second that it has to come with
    uint64_t body_grace                 # ... after so long
    uint64_t write                      # for which a client takes nothing of what waits for it
    uint64_t connection                 # from its beginning
    uint64_t request                    # from the end of the head to the end of the response
    uint64_t grace                      # then, until the application's call is made to end

cdef struct Pace:                       # of a body, over the time in which the server was reading it
    uint64_t at                         # ms: the last byte, or the moment since when it is read; 0: it was not yet
    uint64_t elapsed                    # ms up to then
    int64_t surplus                     # thousandths of bytes that came beyond what the least rate asks for

cdef class WebSockets:
    # makes WebSockets of requests: what HTTP knows of that protocol
    cdef readonly int live              # that are open
    cdef uint64_t handshake_timeout     # ms that the application may take to answer a handshake, 0 = off
    cdef Handshake judge(self, list fields, bint is_http1)
    cdef Session open(self, HttpContext http, Transport transport, Exchange exchange)
    cdef void export(self, int64_t *snapshot) noexcept

cdef class HttpContext:
    cdef readonly Interface interface
    cdef readonly ScopeCache cache
    cdef readonly Forwarding forwarding
    cdef Rejections rejections
    cdef WebSockets websockets          # None: requests for one are served like others
    cdef Histogram latency
    cdef AccessLog access_log           # None: requests are not logged
    cdef bint note_first_byte           # which it has to know
    cdef bint note_fields               # likewise, of responses
    cdef Timeouts timeouts
    cdef bint draining
    cdef size_t max_field_size
    cdef Py_ssize_t max_fields
    cdef size_t max_head_size
    cdef uint64_t max_body_size
    cdef int max_requests               # of a connection
    cdef int retry_after                # s, of a 503
    cdef bint rates                     # requests of an address are counted
    cdef size_t write_high_water
    cdef size_t write_low_water
    cdef size_t body_high_water
    cdef HeaderMap header_map
    cdef bytes server                   # the value of the Server field, empty to omit it
    cdef bytes hsts                     # that of Strict-Transport-Security, for responses over TLS; or None
    cdef time_t date_at
    cdef bytes date                     # the value of the Date field
    cdef tuple method_names             # the usual ones, as bytes
    cdef tuple methods                  # ... and as str
    cdef FieldName names[NAME_SLOTS]    # of responses' fields, by their place in memory: applications have most of them as constants
    cdef FieldName long_name            # one that is not kept, of which name_of() was asked last
    cdef object last_host               # the Host field that was found to be right last: most requests have the same
    cdef FieldKind kind_of(self, PyObject *name) noexcept
    cdef const FieldName *name_of(self, PyObject *name) except NULL
    cdef int tick(self) except -1
    cdef object method_of(self, const char *base, size_t size, int *status)
    cdef bint check_host(self, object field) noexcept
    cdef int decline(self, Transport transport, const Address *client, int *retry_in) except -1
    cdef int log_declined(self, object client, int status, Rejection reason) except -1
    cdef Exchange new_exchange(
        self, Protocol protocol, Transport transport, list headers, const Forwarded *told, int64_t read_at, Handshake handshake=*
    )
    cdef Exchange record(self, Transport transport, list headers, uint32_t forwarded)
    cdef void begin_pace(self, Pace *pace, uint64_t now, size_t size) noexcept
    cdef void note_pace(self, Pace *pace, uint64_t now, size_t size) noexcept
    cdef uint64_t pace_deadline(self, const Pace *pace) noexcept
    cdef str late_body(self, const Pace *pace, uint64_t now)
    cdef uint64_t request_deadline(self, Exchange exchange) noexcept
    cdef str late_request(self, Exchange exchange)
    cdef list fields_of_accept(self, Exchange exchange, str subprotocol, list headers)
    cdef int64_t _most_surplus(self, int64_t size) noexcept

cdef class Session(Protocol):
    # the owner's to set
    cdef int64_t read_at                # for the exchanges
    cdef unsigned int served            # requests of the connection, before the session was lent
    cdef size_t unsent                  # bytes that were lost when the connection closed
    # the owner's to look at
    cdef int messages                   # requests that were begun since then
    cdef bint duplex                    # the client writes while it is answered
    cdef Exchange unlogged              # the last response, which the socket has not taken yet
    cdef HttpContext http
    cdef Transport transport
    cdef Session successor              # which has taken the connection over; None: nobody has

    cdef int feed(self, const char *base, size_t size) except -1
    cdef int resume(self) except -1
    cdef int read_ended(self) except -1
    cdef int writable_again(self) except -1
    cdef int drain(self) except -1
    cdef int closed(self) except -1
    cdef bint idle(self) noexcept
    cdef bint is_behind(self) except -1
    cdef bint looks_whole(self) noexcept
    cdef int settle(self) except -1
    cdef uint64_t deadline(self) noexcept
    cdef int on_due(self, uint64_t now) except -1
    cdef int log_sent(self, size_t lost) except -1
    cdef int hand_over(self) except -1
    cdef int release(self) except -1

cdef class Version:
    # a version of HTTP that is loaded only where it is spoken
    cdef readonly int live              # sessions that connections hold, and what these hold in turn
    cdef Session session(self, Transport transport)
    cdef int export(self, int64_t *snapshot) noexcept

cdef inline bint has_no_content(Exchange exchange) noexcept:
    return exchange.head_only or is_bodyless(exchange.status)

cdef inline uint64_t earlier(uint64_t first, uint64_t other) noexcept:
    """The earlier of two deadlines, of which 0 is none."""
    return other if other and (other < first or first == 0) else first

# syntax

cdef inline bint is_digit(unsigned char c) noexcept:
    return 48 <= c <= 57


cdef bint is_decodable(const char *base, size_t size) noexcept
cdef bint is_host(const char *base, size_t size) noexcept
cdef bint has_token(const char *base, size_t size, const char *lower, size_t length) noexcept
cdef bint is_continue(const char *base, size_t size) noexcept
cdef const char *next_element(const char *base, const char *end, const char **element, size_t *size) noexcept

# fields of responses

cdef bint is_no_trailer(object name) except -1
cdef list plain(object headers)
cdef list checked(object headers, bint trailers)
cdef list interim(HttpContext http, object headers)
cdef Py_ssize_t size_of_fields(object headers) noexcept
cdef int no_pair(object field) except -1
cdef int64_t length_of(object value) except -1


cdef inline bint parts(PyObject *given, PyObject **name, PyObject **value) noexcept:
    """Take a field apart, borrowed, if it comes as nearly all applications give it: as a tuple or list of two."""
    if PyTuple_CheckExact(given) and PyTuple_GET_SIZE(given) == 2:
        name[0] = PyTuple_GET_ITEM(given, 0)
        value[0] = PyTuple_GET_ITEM(given, 1)
        return True
    if PyList_CheckExact(given) and PyList_GET_SIZE(given) == 2:
        name[0] = PyList_GET_ITEM(given, 0)
        value[0] = PyList_GET_ITEM(given, 1)
        return True
    return False


cdef inline int pair(object field, PyObject **name, PyObject **value) except -1:
    """The two parts of a field, borrowed; both are plain bytes."""
    if not parts(<PyObject *>field, name, value) or not PyBytes_CheckExact(name[0]) or not PyBytes_CheckExact(value[0]):
        no_pair(field)
        return -1
    return 0


cdef inline PyObject *field_at(PyObject *headers, Py_ssize_t i) noexcept:
    """A field, borrowed; NULL behind the last one, or if this is neither a list nor a tuple."""
    if PyList_CheckExact(headers):
        return PyList_GET_ITEM(headers, i) if i < PyList_GET_SIZE(headers) else NULL
    return PyTuple_GET_ITEM(headers, i) if PyTuple_CheckExact(headers) and i < PyTuple_GET_SIZE(headers) else NULL


cdef uint64_t milliseconds(double seconds) noexcept

# responses
cdef str phrase_of(int status)
cdef Rejection rejection_of(int status, bint in_body) noexcept
cdef int too_long(Exchange exchange, int64_t size) except -1
cdef bint is_short(Exchange exchange) except -1


cdef inline int take_length(Exchange exchange, int64_t size) except -1:
    """Count a piece of the body; it fits what was declared."""
    if exchange.declared >= 0 and exchange.sent + size > exchange.declared and not has_no_content(exchange):
        return too_long(exchange, size)
    exchange.sent += size
    return 0
