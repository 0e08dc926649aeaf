# What a worker counts: the order of the numbers in a snapshot, histograms, and clocks. Declarations and inline functions only.
#
# Each module counts what it sees, in members of its own, and the server puts the snapshot together. granite/snapshot.py says
# what the numbers are, for those who read them.

from libc.stdint cimport int64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, clockid_t, timespec

cdef extern from *:
    """
    #include <time.h>
    #ifdef CLOCK_MONOTONIC_COARSE
    #define GRANITE_COARSE_CLOCK CLOCK_MONOTONIC_COARSE
    #else
    #define GRANITE_COARSE_CLOCK CLOCK_MONOTONIC
    #endif
    static const long long granite_bounds[] = {
        100000LL, 250000LL, 500000LL, 1000000LL, 2500000LL, 5000000LL, 10000000LL, 25000000LL, 50000000LL, 100000000LL,
        250000000LL, 500000000LL, 1000000000LL, 2500000000LL, 5000000000LL, 10000000000LL,
    };
    static const unsigned char granite_alerts[] = {
        10, 20, 22, 40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 70, 71, 80, 86, 90, 109, 110, 112, 116, 120,
    };
    """
    const clockid_t GRANITE_COARSE_CLOCK
    const long long granite_bounds[]    # ns
    const unsigned char granite_alerts[]        # of TLS, RFC 8446, 6

cdef enum:
    CLASSES = 5                         # 1xx … 5xx
    BOUNDS = 16
    ALERTS = 24
    HISTOGRAM_FIELDS = BOUNDS + 2       # the last bucket has no bound; behind it is the sum

cdef enum Rejection:                    # why the server turned something away by itself; snapshot.REASONS has the words
    REJECTED_BAD_REQUEST
    REJECTED_HEAD_SIZE
    REJECTED_BODY_SIZE
    REJECTED_HEAD_TIMEOUT
    REJECTED_CONNECTIONS_PER_IP
    REJECTED_REQUESTS_PER_IP
    REJECTED_OVERLOAD
    REJECTED_QUEUE_TIME
    REJECTED_CLIENT_GONE
    REJECTED_BODY_TIMEOUT
    REJECTED_REQUEST_TIMEOUT
    REJECTED_WRITE_TIMEOUT
    REJECTED_PROXY_HEADER
    REJECTED_TLS
    REJECTED_WEBSOCKET
    REJECTED_HTTP2_PROTOCOL
    REJECTED_HTTP2_RESETS
    REJECTED_HTTP2_PINGS
    REJECTED_HTTP2_SETTINGS
    REJECTED_HTTP2_EMPTY_FRAMES
    REJECTED_HTTP2_INVALID_FIELDS
    REJECTED_HTTP2_WINDOWS
    REJECTED_HTTP2_FLOOD
    REJECTED_HTTP2_CONTINUATIONS
    REJECTED_HTTP2_FIELDS
    REJECTED_HTTP2_NO_PONG
    REASONS

cdef enum HandshakeFailure:             # what became of a TLS handshake; snapshot.HANDSHAKE_FAILURES has the words
    HANDSHAKE_CLOSED
    HANDSHAKE_TIMEOUT
    HANDSHAKE_PLAIN_HTTP
    HANDSHAKE_NOT_TLS
    HANDSHAKE_OTHER                     # an alert that is none of granite_alerts
    HANDSHAKE_ALERTS                    # the first of these
    HANDSHAKE_FAILURES = HANDSHAKE_ALERTS + ALERTS

cdef enum:                              # the fields of a snapshot, in their order
    CONNECTIONS_ACTIVE
    REQUESTS_ACTIVE
    REQUESTS_WAITING
    BLOCKING_THREADS
    BLOCKING_QUEUE
    WEBSOCKETS_ACTIVE
    CONNECTIONS_HANDLED
    CONNECTIONS_ERR
    ACCEPT_PAUSES
    REQUESTS_HANDLED
    REJECTIONS
    BYTES_RECEIVED = REJECTIONS + REASONS
    BYTES_SENT
    RESPONSES_HTTP1
    RESPONSES_HTTP2 = RESPONSES_HTTP1 + CLASSES
    RESPONSES_WEBSOCKET = RESPONSES_HTTP2 + CLASSES
    WEBSOCKET_MESSAGES_RECEIVED = RESPONSES_WEBSOCKET + CLASSES
    WEBSOCKET_MESSAGES_SENT
    STATIC_REQUESTS_HANDLED
    STATIC_REQUESTS_ERR
    TLS_HANDSHAKES
    TLS_HANDSHAKES_FAILED
    BLOCKING_IDLE_CUMULATIVE = TLS_HANDSHAKES_FAILED + HANDSHAKE_FAILURES
    BLOCKING_BUSY_CUMULATIVE
    PY_WAIT_CUMULATIVE
    LATENCY
    QUEUE_TIME = LATENCY + HISTOGRAM_FIELDS
    LOOP_LAG = QUEUE_TIME + HISTOGRAM_FIELDS
    WEBSOCKET_ROUND_TRIP = LOOP_LAG + HISTOGRAM_FIELDS
    FIELDS = WEBSOCKET_ROUND_TRIP + HISTOGRAM_FIELDS

cdef struct Histogram:
    int64_t buckets[BOUNDS + 1]
    int64_t sum                         # ns


cdef inline int64_t clock() noexcept nogil:
    """Nanoseconds on the monotonic clock."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef inline int64_t coarse_clock() noexcept:
    """The same as of the kernel's last tick, some milliseconds ago, at a fraction of the cost."""
    cdef timespec now
    clock_gettime(GRANITE_COARSE_CLOCK, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef inline void observe(Histogram *histogram, int64_t duration) noexcept:
    """Add a value, in nanoseconds."""
    cdef int i = 0
    while i < BOUNDS and duration > granite_bounds[i]:
        i += 1
    histogram.buckets[i] += 1
    histogram.sum += duration


cdef inline void export(const Histogram *histogram, int64_t *place) noexcept:
    """Write a histogram's HISTOGRAM_FIELDS into a snapshot."""
    cdef int i
    for i in range(BOUNDS + 1):
        place[i] = histogram.buckets[i]
    place[BOUNDS + 1] = histogram.sum // 1000


cdef inline void count_response(int64_t *responses, int status) noexcept:
    """Count a response by its class; what is beyond 599 is an error as well."""
    cdef int of = status // 100 - 1
    responses[of if of < CLASSES else CLASSES - 1] += 1


cdef inline void export_responses(const int64_t *responses, int64_t *place) noexcept:
    """Write a protocol's CLASSES into a snapshot."""
    cdef int i
    for i in range(CLASSES):
        place[i] = responses[i]
