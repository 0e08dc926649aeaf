# HTTP/1.1: one session carries the messages of one connection, one after another.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.time cimport time_t
from granite._core.capi cimport llhttp
from granite._core.counters cimport CLASSES, Rejection
from granite._core.exchange cimport Exchange, Handshake
from granite._core.forwarded cimport Forwarded
from granite._core.http cimport HttpContext, Pace, Session
from granite._core.transport cimport Transport

cdef enum:
    DISCARD_LIMIT = 1048576             # bytes of a body that nobody reads, before the connection is closed instead
    SPARE_SESSIONS = 64                 # sessions that a context keeps for reuse

    FIRST_REFUSAL = 300
    REFUSALS = 300

cdef enum SessionState:
    SESSION_IDLE                        # between messages, no byte of the next one has come
    SESSION_HEAD                        # in a request's head
    SESSION_BODY                        # head complete, body not
    SESSION_COMPLETE                    # the request is complete, its response is not
    SESSION_CLOSING                     # nothing is read any more

cdef enum Awaited:                      # what is waited for within a request
    AWAITED_NOTHING                     # from the client
    AWAITED_BODY                        # more of the body
    AWAITED_REST                        # the rest of a body that nobody reads

cdef enum:
    ASKED_TO_CLOSE = 1                  # what a request's Connection says
    ASKED_TO_STAY = 2

cdef struct Span:
    const char *base                    # in the read buffer, unless it is kept
    size_t size
    bint kept                           # a read's end cut the message here: the bytes are in the scratch, from `start`
    size_t start

cdef class Refusal:
    # what answers of the server's own with one status have in common
    cdef bytes line                     # the status line
    cdef bytes fields
    cdef bytes text

cdef class Http1Context:
    # what all sessions of a server share
    cdef HttpContext http
    cdef llhttp.llhttp_settings_t settings
    cdef readonly int live              # sessions that connections hold
    cdef int64_t responses[CLASSES]     # whose status has left, interim and refusing ones among them
    cdef bint one_request               # each connection carries one
    cdef size_t max_request_line
    cdef bytes server_line              # "server: …\r\n", empty to omit
    cdef int secure_port                # where TLS is spoken; 0: at no port
    cdef bytes hsts_line                # "strict-transport-security: …\r\n", for responses over TLS; or None
    cdef time_t date_at
    cdef bytes date_line                # "date: …\r\n"
    cdef bytes default_lines            # both
    cdef int last_status
    cdef bytes last_reason              # ... and its words; None for the usual ones
    cdef bytes last_status_line
    cdef time_t farewell_at
    cdef bytes farewell                 # to connections that are turned away
    cdef list refusals                  # by status, from FIRST_REFUSAL on
    cdef llhttp.llhttp_t behind_line    # a parser that has read a request line
    cdef Http1Session spare             # the first of those that no connection holds
    cdef int spares
    cdef Http1Session session(self, Transport transport)
    cdef int give_back(self, Http1Session session) except -1
    cdef int tick(self) except -1
    cdef bytes status_line(self, int status, bytes reason)
    cdef Refusal refusal(self, int status)
    cdef bytes no_tls(self)
    cdef bytes no_http1(self)
    cdef bytes _farewell(self, int status, bytes text)
    cdef bytes turned_away(self)

cdef class ResponseWriter(Session):
    cdef Http1Context context
    cdef bint keep_alive
    cdef bint http11
    cdef bint chunked                   # the response's body
    cdef bint trailers                  # the response has a trailer section
    cdef bint expects_continue          # the client waits for a 100 Continue
    cdef int seen                       # SEEN_… of the response's fields
    cdef char *_write_field(self, Exchange exchange, char *place, PyObject *name, PyObject *value) except NULL
    cdef char *_put_connection(self, char *place) noexcept
    cdef bint _is_open_ended(self, Exchange exchange) noexcept
    cdef int _end_head(self, Exchange exchange, Py_ssize_t size, bint more) except -1
    cdef int _interject(self, Exchange exchange, int status, bytes message) except -1
    cdef bint _admit(self, Exchange exchange, int64_t size, bint more) except -1
    cdef int _piece_sent(self, Exchange exchange, bint more) except -1
    cdef int _write_refusal(self, int status, int retry_after, bint head_only, bytes request_id) except -1
    cdef bytes _location(self)
    cdef int _response_done(self, Exchange exchange) except -1

cdef class LineReader(ResponseWriter):
    cdef int error                      # status with which the request is refused
    cdef int declined                   # status with which it will be answered, as there is no room for it, or another place
    cdef int retry_in                   # ... and when to come again, in seconds
    cdef str why
    cdef bytes line                     # that is none, for the access log
    cdef object method                  # None until the request line is complete
    cdef bint head_only
    cdef const char *target
    cdef size_t target_size
    # its parts, from its start on
    cdef size_t authority_at
    cdef size_t authority_size          # 0: it is not in absolute-form
    cdef bint is_https
    cdef size_t path_at
    cdef size_t path_size
    cdef size_t query_at                # of the question mark, or its end

    cdef int _begin_line(self) except -1
    cdef int _deny(self, int status, str why) noexcept
    cdef const char *_read_line(self, const char *base, const char *end) except? NULL
    cdef int _on_line(self, const char *base, size_t size) except -1
    cdef int _set_method(self, const char *base, size_t size) except -1
    cdef int _split_target(self, const char *base, size_t size) except -1
    cdef const char *_split_authority(self, const char *base, const char *end) except? NULL
    cdef int _set_target(self, Exchange exchange) except -1

cdef class RequestReader(LineReader):
    cdef llhttp.llhttp_t parser
    cdef SessionState state
    cdef int hosts                      # Host fields seen
    cdef Py_ssize_t host_at             # the last one's place
    cdef int codings                    # Transfer-Encoding fields seen
    cdef uint32_t forwarded             # fields seen in which a trusted proxy tells of the client
    cdef int connection                 # ASKED_…
    cdef bint upgrade                   # a WebSocket is offered
    cdef const char *read_base          # what is being parsed, and how many bytes of the message came before it
    cdef size_t raw_size
    cdef size_t head_size               # up to the end of what llhttp has told last, without its line end
    cdef size_t framing_size            # of chunk extensions and trailers
    cdef size_t extension_size          # of the name or value that llhttp is in
    cdef bint extension_quoted
    cdef list fields
    cdef Py_ssize_t field_lines         # of all fields, those that were dropped too
    # what a callback is in the middle of
    cdef Span name
    cdef Span value
    cdef char *c_scratch                # the spans that are kept
    cdef size_t scratch_size
    cdef size_t scratch_capacity

    cdef int _set_state(self, SessionState state) except -1
    cdef int _begin_head(self) except -1
    cdef int _begin_fields(self) except -1
    cdef int _append(self, Span *span, const char *base, size_t size) except -1
    cdef int _check_size(self, size_t more) noexcept
    cdef int _keep(self, Span *span) except -1
    cdef int _grow_scratch(self, size_t size) except -1
    cdef const char *_bytes_of(self, Span *span) noexcept
    cdef int _on_framing(self, size_t size) except -1
    cdef int _on_extension(self, const char *base, size_t size, bint is_value) except -1
    cdef int _on_extension_complete(self) except -1
    cdef int _on_field(self) except -1
    cdef int _on_known_field(self, int known, object field, const char *value, size_t size) except -1
    cdef int _check_coding(self, const char *value, size_t size) except -1
    cdef int _check_head(self) except -1
    cdef int _set_host(self) except -1
    cdef Py_ssize_t _host_size(self) except -1

cdef class LoggedSession(RequestReader):
    cdef int closed_within(self, const char *head, size_t size) except -1
    cdef int _keep_line(self, const char *base, const char *end) except -1
    cdef int _log_done(self, Exchange exchange) except -1
    cdef int _log_cut(self, Exchange exchange) except -1

cdef class RefusingSession(LoggedSession):
    cdef Exchange exchange
    cdef bint dispatched                # the exchange was started

    cdef int refuse(self, int status, str why) except -1
    cdef int _turn_down(self, Exchange exchange, int status, int retry_after) except -1
    cdef int _decline(self, Exchange exchange, int status, Rejection reason, int retry_after) except -1
    cdef int _answer_unserved(self, Exchange exchange, int status, int retry_after) except -1
    cdef int _leave_queue(self) except -1

cdef class TimedSession(RefusingSession):
    cdef Awaited awaited
    cdef Pace pace                      # of the request's body
    cdef size_t body_size               # without its framing
    cdef uint64_t until                 # ms: when the rest of a body must have come; 0: whenever

    cdef int _read_on(self) except -1
    cdef int _await_body(self) except -1
    cdef int _on_request_late(self, Exchange exchange) except -1

cdef class Http1Session(TimedSession):
    cdef Http1Session next_spare
    cdef bint feeding                   # inside feed(): what can be done next is done by its loop
    cdef bint input_ended               # the client sends no more
    cdef bint client_closes             # it asked for the end of the connection
    cdef bint suspended                 # reading is paused because the application does not read
    cdef size_t discarded
    # bytes that came while the last request was being answered
    cdef char *c_pending
    cdef size_t pending_size
    cdef size_t pending_start           # what lies before is parsed already
    cdef bint resuming                  # they are being parsed
    cdef bint stashed_again             # but not to their end

    cdef int _answer_declined(self) except -1
    cdef int _begin_body(self) except -1
    cdef int _make_exchange(self, const Forwarded *told, Handshake handshake) except -1
    cdef int _drop_rest(self) except -1
    cdef int _begin(self) except -1
    cdef int _execute(self, const char *base, size_t size) except -1
    cdef const char *_execute_line(self, const char *base, const char *end) except? NULL
    cdef int _put_off(self, const char *head, const char *end) except -1
    cdef int _parse_error(self) except -1
    cdef bint _is_framing_large(self, const char *place) noexcept
    cdef int _stash(self, const char *base, size_t size) except -1
    cdef void _drop_pending(self) noexcept
    cdef int _dispatch(self) except -1
    cdef int _next(self) except -1
    cdef int _on_head(self) except -1
    cdef int _on_body(self, const char *base, size_t size) except -1
    cdef int _go_on_reading(self) except -1

cdef bint has_head_end(const char *base, size_t size) noexcept
