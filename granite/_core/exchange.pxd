# The narrow waist: one request and its response, whatever the protocol below and the interface above.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from granite._core.counters cimport REASONS, Histogram, Rejection
from granite._core.transport cimport LoopTurn

cdef enum:
    MOST_LINES = 10                     # of the log about what is turned away, each second and for each reason

cdef enum ResponseState:
    RESPONSE_NONE                       # nothing yet
    RESPONSE_HEAD                       # status and fields are accepted, nothing has left
    RESPONSE_BODY                       # the head has left, the body has not ended
    RESPONSE_DONE                       # complete, or cut short

cdef enum Turn:
    TURN_NONE                           # not asked for, or over
    TURN_WAITING                        # in the queue
    TURN_COME                           # a place is kept for it
    TURN_TAKEN                          # it runs in its place

cdef enum WebSocketState:               # each follows the one before, or any before it
    WEBSOCKET_CONNECTING                # the handshake has not been answered
    WEBSOCKET_OPEN
    WEBSOCKET_CLOSING                   # this end has said that it closes, the other one has not
    WEBSOCKET_CLOSED                    # nothing comes any more, and nothing goes

cdef inline bint is_close_code(int code) noexcept:
    """Whether a close frame may have it (RFC 6455, 7.4, and its registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999

cdef inline bint is_bodyless(int status) noexcept:
    """RFC 9110, 6.4.1 and 15.3.6: these statuses have no content, whatever their fields say."""
    return status == 204 or status == 304 or status == 205

cdef class Rejections:
    cdef int64_t counts[REASONS]
    cdef int64_t recent[REASONS]        # since `timer` was made
    cdef object loop
    cdef object timer                   # the loop's TimerHandle; None: nothing was turned away for a while
    cdef void count(self, Rejection reason) noexcept
    cdef bint note(self, Rejection reason) except -1
    cdef int close(self) except -1

cdef class Admission:
    cdef int places                     # exchanges that run at once
    cdef int taken
    cdef readonly int waiting           # exchanges in the queue
    cdef bint rejects                   # who finds no place does not wait
    cdef int64_t longest_wait           # ns, 0 = off
    cdef Rejections rejections
    cdef object loop
    cdef object timer                   # the loop's TimerHandle for the first of those who wait
    cdef PyObject *c_first              # waiting Exchanges, linked by c_older and c_newer
    cdef PyObject *c_last
    cdef bint turns_away(self) noexcept
    cdef bint admit(self, Exchange exchange) except -1
    cdef int release(self, Exchange exchange) except -1
    cdef int withdraw(self, Exchange exchange, bint gone) except -1
    cdef bint _push(self, Exchange exchange) except -1
    cdef void _pop(self, Exchange exchange) noexcept
    cdef bint _is_late(self, Exchange exchange) noexcept
    cdef int _turn_away(self, Exchange exchange) except -1
    cdef int close(self) except -1

cdef class RequestIds:
    cdef readonly bytes name
    cdef object variable
    cdef uint64_t random
    cdef uint64_t count
    cdef bytes fresh(self)
    cdef int give(self, Exchange exchange) except -1
    cdef int enter(self, Exchange exchange, object context) except -1
    cdef bint _is_id(self, bytes given) noexcept

cdef class Handshake:
    # what a client that asks for a WebSocket says, and what it gets
    cdef int status                     # with which it is refused, 0: it is not
    cdef str why
    cdef list subprotocols              # that the client offers, str
    cdef bytes accept                   # Sec-WebSocket-Accept; None where the version of HTTP has no such field
    cdef bytes extensions               # Sec-WebSocket-Extensions of the answer; None: it has none

cdef class Protocol:
    # called by the admission
    cdef int turn_has_come(self, Exchange exchange) except -1
    cdef int turn_away(self, Exchange exchange, Rejection reason) except -1
    # called by an exchange
    cdef int send_interim(self, Exchange exchange, int status, object headers) except -1
    cdef int start_response(self, Exchange exchange, int status, object headers) except -1
    cdef int discard_head(self, Exchange exchange) except -1
    cdef int send_body(self, Exchange exchange, object body, bint more) except -1
    cdef int send_file(self, Exchange exchange, int fd, int64_t offset, int64_t count, bint more) except -1
    cdef int send_trailers(self, Exchange exchange, object headers) except -1
    cdef int cut_short(self, Exchange exchange) except -1
    cdef int push(self, Exchange exchange) except -1
    cdef int body_wanted(self, Exchange exchange) except -1
    cdef bint writable(self, Exchange exchange) noexcept
    # called by an exchange that is a WebSocket's
    cdef int accept(self, Exchange exchange, str subprotocol, list headers) except -1
    cdef int send_message(self, Exchange exchange, object message) except -1
    cdef int message_awaited(self, Exchange exchange) except -1
    cdef int close_websocket(self, Exchange exchange, int code, str reason) except -1

cdef class Interface:
    cdef readonly int live              # exchanges that exist
    cdef readonly int running           # calls of the application that have not returned
    cdef readonly long long requests    # exchanges that were started
    cdef long long max_requests         # at how many `on_max_requests` is called; 0: at none
    cdef object on_max_requests
    cdef Admission admission            # None: whatever comes is started
    cdef RequestIds request_ids         # None: requests have none
    cdef object on_quiet                # called when `running` falls to zero
    cdef object on_overrun              # called when a request takes too long
    cdef object on_error                # called with what the application lets escape; None: nobody is
    cdef Histogram queue_time           # of the requests that have a `read_at`
    cdef PyObject *c_oldest             # running Exchanges, linked in the order in which they were started
    cdef PyObject *c_newest
    cdef int attach(self, LoopTurn turn) except -1
    cdef int detach(self) except -1
    cdef void export_threads(self, int64_t *snapshot) noexcept
    cdef Exchange new_exchange(self)
    cdef Exchange new_websocket(self)
    cdef int cancel(self) except -1
    cdef int started(self, Exchange exchange) except -1
    cdef void calling(self, Exchange exchange) noexcept
    cdef int finished(self, Exchange exchange) except -1
    cdef list in_flight(self, int most)
    cdef int overran(self, Exchange exchange) except -1
    cdef list overrun(self, int64_t until)
    cdef int64_t first_overrun(self) noexcept
    cdef void _unlink(self, Exchange exchange) noexcept

cdef class Exchange:
    cdef Interface interface
    cdef Protocol protocol              # None once the connection has no more to do with it
    # request
    cdef object method
    cdef object path
    cdef object raw_path
    cdef object query_string
    cdef list headers                   # of (name, value), bytes
    cdef object http_version
    cdef object scheme
    cdef object client                  # (address, port); the port is 0 where a proxy does not tell it
    cdef object server
    cdef bytes request_id               # None: requests have none
    cdef Handshake handshake            # of a WebSocket; None: it is a request
    cdef bint secure                    # the connection has TLS, whatever the scheme says
    cdef tuple tls                      # what SecureLayer.describe() says of it; None: it ends in front of the server, or there is none
    cdef object prefix                  # of the path, that a proxy has taken away; None for none
    cdef bint trusted                   # the peer is a proxy that is believed
    cdef bint head_only                 # HEAD: the response has no body
    cdef int64_t read_at                # when the reactor learned of its bytes, ns; 0: durations are not measured
    cdef int64_t began_at               # when its head was complete, ns
    cdef int64_t overrun_at             # when it was found to take too long, ns; 0: not, or its call was made to end since
    cdef int64_t bytes_in               # head and body, as they were read; known when it has ended
    cdef Turn turn
    # while it runs: the list of the interface; while it waits: the queue of the admission
    cdef bint linked                    # in the former
    cdef PyObject *c_older
    cdef PyObject *c_newer
    # request body
    cdef object body                    # the first piece that the interface has not taken
    cdef char *c_more                   # what came after it
    cdef size_t more_size
    cdef size_t more_capacity
    cdef list trailers                  # of (name, value), bytes: filled in when the body is complete; None: there can't be any
    cdef bint body_withheld             # the client sends it when it is asked for it
    cdef bint body_complete
    cdef bint body_taken                # the interface has seen its end
    cdef bint read_ended                # the peer sends no more: it has gone, or waits for the answer
    cdef bint disconnected
    cdef bint gone_told                 # the application was told that the client has gone
    # response
    cdef ResponseState response
    cdef bint trailing                  # send_trailers() ends it: each send_body() says that more comes
    cdef int status
    cdef bytes reason                   # in the application's words; None for the usual ones, and where a protocol has no such words
    cdef int64_t declared               # Content-Length, -1 if none
    cdef int64_t sent                   # body bytes that the application has sent
    cdef int64_t bytes_out              # head and body, as they were written; known when it has ended
    cdef int64_t first_byte_at          # when its head was written, ns; only where somebody wants to know
    cdef object response_fields         # as the application gave them; likewise
    cdef bint aborted                   # it is not whole: the client has gone, or the application has failed

    cdef str name(self)
    cdef bint may_start(self) except -1
    cdef int withdraw(self, bint gone) except -1
    cdef int64_t body_bytes(self) noexcept
    cdef size_t buffered(self) noexcept
    cdef int add_body(self, const char *base, size_t size) except -1
    cdef bytes take_body(self)
    cdef bint takes_trailers(self) except -1
    cdef int64_t send_path(self, str path, int64_t offset, int64_t count, bint more) except -1
    cdef int64_t send_range(self, int fd, int64_t offset, int64_t count, bint more) except -1
    cdef Protocol carrier(self)
    cdef int _set_response(self, ResponseState state) except -1
    cdef int respond(self, int status, bytes text) except -1
    cdef int fail(self) except -1
    cdef int leave(self) except -1
    cdef int report(self, object exc) except -1
    # for the interface to fill in; called by a protocol, but for abort()
    cdef int start(self) except -1
    cdef bint abort(self) except -1
    cdef int on_body(self) except -1
    cdef int on_writable(self) except -1
    cdef int on_read_ended(self) except -1
    cdef int on_disconnect(self) except -1
    # for those of WebSockets
    cdef int on_message(self, object message) except -1
    cdef bint wants_messages(self, Py_ssize_t most, size_t size) noexcept
    cdef int on_websocket_closed(self, int code, str reason) except -1
