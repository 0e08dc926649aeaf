# How many exchanges of a server run at once, whatever their protocols and interfaces.
#
# Theory of operation: an exchange whose head is complete asks for its turn. It gets a place, or waits in a queue without a bound of its
# own: one exchange of a connection can wait, or as many as HTTP/2 lets be open. The place of an exchange that ends goes to the first in
# the queue, whose protocol starts it at the end of the turn of the event loop, not from inside of whatever has ended. The queue only
# borrows its exchanges; their protocols keep them, and a protocol whose client goes withdraws its exchange.

cdef class Admission:
    """The places of one server, and who waits for one.

    Parameters:
        rejections: where those are counted that never get one.
        loop: the event loop.
        config: has the section "Overload".
    """

    def __init__(self, Rejections rejections, loop, config):
        self.rejections = rejections
        self.loop = loop
        self.places = config.backpressure
        self.rejects = config.overload == "reject"
        self.longest_wait = int(config.max_queue_time * 1e9)

    cdef bint turns_away(self) noexcept:
        """Whether a request is to be refused rather than asked to wait."""
        return self.rejects and self.taken >= self.places

    cdef bint admit(self, Exchange exchange) except -1:
        """Whether an exchange may be started; if not, Protocol.turn_has_come() says when."""
        if exchange.turn == TURN_WAITING:
            return False
        if exchange.turn == TURN_NONE:
            if self.taken >= self.places:
                return self._push(exchange)
            self.taken += 1
        exchange.turn = TURN_TAKEN
        return True

    cdef int release(self, Exchange exchange) except -1:
        """An exchange has ended, or will not begin: its place is free."""
        cdef Exchange first
        cdef Protocol protocol
        exchange.turn = TURN_NONE
        self.taken -= 1
        while self.c_first is not NULL and self.taken < self.places:
            first = <Exchange>self.c_first
            if self._is_late(first):
                self._turn_away(first)
                continue
            self._pop(first)
            first.turn = TURN_COME
            self.taken += 1
            protocol = first.protocol
            protocol.turn_has_come(first)
        return 0

    cdef int withdraw(self, Exchange exchange, bint gone) except -1:
        """An exchange will not be started; `gone`: as its client has left."""
        if exchange.turn == TURN_WAITING:
            self._pop(exchange)
            if gone:
                self.rejections.count(REJECTED_CLIENT_GONE)
        elif exchange.turn == TURN_COME:
            self.release(exchange)
        return 0

    cdef bint _push(self, Exchange exchange) except -1:
        exchange.turn = TURN_WAITING
        exchange.c_older = self.c_last
        if self.c_last is not NULL:
            (<Exchange>self.c_last).c_newer = <PyObject *>exchange
        else:
            self.c_first = <PyObject *>exchange
        self.c_last = <PyObject *>exchange
        self.waiting += 1
        if self.longest_wait and self.timer is None:
            self.timer = self.loop.call_later(self.longest_wait / 1e9, self._on_time)
        return False

    cdef void _pop(self, Exchange exchange) noexcept:
        exchange.turn = TURN_NONE
        if exchange.c_older is not NULL:
            (<Exchange>exchange.c_older).c_newer = exchange.c_newer
        else:
            self.c_first = exchange.c_newer
        if exchange.c_newer is not NULL:
            (<Exchange>exchange.c_newer).c_older = exchange.c_older
        else:
            self.c_last = exchange.c_older
        exchange.c_older = exchange.c_newer = NULL
        self.waiting -= 1

    cdef bint _is_late(self, Exchange exchange) noexcept:
        return self.longest_wait and coarse_clock() - exchange.began_at >= self.longest_wait

    cdef int _turn_away(self, Exchange exchange) except -1:
        cdef Protocol protocol = exchange.protocol
        self._pop(exchange)
        return protocol.turn_away(exchange, REJECTED_QUEUE_TIME)

    def _on_time(self):
        """Turn away who has waited too long, and look again when the next one will have."""
        cdef Exchange first             # held, as its protocol lets go of it
        self.timer = None
        while self.c_first is not NULL:
            first = <Exchange>self.c_first
            if self._is_late(first):
                self._turn_away(first)
                continue
            left = self.longest_wait - (coarse_clock() - first.began_at)
            # A coarse clock is some milliseconds behind.
            self.timer = self.loop.call_later(left / 1e9 + 0.005, self._on_time)
            return

    cdef int close(self) except -1:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return 0
