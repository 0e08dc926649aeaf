# Who calls applications on the reactor's thread.

cdef class Runner(Deferred):
    """Calls applications on the reactor's thread, one after the other, at the end of its turns."""

    cdef int attach(self, LoopTurn turn) except -1:
        self.turn = turn
        self.thread = PyThread_get_thread_ident()
        return 0

    cdef WsgiExchange new_exchange(self):
        cdef WsgiExchange exchange = WsgiExchange.__new__(WsgiExchange)
        exchange.known = self.known
        return exchange

    cdef int submit(self, WsgiExchange exchange) except -1:
        self.queue.append(exchange)
        return 0 if self.busy else self.turn.at_end(self)

    cdef int turn_ended(self) except -1:
        cdef WsgiExchange exchange
        cdef list batch
        cdef Py_ssize_t done = 0
        if self.busy:
            return 0                    # inside of an application that waits: whoever called it goes on
        self.busy = True
        self.began_at = coarse_clock()
        batch, self.queue = self.queue, []
        for exchange in batch:
            done += 1
            try:
                exchange.run()
            except BaseException as exc:    # the others are to have their turn all the same
                _log.error("unexpected error in the server", exc_info=exc)
            if self.is_long():
                break
        self.busy = False
        if done < len(batch):
            self.queue[:0] = batch[done:]
        return self.turn.at_end(self) if self.queue else 0

    cdef bint is_long(self) noexcept:
        """Whether applications have run for so long that the reactor is to look at its sockets again."""
        return coarse_clock() - self.began_at > LONG_TURN

    cdef void export_threads(self, int64_t *snapshot) noexcept:
        pass

    cdef int detach(self) except -1:
        """No turn comes any more but the last one."""
        return 0

    cdef int wait(self) except -1:
        """Let the reactor do what there is to do, from inside of an application."""
        if PyThread_get_thread_ident() != self.thread:
            raise RuntimeError("what is waited for, more of the request's body or room for the response, is waited for on the thread of the call")
        return self.turn.wait()

    cdef int cancel(self) except -1:
        """Every connection has closed: let the calls know that have not returned."""
        while self.queue and not self.busy:
            self.turn_ended()
        return 0
