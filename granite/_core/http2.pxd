# HTTP/2: one session carries the streams of one connection.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from granite._core.address cimport Address
from granite._core.capi cimport nghttp2
from granite._core.counters cimport CLASSES, Rejection
from granite._core.exchange cimport Exchange, Handshake, Protocol
from granite._core.http cimport HttpContext, Pace, Session, Version
from granite._core.transport cimport Transport

cdef enum:
    SPARE_STREAMS = 256                 # streams that a context keeps for reuse
    OWN_PIECES = 4                      # pieces of a response that need no memory of their own
    MOST_OFFENDERS = 64                 # addresses
    MOST_PIECES = 20                    # pieces of address space for slots, each as large as all before
    FRAME_HEAD = 9                      # bytes ahead of what a frame says
    STREAM_ID = 4                       # bytes of a stream's number
    FIELD_OVERHEAD = 32                 # bytes that a field counts beside its octets (RFC 9113, 6.5.2)
    ENDED_STREAMS = 8                   # of which a connection knows that their client has ended them

cdef enum StreamEvent:                  # what is dealt with when nghttp2 has returned
    EVENT_HEAD = 1                      # the request's head is complete
    EVENT_BODY = 2                      # more of its body, or the end
    EVENT_ROOM = 4                      # its queue is nearly empty
    EVENT_CLOSED = 8                    # nghttp2 knows it no more

cdef enum Abuse:                        # what a client may do so often; in the order of its rejections, from REJECTED_HTTP2_RESETS on
    ABUSE_RESETS
    ABUSE_PINGS
    ABUSE_SETTINGS
    ABUSE_EMPTY_FRAMES
    ABUSE_FIELDS
    ABUSE_WINDOWS
    ABUSE_FLOOD
    ABUSE_KINDS

cdef struct Account:                    # of one kind
    uint32_t count                      # events that are not forgiven yet
    uint64_t at                         # ms: up to when was forgiven what the time allows

cdef struct Piece:                      # of a response's body
    PyObject *owner                     # one reference to the bytes, or the OutFile
    const char *base
    size_t size
    int64_t offset                      # in the file; -1: it is bytes

cdef struct Slot:                       # of a session: where its large blocks lie
    PyObject *owner                     # one reference to the Slots
    size_t frames_at                    # behind the session
    int parts                           # PART_… that are in use

cdef struct SlotPiece:
    char *base
    size_t slots

cdef enum FrameVerdict:
    FRAME_SOUND
    FRAME_OF_ENDED_STREAM
    FRAME_OF_BAD_PRIORITY
    FRAME_OF_ENDLESS_BLOCK

cdef enum StreamEnd:                    # how the client has ended a stream
    END_OF_REQUEST                      # there is nothing that could follow
    END_BY_RESET                        # what it was about to send may follow
    END_IS_LATE                         # that has come, and it is to be told
    END_IS_TOLD

cdef struct EndedStream:
    uint32_t id                         # 0: none
    StreamEnd end

cdef struct FrameScan:                  # where in the client's frames it is
    size_t rest                         # bytes of the last one, or of the preface, that are to come
    uint8_t head[FRAME_HEAD + STREAM_ID]        # of the next one
    size_t held                         # bytes of that which have come
    bint in_block                       # only CONTINUATION may be next
    int continuations                   # frames of the block so far, but for its first
    EndedStream ended[ENDED_STREAMS]    # the last ones
    int oldest                          # whose place is the next one's
    bint late                           # END_IS_LATE is among them
    FrameVerdict verdict                # on the frame whose head it holds

cdef class Slots:
    cdef SlotPiece c_pieces[MOST_PIECES]
    cdef int pieces
    cdef size_t count                   # of slots
    cdef char **c_free                  # those in no use
    cdef size_t free                    # how many
    cdef size_t spare                   # of these, the last ones, which have kept their pages
    cdef size_t live                    # in use
    cdef bint _map(self) noexcept
    cdef Slot *take(self) noexcept
    cdef void give(self, Slot *slot) noexcept
    cdef dict figures(self)

cdef struct Offender:
    Address address
    uint64_t until                      # ms: when it is forgotten

cdef class Offenders:
    cdef Offender c_known[MOST_OFFENDERS]
    cdef int oldest                     # whose place is the next one's
    cdef uint64_t until                 # ms: when all are forgotten
    cdef Offender *_find(self, const Address *address, uint64_t now) noexcept
    cdef int note(self, Transport transport) noexcept
    cdef bint know(self, Transport transport) noexcept

cdef class Http2Context(Version):
    cdef HttpContext http
    cdef Offenders offenders
    cdef Slots slots                    # None: all memory is malloc()'s
    cdef nghttp2.nghttp2_session_callbacks *c_callbacks
    cdef nghttp2.nghttp2_option *c_option
    cdef int64_t responses[CLASSES]     # whose status has been submitted, interim and refusing ones among them
    cdef size_t connection_window
    cdef size_t stream_window
    cdef uint32_t max_streams
    cdef size_t max_frame_size
    cdef size_t max_head_size
    cdef size_t max_path
    cdef uint64_t ping_interval         # ms, 0 = off
    cdef uint64_t ping_timeout          # ms
    cdef bint adaptive                  # windows grow
    cdef size_t high_water              # bytes that a stream may have unsent before its send() waits
    cdef Http2Stream spare
    cdef int spares
    cdef Http2Stream stream(self, Http2Session session, int32_t id)
    cdef int give_back(self, Http2Stream stream) except -1

cdef class LimitedSession(Session):
    # what the client may do, and what it is asked
    cdef Http2Context context
    cdef nghttp2.nghttp2_session *c_session
    cdef bint ending                    # the connection is: nghttp2 was told so
    cdef bint busy                      # nghttp2 is being called, and must not be called again
    cdef uint32_t fault                 # the error with which the client has ended the connection meanwhile; 0: none
    cdef FrameScan scan
    cdef int last_kind                  # of the frame that came last
    cdef bint draining                  # no further streams are wanted
    cdef Account accounts[ABUSE_KINDS]
    cdef int64_t in_vain                # bytes of frames that had no effect, and have no account, less those that may have been on their way when their stream ended
    cdef int32_t last_id                # the highest that the client has used
    cdef int32_t gap                    # ids between these two were passed over
    cdef int32_t gap_end
    cdef uint64_t head_until            # ms: when the block of fields must be complete that is coming; 0: there is none
    cdef int32_t head_id                # the stream of that
    cdef bint head_ends                 # with the frame that has begun
    cdef uint64_t drain_at              # ms: when the last GOAWAY is due; 0: it is not, or was sent
    cdef int32_t last_told              # the last stream that it names, whether or not it has left; all until then
    cdef uint64_t ping_at               # ms: when to see whether the client is still there; 0: never
    cdef uint64_t pong_until            # ms: when it must have answered; 0: it was not asked
    cdef size_t pong_behind             # bytes that were on their way then, the PING last
    cdef size_t window                  # of the connection
    cdef size_t stream_window
    cdef size_t sampled                 # bytes of bodies since the PING that measures them
    cdef bint sampling
    cdef int _check(self, int code) except -1
    cdef int _end(self, uint32_t code, Rejection reason, str why) except -1
    cdef int _terminate(self, uint32_t code) except -1
    cdef int32_t _last_begun(self) noexcept
    cdef int _note_offence(self, uint32_t code) noexcept
    cdef int _open_accounts(self) noexcept
    cdef int _account(self, Abuse kind) except -1
    cdef int _on_begin_frame(self, const nghttp2.nghttp2_frame_hd *head) except -902
    cdef int _refuse_frame(self) except -1
    cdef bint _has_terminated(self) except -1
    cdef int _on_late_frames(self) except -1
    cdef int _on_taken(self, ssize_t size) except? -902
    cdef int _on_id(self, int32_t id) except -1
    cdef int _ping(self, bytes data) except -1
    cdef int _on_pong(self, const uint8_t *data) except -1
    cdef int _on_ping_sent(self, const uint8_t *data) except -1
    cdef int _await_pong(self) except -1
    cdef int _on_silence(self, uint64_t now) except -1
    cdef int _on_goaway_sent(self) except -1
    cdef int _last_goaway(self) except -1
    cdef int _sample(self, size_t size) except -1
    cdef int _adapt(self) except -1
    cdef int _soon(self) except -1

cdef class Http2Session(LimitedSession):
    cdef PyObject *c_first              # open streams, the oldest first, one reference each
    cdef PyObject *c_last
    cdef int streams                    # how many
    cdef int incomplete                 # of these, those whose request is not
    cdef int32_t urged                  # the highest id of which the client has said how urgent it is
    cdef Http2Stream noted              # the first of those that have an event
    cdef Http2Stream last_noted
    cdef bint broken                    # nghttp2 must not be called any more, but to free what it holds
    cdef Slot *c_slot                   # where nghttp2's large blocks are; NULL: anywhere
    cdef bint awake                     # a stream has begun since the connection was idle last
    cdef uint64_t rest_at               # ms: when the connection is to rest, if no stream is open then; 0: that was seen to
    cdef bint delivering                # events are being dealt with, in their order
    cdef uint64_t until                 # ms: when the next request must have come; 0: whenever
    cdef size_t unread                  # bytes of bodies that applications have not taken
    cdef size_t withheld                # bytes that the client is not told of on the connection's window
    cdef int _open(self, Http2Context context, Transport transport) except -1
    cdef int _new_session(self) except -1
    cdef void _free(self) noexcept
    cdef int _deliver(self) except -1
    cdef Http2Stream _next_noted(self)
    cdef int _pump(self) except -1
    cdef int _write(self) except -1
    cdef int _copy_goaway(self, const char *data, size_t size) except -1
    cdef int _on_broken(self, int code) except -1
    cdef list _open_streams(self)
    cdef int _close_streams(self) except -1
    cdef int _take(self, Http2Stream stream) except -1
    cdef int _remove(self, Http2Stream stream) except -1
    cdef void _note(self, Http2Stream stream, int event) noexcept
    cdef int _await_head(self, int32_t id) noexcept
    cdef int _on_late_head(self) except -1
    cdef int _received(self, size_t size) except -1
    cdef int _release_window(self) except -1
    cdef int _on_begin_headers(self, const nghttp2.nghttp2_frame *frame) except -902
    cdef int _on_frame(self, const nghttp2.nghttp2_frame *frame) except -902
    cdef int _on_rejected(self, uint32_t error) except -1
    cdef int _on_priority(self, int32_t id) except -1
    cdef int _on_malformed(self) except -1
    cdef int _on_frame_sent(self, const nghttp2.nghttp2_frame *frame) except -902

cdef class StreamResponse(Protocol):
    # the response half
    cdef Http2Context context
    cdef HttpContext http
    cdef Http2Session session           # None: it is a spare one
    cdef Transport transport
    cdef int32_t id
    cdef nghttp2.nghttp2_nv *c_fields   # the response's fields, until nghttp2 has written them
    cdef size_t fields_count
    cdef size_t fields_size             # as SETTINGS_MAX_HEADER_LIST_SIZE counts it
    cdef size_t fields_capacity
    cdef list owners                    # of what they point to
    cdef int seen                       # SEEN_… of the response's fields
    cdef char status_text[4]
    cdef char length_text[24]
    cdef Piece own_pieces[OWN_PIECES]
    cdef Piece *c_pieces                # a ring
    cdef uint32_t pieces_capacity       # a power of two
    cdef uint32_t pieces_first
    cdef uint32_t pieces_count
    cdef size_t queued                  # bytes in them
    cdef bint submitted                 # the head was
    cdef uint64_t moved_at              # ms: when the last frame was written
    cdef bint deferred                  # nghttp2 waits for resume_data()
    cdef bint was_reset                 # by this end: nothing more of it is sent
    cdef bint complete                  # the last piece is there
    cdef bint wants_room                # the high-water mark was reached
    cdef int interims                   # responses of these that wait for the socket
    cdef list trailers                  # that follow the body
    cdef bint expects_continue          # the client waits for a 100 Continue
    cdef int64_t bytes_out
    cdef int _put(self, const char *name, size_t name_size, const char *value, size_t value_size) except -1
    cdef void _drop_fields(self) noexcept
    cdef void _drop_pieces(self) noexcept
    cdef int _grow_pieces(self) except -1
    cdef int _add_piece(self, object owner, const char *base, size_t size, int64_t offset) except -1
    cdef int _write_field(self, Exchange exchange, PyObject *name, PyObject *value) except -1
    cdef int _put_defaults(self, bint secure, bytes request_id) except -1
    cdef int _put_status(self, int status) except -1
    cdef int _put_length(self, int64_t size) except -1
    cdef int _end_head(self, Exchange exchange, int64_t size, bint more) except -1
    cdef int _submit(self, bint has_body) except -1
    cdef int _submit_fields(self, int status, list fields) except -1
    cdef bint _admit(self, Exchange exchange, int64_t size, bint more) except -1
    cdef int _piece_sent(self, Exchange exchange, bint more) except -1
    cdef int _wake(self) except -1
    cdef ssize_t _read(self, size_t most, uint32_t *flags) except -902
    cdef int _write_frame(self, const uint8_t *head, size_t size) except -902
    cdef int _write_refusal(self, int status, int retry_after, bint head_only, bytes request_id) except -1
    cdef int _reset(self, uint32_t code) except -1
    cdef int _submit_trailers(self) except -1
    cdef void _consume(self, Piece *piece, size_t size) noexcept
    cdef int _has_room(self) except -902
    cdef int _response_done(self, Exchange exchange) except -1

cdef class StreamRequest(StreamResponse):
    # the request's head
    cdef object method
    cdef object raw_path
    cdef object path
    cdef object query_string
    cdef bint is_tunnel                 # an extended CONNECT, whose body is a WebSocket's
    cdef object authority               # the field that it is, as Host
    cdef list fields
    cdef list cookies                   # values; None: one at most, at its place
    cdef Py_ssize_t cookie_at
    cdef Py_ssize_t field_lines
    cdef size_t head_size               # as SETTINGS_MAX_HEADER_LIST_SIZE counts it
    cdef int64_t content_length         # -1: none
    cdef uint32_t forwarded             # fields seen in which a trusted proxy tells of the client
    cdef bint in_trailers
    cdef bint malformed                 # it is being reset for that
    cdef int error                      # status with which the request is refused
    cdef int declined                   # status with which it is answered, as there is no room for it
    cdef int retry_in
    cdef str why
    cdef int _deny(self, int status, str why) noexcept
    cdef int _on_field(self, const char *name, size_t name_size, const char *value, size_t value_size) except -1
    cdef int _on_pseudo_field(self, const char *name, size_t name_size, const char *value, size_t value_size) except -1
    cdef int _on_target(self, const char *base, size_t size) except -1
    cdef int _on_known_field(self, int known, object field, const char *value, size_t size) except -1
    cdef bytes _normal(self, bytes host)
    cdef int _check_head(self) except -1

cdef class Http2Stream(StreamRequest):
    cdef Http2Stream next_spare
    cdef PyObject *c_next
    cdef PyObject *c_previous
    cdef Http2Stream next_noted
    cdef int events                     # EVENT_…
    cdef bint is_noted
    cdef Exchange exchange              # None once it is answered
    cdef Tunnel tunnel                  # of the WebSocket to which it belongs; None: to none
    cdef int urgency                    # of a WebSocket, as the server has decided; URGENCY_OF_CLIENT: it has not
    cdef Exchange unlogged              # that is answered, and whose line of the access log waits for the stream's end
    cdef bint dispatched
    cdef bint ended                     # the client sends no more
    cdef bint refused
    cdef bint closed                    # nghttp2 knows it no more
    cdef uint32_t code                  # with which it has closed
    cdef size_t unread                  # bytes of the body that the client is not told of
    cdef uint64_t body_size
    cdef Pace pace
    cdef bint paced                     # it is the client's turn to send more of the body
    cdef int64_t bytes_in
    cdef int _begin(self, Http2Session session, int32_t id) except -1
    cdef int _on_head(self, bint ends) except -1
    cdef int _on_data(self, const char *base, size_t size) except -1
    cdef int _on_end(self) except -1
    cdef int _make_exchange(self) except -1
    cdef Handshake _judge(self)
    cdef void _request_ends(self) noexcept
    cdef int _pace(self, uint64_t now) noexcept
    cdef bint _has_unsent(self) noexcept
    cdef uint64_t _deadline(self) noexcept
    cdef int _on_late(self, uint64_t now) except -1
    cdef int _on_stalled(self, uint64_t now) except -1
    cdef int _handle(self, int events) except -1
    cdef int _dispatch(self) except -1
    cdef int _refuse(self, int status, str why) except -1
    cdef int _turn_down(self, Exchange exchange, int status, int retry_after) except -1
    cdef int _closed(self) except -1
    cdef int _end(self) except -1
    cdef int _drop_body(self) except -1
    cdef int _taken(self) except -1
    cdef int _give(self, size_t size) except -1
    cdef int _decline(self, Exchange exchange, int status, Rejection reason, int retry_after) except -1
    cdef Exchange _record(self)
    cdef int _log(self, Exchange exchange, bint aborted) except -1

cdef class Tunnel(Transport):
    # a stream as what carries a WebSocket
    cdef Http2Stream stream             # None: it has ended
    cdef Session session                # the WebSocket
    cdef char *c_input                  # what has come and it has not been fed
    cdef size_t input_size
    cdef size_t input_capacity
    cdef bint end_told                  # it knows that the client sends no more
    cdef uint64_t until                 # ms: when the client must have ended its half as well; 0: this one goes on
    cdef int _open(self, Http2Stream stream, Exchange exchange) except -1
    cdef int take(self, const char *base, size_t size) except -1
    cdef int handle(self, int events) except -1
    cdef int _feed(self) except -1
    cdef int _on_room(self) except -1
    cdef int _give_back(self) except -1
    cdef int await_end(self) except -1
    cdef uint64_t deadline(self) noexcept
    cdef int on_due(self, uint64_t now) except -1
    cdef int closed(self) except -1
