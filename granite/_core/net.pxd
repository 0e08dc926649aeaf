# The one extension that links libuv: the reactor, its timer wheel, its handles.

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from granite._core.buf cimport OutBuf, OutPool, OutQueue, iovec
from granite._core.capi cimport uv
from granite._core.transport cimport SecureLayer, Transport

cdef enum:
    READ_BUFFER_SIZE = 65536
    MAX_ROUNDS = 4                      # of uv_run() in one pump
    WHEEL_SLOTS = 128
    WHEEL_TICK = 250                    # ms; deadlines are met within one tick
    LINGER_TIMEOUT = 2000               # ms that a closed answer waits for the peer's end

cdef struct WheelNode:
    WheelNode *next
    WheelNode *previous
    uint64_t deadline                   # ms on the reactor's clock; 0 = disarmed
    uint64_t due                        # tick in whose slot the node hangs; only meaningful while linked
    void *owner                         # the StreamHandle, borrowed: it unlinks the node before it goes

cdef enum HandleState:
    HANDLE_NEW                          # libuv does not know it yet
    HANDLE_OPEN                         # initialised; libuv owns one reference
    HANDLE_CLOSING                      # uv_close() was called
    HANDLE_CLOSED                       # its close callback has run

cdef struct WriteRequest:
    uv.uv_write_t req
    OutBuf *bufs                        # what it writes
    size_t size

cdef struct Address:
    uint8_t family                      # 4, 6, 1 for a Unix socket, 0 while unknown
    uint16_t port
    unsigned char ip[16]

ctypedef union StreamUnion:
    uv.uv_stream_t stream
    uv.uv_handle_t handle
    uv.uv_tcp_t tcp
    uv.uv_pipe_t pipe

cdef class TimerWheel:
    cdef uv.uv_timer_t timer
    cdef WheelNode slots[WHEEL_SLOTS]
    cdef uint64_t tick                  # the last tick that was handled
    cdef readonly int linked
    cdef HandleState state
    cdef Reactor reactor
    cdef int _open(self, Reactor reactor) except -1
    cdef void _close(self) noexcept
    cdef int arm(self, WheelNode *node, uint64_t delay) except -1
    cdef void unlink(self, WheelNode *node) noexcept
    cdef void _link(self, WheelNode *node) noexcept
    cdef void _on_tick(self) noexcept

cdef class Reactor:
    cdef uv.uv_loop_t loop
    cdef readonly OutPool pool
    cdef TimerWheel wheel
    cdef char *read_buffer
    cdef readonly int handles           # libuv handles that are not closed yet
    cdef bint closed
    cdef bint pumping                   # inside pump() or a turn: what is asked for is done before it returns
    cdef bint in_run                    # inside uv_run()
    cdef bint scheduled                 # a turn is queued on the outer loop
    cdef bint stale                     # handles changed since the last uv_run(): run it again
    cdef list soon                      # StreamHandles with work for the end of this turn
    cdef object outer                   # the application's event loop
    cdef object context                 # in which this reactor's callbacks run
    cdef object wake                    # the outer loop's TimerHandle for libuv's next timer
    cdef double wake_at
    cdef object escaped                 # SystemExit or KeyboardInterrupt on its way to the outer loop
    cdef object _turn_callback
    cdef object last_host
    cdef Address last_address
    cdef dict local_addresses
    cdef uint64_t now(self) noexcept
    cdef int touch(self) except -1
    cdef void closing(self) noexcept
    cdef int _raise_escaped(self) except -1
    cdef int run_soon(self, StreamHandle handle) except -1
    cdef int _schedule(self) except -1
    cdef int _run(self) except -1
    cdef int _run_soon(self) except -1
    cdef int _rearm(self) except -1
    cdef object host_of(self, const Address *address)
    cdef void report(self, object exc) noexcept

cdef class StreamHandle(Transport):
    cdef StreamUnion h
    cdef Reactor reactor
    cdef WheelNode timer
    cdef WriteRequest *inflight
    cdef SecureLayer layer              # None: what is written and read is what is on the wire
    cdef Address peer
    cdef object local
    cdef HandleState state
    cdef bint is_pipe
    cdef bint reading
    cdef bint read_ended                # the peer sent its FIN
    cdef bint shutting                  # close when everything has left
    cdef bint linger                    # ... after the peer's end
    cdef bint lingering
    cdef bint in_soon
    cdef int _open(self, Listener listener) except -1
    cdef void _close(self) noexcept
    cdef void _on_closing(self) noexcept
    cdef void _closed(self) noexcept
    cdef int start_reading(self) except -1
    cdef int arm(self, uint64_t delay) except -1
    cdef int _write_now(self) except -1
    cdef ssize_t _write_last(self, iovec *vector, unsigned int count) noexcept
    cdef int _seal(self) except -1
    cdef void _consume(self, OutQueue *out, size_t size) noexcept
    cdef int _write_rest(self, OutQueue *out) except -1
    cdef int _finish_shut(self) except -1
    cdef void _fail(self, object exc) noexcept
    cdef void _on_write_done(self, WriteRequest *request, int status) noexcept
    # for the owner to fill in
    cdef int _on_read(self, const char *data, size_t size) except -1
    cdef int _on_read_ended(self) except -1
    cdef int _on_error(self, int code) except -1
    cdef int _on_writable(self) except -1
    cdef int _on_soon(self) except -1
    cdef int _on_timeout(self) except -1
    cdef int _on_lingering(self) except -1
    cdef int _on_closed(self) except -1

cdef class Listener:
    cdef StreamUnion h
    cdef readonly Reactor reactor
    cdef HandleState state
    cdef bint is_pipe
    cdef bint wildcard
    cdef object local
    cdef int _open(self, Reactor reactor, int fd, int backlog) except -1
    cdef void _close(self) noexcept
    cdef void _closed(self) noexcept
    cdef int _on_connection(self) except -1
