# The one extension that links libuv: the reactor, its timer wheel, its handles.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from granite._core.address cimport Address
from granite._core.buf cimport OutBuf, OutPool, OutQueue, iovec
from granite._core.capi cimport uv
from granite._core.transport cimport Deferred, LoopTurn, SecureLayer, Transport, Waker

cdef enum:
    READ_BUFFER_SIZE = 65536
    MOST_SERVERS = 256                  # addresses of this end that are kept; a proxy may tell of more
    MAX_ROUNDS = 4                      # of uv_run() in one pump
    WHEEL_SLOTS = 128
    WHEEL_TICK = 250                    # ms; deadlines are met within two ticks
    LOOKS = 4                           # how often, within its limit, a peer is looked at that takes nothing
    LINGER_TIMEOUT = 2000               # ms that a closed answer waits for the peer's end
    MOST_DISCARDED = 262144             # bytes that a suspect may go on sending meanwhile
    ACCEPT_PAUSE = 100                  # ms that a listener waits after accept() has failed
    LOOK_AWAY = 5                       # ms for which a heavy worker leaves a socket to others
    MOST_WAITS = 10                     # times that it does so in vain before the least loaded one is not counted on
    SILENCE = 1000000000                # ns for which it is not
    MOST_AT_ONCE = 64                   # connections that a worker takes at once if it has clearly fewer than any other
    MOST_UNFLUSHED = 64                 # handles whose output waits for the turn's end: as many buffers as a pool keeps
    SLACK = 2                           # connections more than the least loaded worker has that are no reason to do anything
    SLACK_SHARE = 16                    # ... and one more for so many of its connections
    ACCEPT_SILENCE = 1000               # ms between two lines about that
    FULL_SILENCE = 10000                # ms between two lines about an owner that is full

cdef struct WheelNode:
    WheelNode *next
    WheelNode *previous
    uint64_t deadline                   # ms on the reactor's clock; 0 = disarmed
    uint64_t due                        # tick in whose slot the node hangs; only meaningful while linked
    void (*on_due)(void *owner) noexcept
    void *owner                         # borrowed: it unlinks the node before it goes

cdef enum HandleState:
    HANDLE_NEW                          # libuv does not know it yet
    HANDLE_OPEN                         # initialised; libuv owns one reference
    HANDLE_CLOSING                      # uv_close() was called
    HANDLE_CLOSED                       # its close callback has run

cdef struct WriteRequest:
    uv.uv_write_t req
    OutBuf *bufs                        # what it writes
    size_t size
    uint64_t look_at                    # ms: when to see whether the peer takes something
    uint64_t moved_at                   # ms: the last look at which it had
    size_t left                         # what it had not taken then

ctypedef union StreamUnion:
    uv.uv_stream_t stream
    uv.uv_handle_t handle
    uv.uv_tcp_t tcp
    uv.uv_pipe_t pipe

cdef struct Seat:                       # a worker's place on the board; its own cache line, as every connection writes there
    int32_t owner                       # pid of the worker that accepts for the slot, 0 for none
    int32_t load                        # its connections; in the first seat, which is nobody's: how many others are in use
    int64_t silent_until                # others have waited for it in vain: ns on the monotonic clock until which it is not counted on
    char rest[48]

cdef class TimerWheel:
    cdef uv.uv_timer_t timer
    cdef WheelNode slots[WHEEL_SLOTS]
    cdef uint64_t tick                  # the last one whose slot was handled
    cdef uint64_t noted                 # ms: deadlines up to then are handled when all sockets have been looked at; 0 between two ticks
    cdef readonly int linked
    cdef HandleState state
    cdef Reactor reactor
    cdef int _open(self, Reactor reactor) except -1
    cdef void _close(self) noexcept
    cdef int arm(self, WheelNode *node, uint64_t deadline) except -1
    cdef void unlink(self, WheelNode *node) noexcept
    cdef void _link(self, WheelNode *node) noexcept
    cdef void _on_tick(self) noexcept
    cdef void _judge(self) noexcept

cdef class AsyncHandle(Waker):
    cdef uv.uv_async_t handle
    cdef HandleState state
    cdef Reactor reactor
    cdef Deferred work
    cdef int _open(self, Reactor reactor, Deferred work) except -1
    cdef void _close(self) noexcept
    cdef void _on_woken(self) noexcept

cdef class Reactor(LoopTurn):
    cdef uv.uv_loop_t loop
    cdef readonly OutPool pool
    cdef TimerWheel wheel
    cdef char *read_buffer
    cdef readonly int handles           # libuv handles that are not closed yet
    cdef bint closed
    cdef bint pumping                   # inside pump() or a turn: what is asked for is done before it returns
    cdef bint in_run                    # inside uv_run()
    cdef int ending                     # inside so many calls of what is done at the end of a turn
    cdef bint scheduled                 # a turn is queued on the outer loop
    cdef bint stale                     # handles changed since the last uv_run(): run it again
    cdef list soon                      # StreamHandles with work for the end of this turn
    cdef list unflushed                 # of these, those that have something to write; a few
    cdef list late                      # Deferreds: work for when everything else has been done
    cdef list wakers                    # AsyncHandles, to be closed with it
    cdef object outer                   # the application's event loop
    cdef object context                 # in which this reactor's callbacks run
    cdef object wake                    # the outer loop's TimerHandle for libuv's next timer
    cdef uint64_t wake_at               # ms on libuv's clock
    cdef bint timing                    # `polled_at` is wanted
    cdef int64_t polled_at              # when libuv was last asked what there is to do, on counters' clock; 0 without `timing`
    cdef int64_t bytes_received         # by protocols, so without what TLS adds
    cdef int64_t bytes_sent             # likewise
    cdef uint64_t complained_at         # ms: the last line about accept()
    cdef uint64_t full_at               # ms: the last line about an owner that is full
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
    cdef int flush_later(self, StreamHandle handle) except -1
    cdef int _ask_for_turn(self) except -1
    cdef int _schedule(self) except -1
    cdef int _run(self) except -1
    cdef int _run_soon(self) except -1
    cdef int _run_late(self) except -1
    cdef int _run_ends(self) except -1
    cdef int _rearm(self) except -1
    cdef int _wait_alone(self) except -1
    cdef object host_of(self, const Address *address)
    cdef object server_of(self, const Address *address)
    cdef void report(self, object exc) noexcept

cdef class StreamWriter(Transport):
    cdef StreamUnion h
    cdef Reactor reactor
    cdef WriteRequest *inflight
    cdef SecureLayer layer              # None: what is written and read is what is on the wire
    cdef HandleState state
    cdef uint8_t is_pipe
    cdef uint8_t shutting               # close when everything has left
    cdef uint8_t linger                 # ... after the peer's end
    cdef uint8_t in_soon
    cdef uint8_t unflushed              # likewise: one of the reactor's list
    cdef int _write_now(self) except -1
    cdef ssize_t _write_more(self, iovec *vector, unsigned int count) noexcept
    cdef ssize_t _write_file(self, size_t most) except -1
    cdef bint _load(self) except -1
    cdef int _seal(self) except -1
    cdef void _consume(self, OutQueue *out, size_t size) noexcept
    cdef int _write_rest(self, OutQueue *out) except -1
    cdef void _on_write_done(self, WriteRequest *request, int status) noexcept
    # for the stream to fill in
    cdef void _close(self) noexcept
    cdef void _fail(self, object exc) noexcept
    cdef int _finish_shut(self) except -1
    # for the owner to fill in
    cdef int _on_error(self, int code) except -1
    cdef int _on_writable(self) except -1
    cdef int _on_blocked(self) except -1

cdef class StreamHandle(StreamWriter):
    cdef WheelNode timer
    cdef Address peer
    cdef object local
    cdef uint8_t read_ended             # the peer sent its FIN
    cdef uint8_t lingering
    cdef uint32_t discarded             # bytes that came meanwhile, of a suspect
    cdef int _open(self, Listener listener, int fd, const uv.sockaddr_storage *peer) except -1
    cdef void _on_closing(self) noexcept
    cdef void _closed(self) noexcept
    cdef int start_reading(self) except -1
    cdef int _discard(self, size_t size) except -1
    cdef int arm(self, uint64_t deadline) except -1
    cdef bint stalled(self, uint64_t limit) noexcept
    cdef bint gone(self) noexcept
    cdef int set_server(self, const Address *address) except -1
    cdef bint _has_unread(self) noexcept
    # for the owner to fill in
    cdef int _on_read(self, const char *data, size_t size) except -1
    cdef int _on_read_ended(self) except -1
    cdef int _on_soon(self) except -1
    cdef int _on_timeout(self) except -1
    cdef int _on_lingering(self) except -1
    cdef int _on_closed(self) except -1

cdef class Board:
    cdef Seat *seats
    cdef size_t size
    cdef Seat *own
    cdef int32_t pid
    cdef int load                       # connections of this worker
    cdef bint left                      # this worker takes no more
    cdef Seat *awaited                  # the least loaded worker, for which this one has waited in vain
    cdef int awaited_load               # ... all the time with this load
    cdef int waits                      # ... so often
    cdef void note(self, int load) noexcept
    cdef Seat *_least(self) noexcept
    cdef bint heavy(self) noexcept
    cdef bint light(self) noexcept
    cdef bint has_room(self, int most) noexcept
    cdef void waited(self) noexcept
    cdef void leave(self) noexcept

cdef class Listener:
    cdef uv.uv_poll_t poll
    cdef int fd                         # its own duplicate, -1 once it is closed
    cdef readonly Reactor reactor
    cdef HandleState state
    cdef bint is_pipe
    cdef object local
    cdef int port                       # of TCP
    cdef bint redirects                 # what comes here is to come over TLS
    cdef object retry                   # the outer loop's TimerHandle that ends a pause
    cdef Board board                    # None: what comes is taken
    cdef bint held                      # it does not accept, as the owner is full
    cdef bint common                    # other workers watch the socket, too
    cdef int position                   # among the sockets of its slot: the addresses in the order of the settings
    cdef int _open(self, Reactor reactor, int fd, int backlog) except -1
    cdef int _watch_fd(self, Reactor reactor, int fd) except -1
    cdef int _watch(self) except -1
    cdef void _close(self) noexcept
    cdef void _closed(self) noexcept
    cdef int _on_readable(self) except -1
    cdef int _take(self) except -1
    cdef int _pause(self, int milliseconds, object then) except -1
    cdef int _on_failed(self, int error) except -1
    cdef int _hold(self) except -1
    cdef int go_on(self) except -1
    # for the owner to fill in
    cdef bint _is_full(self) noexcept
    cdef int _on_full(self) except -1
    cdef int _on_connection(self, int fd, const uv.sockaddr_storage *peer) except -1
    cdef int _on_refused(self) except -1

cdef class Pool(Listener):
    cdef int give_fd
    cdef int _open_pool(self, Reactor reactor, Board board, int take_fd, int give_fd) except -1
    cdef bint give(self, Listener listener, int fd, const uv.sockaddr_storage *peer) noexcept
    cdef int empty(self) except -1
    # for the owner to fill in
    cdef int _on_given(self, int position, int fd, const uv.sockaddr_storage *peer) except -1

cdef int read_address(const uv.sockaddr_storage *storage, Address *address) except -1
cdef void turn_away(int fd, const char *answer, size_t size) noexcept
