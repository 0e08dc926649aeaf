# WebSocket (RFC 6455) with permessage-deflate (RFC 7692): frames in, messages out, and the other way round.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from granite._core.capi.payload cimport Utf8
from granite._core.capi.zlib cimport z_stream
from granite._core.counters cimport CLASSES, Histogram
from granite._core.exchange cimport Exchange, Handshake, WebSocketState
from granite._core.http cimport Session, WebSockets

cdef enum:
    MOST_HEAD = 14                      # octets of a frame's head
    MOST_CONTROL = 125                  # of a control frame's payload
    MOST_BITS = 15                      # of a window
    SPARE_INFLATERS = 8                 # that a context keeps for reuse
    SCRATCH_SIZE = 16384                # bytes that are unmasked at once before they are inflated
    BETWEEN_BLOCKS = 128                # in zlib's data_type: it has inflated up to the end of a block
    FIRST_PIECE = 4096                  # bytes that a message in pieces gets at first
    SHARED_LIMIT = 262144               # bytes up to which the frame of a message is kept for other connections

cdef enum Opcode:
    OP_CONTINUATION = 0
    OP_TEXT = 1
    OP_BINARY = 2
    OP_CLOSE = 8
    OP_PING = 9
    OP_PONG = 10

cdef enum CloseCode:                    # RFC 6455, 7.4.1, and its registry
    CLOSE_NORMAL = 1000
    CLOSE_GOING_AWAY = 1001
    CLOSE_PROTOCOL_ERROR = 1002
    CLOSE_NO_STATUS = 1005              # never sent: the frame has none
    CLOSE_ABNORMAL = 1006               # never sent: there was no frame
    CLOSE_INVALID_DATA = 1007
    CLOSE_TOO_BIG = 1009
    CLOSE_INTERNAL_ERROR = 1011
    CLOSE_SERVICE_RESTART = 1012

cdef struct Stream:                     # of zlib
    z_stream z
    Stream *next                        # the next spare one
    int bits                            # of its window

cdef struct Deflate:                    # what was agreed on
    bint on
    bint server_takeover                # the window stays from one message to the next
    bint client_takeover
    uint8_t server_bits
    uint8_t client_bits

cdef class OfferedHandshake(Handshake):
    cdef Deflate deflate                # what was agreed on

cdef class WebSocketContext(WebSockets):
    # what all WebSockets of a server share
    cdef frozenset origins              # whose pages may open one; None: all
    cdef Py_ssize_t max_queue
    cdef uint64_t ping_interval         # ms, 0 = off, as the others
    cdef uint64_t ping_timeout
    cdef uint64_t close_timeout
    cdef int64_t responses[CLASSES]     # that have accepted one: 101, or 200 over HTTP/2
    cdef int64_t received               # messages
    cdef int64_t sent
    cdef Histogram round_trip           # of pings
    cdef size_t max_message             # bytes, 0: no limit
    cdef size_t max_frame
    cdef uint32_t max_fragments
    cdef size_t fragment_size           # of messages that are sent; 0: each is one frame
    cdef Deflate deflate                # what is offered at most
    cdef int level
    cdef int memory_level
    cdef size_t threshold               # bytes from which on a message is compressed
    cdef char *c_scratch
    cdef Stream *c_inflaters            # spare ones
    cdef int inflaters
    cdef Stream *c_deflaters[MOST_BITS + 1]     # one for each window size, for messages without a context
    cdef readonly int streams           # that exist, spare ones too
    cdef readonly int64_t deflated      # messages that were compressed, since the start
    cdef object shared                  # the last message that was compressed without a context, or is likely to be
    cdef bytes shared_body              # ... what came of it; None: nothing yet
    cdef int shared_bits
    cdef Stream *borrow_inflater(self, int bits) except NULL
    cdef void give_back(self, Stream *stream) noexcept
    cdef Stream *new_deflater(self, int bits) except NULL
    cdef void drop_deflater(self, Stream *stream) noexcept
    cdef Stream *_new_stream(self, int bits) except NULL
    cdef bytes compress_alone(self, object message, const char *base, size_t size, int bits)
    cdef char *scratch(self) except NULL

cdef class FrameWriter(Session):
    cdef WebSocketContext context
    cdef Deflate deflate
    cdef Stream *c_deflater             # while its window is kept
    cdef int write_message(self, object message) except -1
    cdef int write_control(self, Opcode opcode, const char *base, size_t size) except -1
    cdef int _write_data(self, Opcode opcode, bint compressed, object owner, const char *base, size_t size) except -1
    cdef int _write_frame(self, int first, object owner, const char *base, size_t size) except -1
    cdef bytes _compress(self, object message, const char *base, size_t size)

cdef class FrameReader(FrameWriter):
    # the frame that is being read
    cdef uint8_t head[MOST_HEAD]
    cdef uint8_t head_size              # octets of it that have come, where a read's end cut it
    cdef uint8_t opcode
    cdef bint final
    cdef bint in_payload
    cdef bint failed                    # nothing is read any more
    cdef unsigned char mask[4]
    cdef uint64_t frame_size
    cdef uint64_t left                  # bytes of its payload that have not come
    cdef char *c_control                # what has come of a control frame's payload
    # the message that is being read
    cdef uint8_t kind                   # OP_TEXT or OP_BINARY; 0: none
    cdef bint compressed
    cdef uint32_t fragments
    cdef Utf8 utf8
    cdef PyObject *c_message            # bytes, longer than what has come
    cdef size_t message_size
    cdef Stream *c_inflater
    cdef Py_ssize_t read(self, const char *base, size_t size) except -1
    cdef const char *_read_head(self, const char *place, const char *end) except NULL
    cdef int _begin_frame(self, const unsigned char *head) except -1
    cdef int _begin_data(self, int first) except -1
    cdef const char *_read_payload(self, const char *place, const char *end) except NULL
    cdef int _take_control(self, const char *place, size_t size) except -1
    cdef int _take_whole(self, const char *place) except -1
    cdef int _take_data(self, const char *place, size_t size) except -1
    cdef int _inflate(self, const char *base, size_t size) except -1
    cdef int _grow(self, size_t size) except -1
    cdef int _grown(self, size_t size) except -1
    cdef int _end_frame(self) except -1
    cdef int _end_blocks(self) except -1
    cdef int _end_message(self) except -1
    cdef int _end_control(self, const char *payload, size_t size) except -1
    cdef int _fail(self, int code, str why) except -1
    cdef void forget(self) noexcept
    # for the session to fill in
    cdef bint wants_more(self) noexcept
    cdef int on_message(self, object message) except -1
    cdef int on_ping(self, const char *payload, size_t size) except -1
    cdef int on_pong(self, const char *payload, size_t size) except -1
    cdef int on_close(self, int code, str reason) except -1
    cdef int on_violation(self, int code, str why) except -1

cdef class WebSocketSession(FrameReader):
    cdef Exchange exchange              # None: it has been told of the end
    cdef WebSocketState state
    cdef bint suspended                 # reading is paused because the application does not take its messages
    cdef bint input_ended               # the client sends no more than what is kept
    cdef char *c_kept                   # what was read and has not been looked at, for that reason
    cdef size_t kept_size
    cdef size_t kept_from
    cdef int failure                    # the code with which it will be closed when what came before has been taken; 0: none
    cdef str failure_why
    cdef bytes late_pong                # what the client was not ready to be answered
    cdef int64_t pinged_at              # ns: when the ping was sent that is not answered; 0: there is none
    cdef uint64_t pong_until            # ms: when its answer must have come; 0: whenever
    cdef uint64_t ping_at               # ms: when the next one is due; 0: never
    cdef uint64_t until                 # ms: when the client must have closed as well, or what came before a failure have been taken; 0: whenever
    cdef int _set_state(self, WebSocketState state) except -1
    cdef int _keep(self, const char *base, size_t size) except -1
    cdef void _drop_kept(self) noexcept
    cdef int _pause(self) except -1
    cdef int _lose(self) except -1
    cdef int _ping(self, uint64_t now) except -1
    cdef int _expect_pong(self) except -1
    cdef int _begin_closing(self, int code, str reason) except -1
    cdef int _write_close(self, int code, str reason) except -1
    cdef int _tell(self, int code, str reason) except -1
    cdef int _finish(self) except -1
    cdef int _close_failed(self, int code, str why) except -1
