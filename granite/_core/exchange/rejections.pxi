# What the server turns away by itself: counted by reason, and told in few lines however much it is.

# How a line of the log says it, in the order of counters.Rejection.
cdef tuple _WORDS = (
    "a bad request",
    "the size of the head",
    "the size of the body",
    "the time that the head took",
    "the number of connections",
    "the rate of requests",
    "overload",
    "the time in the queue",
    "a client that has gone",
    "the time that the body took",
    "the time that the request took",
    "responses that the client did not take",
    "a PROXY header",
    "TLS",
    "WebSocket",
    "a connection of HTTP/2 that broke its rules",
    "streams that were reset",
    "PING frames",
    "SETTINGS frames",
    "empty frames",
    "fields that are none",
    "windows opened by nearly nothing",
    "a flood of frames",
    "CONTINUATION frames",
    "a block of fields many times too large",
    "a PING without an answer",
)
assert len(_WORDS) == REASONS


cdef class Rejections:
    """Counts of one server, for all of its protocols.

    Parameters:
        loop: the event loop, on which the line about what was not told in lines of its own is due.
    """

    def __init__(self, loop):
        self.loop = loop

    cdef void count(self, Rejection reason) noexcept:
        """Count one that is not worth a line of the log."""
        self.counts[<int>reason] += 1

    cdef bint note(self, Rejection reason) except -1:
        """Count one; return whether it may be logged in a line of its own."""
        self.counts[<int>reason] += 1
        self.recent[<int>reason] += 1
        if self.timer is None:
            self.timer = self.loop.call_later(1.0, self._summarise)
        return self.recent[<int>reason] <= MOST_LINES

    def _summarise(self):
        self.timer = None
        told = [
            f"{self.recent[i] - MOST_LINES} more for {word}"
            for i, word in enumerate(_WORDS) if self.recent[i] > MOST_LINES
        ]
        memset(self.recent, 0, sizeof(self.recent))
        if told:
            _log.info("turned away within a second: %s", ", ".join(told))

    cdef int close(self) except -1:
        if self.timer is not None:
            self.timer.cancel()
            self._summarise()
        return 0
