# A WebSocket that is open: what lies between its frames and the exchange.
#
# Theory of operation: OPEN → CLOSING → CLOSED. In CLOSING this end has sent its close frame, and everything but the client's is dropped.
# The exchange is told of the end once, with the code of whoever was first to say one, and forgotten then: an application that goes on
# holds up nothing.

cdef class WebSocketSession(FrameReader):
    """One WebSocket, on whatever carries its bytes."""

    def __init__(self):
        raise TypeError("WebSockets are opened by WebSocketContext")

    def __dealloc__(self):
        PyMem_RawFree(self.c_kept)

    cdef int _set_state(self, WebSocketState state) except -1:
        if GRANITE_IS_DEBUG:
            assert state > self.state, (self.state, state)
        self.state = state
        return 0

    # for whoever carries it

    cdef int feed(self, const char *base, size_t size) except -1:
        cdef size_t done
        if self.state == WEBSOCKET_CLOSED or self.failed:
            return 0
        if self.c_kept is not NULL:
            return self._keep(base, size)
        done = self.read(base, size)
        if done < size and self.state != WEBSOCKET_CLOSED and not self.failed:
            self._keep(base + done, size - done)
        return self._pause() if not self.wants_more() and not self.failed else 0

    cdef int resume(self) except -1:
        """Go on with what was kept while the application did not take its messages."""
        cdef char *kept = self.c_kept
        if kept is NULL and not self.suspended:
            return 0
        if kept is not NULL and self.state != WEBSOCKET_CLOSED and self.wants_more():
            self.kept_from += self.read(kept + self.kept_from, self.kept_size - self.kept_from)
        if self.state == WEBSOCKET_CLOSED or self.failed or self.kept_from == self.kept_size:
            self._drop_kept()
        if self.c_kept is not NULL or self.state == WEBSOCKET_CLOSED:
            return 0
        if self.input_ended:
            return self._lose()
        if self.suspended and self.wants_more():
            self.suspended = False
            self._expect_pong()         # which could not be read before
            return self.transport.resume_reading()
        return 0

    cdef int _keep(self, const char *base, size_t size) except -1:
        cdef char *grown
        if self.kept_from:
            self.kept_size -= self.kept_from
            memmove(self.c_kept, self.c_kept + self.kept_from, self.kept_size)
            self.kept_from = 0
        grown = <char *>PyMem_RawRealloc(self.c_kept, self.kept_size + size)
        if grown is NULL:
            raise MemoryError()
        memcpy(grown + self.kept_size, base, size)
        self.c_kept = grown
        self.kept_size += size
        return 0

    cdef void _drop_kept(self) noexcept:
        PyMem_RawFree(self.c_kept)
        self.c_kept = NULL
        self.kept_size = self.kept_from = 0

    cdef int _pause(self) except -1:
        if self.state != WEBSOCKET_CLOSED and not self.suspended:
            self.suspended = True
            return self.transport.pause_reading()
        return 0

    cdef int read_ended(self) except -1:
        if self.c_kept is not NULL:
            self.input_ended = True     # resume() comes to its end
            return 0
        return self._lose()

    cdef int _lose(self) except -1:
        """The client has left without a close frame."""
        if self.state == WEBSOCKET_CLOSED or self.state == WEBSOCKET_OPEN and self.failure:
            return 0
        self._set_state(WEBSOCKET_CLOSED)
        self._tell(CLOSE_ABNORMAL, "")
        return self.transport.shut(False)

    cdef int writable_again(self) except -1:
        cdef Exchange exchange = self.exchange
        cdef bytes pong = self.late_pong
        if pong is not None and self.state != WEBSOCKET_CLOSED:
            self.late_pong = None
            self.write_control(OP_PONG, pong, PyBytes_GET_SIZE(<PyObject *>pong))
            self.transport.flush()
        return exchange.on_writable() if exchange is not None else 0

    cdef int drain(self) except -1:
        # A connection's age is none of a WebSocket's.
        return self._begin_closing(CLOSE_SERVICE_RESTART, "the server restarts") if self.http.draining else 0

    cdef int closed(self) except -1:
        self.state = WEBSOCKET_CLOSED
        self._drop_kept()
        return self._tell(self.failure, self.failure_why) if self.failure else self._tell(CLOSE_ABNORMAL, "")

    cdef int release(self) except -1:
        self.forget()
        self._drop_kept()
        self.transport = None
        self.context.live -= 1
        return 0

    # deadlines

    cdef uint64_t deadline(self) noexcept:
        if self.state == WEBSOCKET_OPEN and not self.failure:
            return self.pong_until or self.ping_at
        return self.until if self.state != WEBSOCKET_CLOSED else 0

    cdef int on_due(self, uint64_t now) except -1:
        cdef WebSocketContext context = self.context
        if self.state == WEBSOCKET_CLOSING:
            if self.until and now >= self.until:
                self._set_state(WEBSOCKET_CLOSED)
                return self.transport.reset()
        elif self.state == WEBSOCKET_OPEN and self.failure:
            return self._close_failed(self.failure, self.failure_why)
        elif self.state == WEBSOCKET_OPEN and self.pong_until:
            if now >= self.pong_until and not self.suspended:
                return self._fail(CLOSE_INTERNAL_ERROR, f"a ping was not answered for {context.ping_timeout / 1000.0:g} s")
            if now >= self.pong_until:
                self._expect_pong()
        elif self.state == WEBSOCKET_OPEN and self.ping_at and now >= self.ping_at:
            return self._ping(now)
        return 0

    cdef int _ping(self, uint64_t now) except -1:
        cdef int64_t sent_at = clock()
        self.pinged_at = sent_at
        self.write_control(OP_PING, <char *>&sent_at, sizeof(sent_at))
        self.ping_at = now + self.context.ping_interval
        if self.context.ping_timeout:
            self._expect_pong()
        return self.transport.flush()

    cdef int _expect_pong(self) except -1:
        if self.pinged_at and self.context.ping_timeout:
            self.pong_until = self.transport.now() + self.context.ping_timeout
        return 0

    # for the exchange

    cdef int send_message(self, Exchange exchange, object message) except -1:
        cdef Transport transport = self.transport
        self.write_message(message)
        self.context.sent += 1
        if transport.unsent() >= self.http.write_high_water:
            return transport.flush()
        return transport.flush_soon() if transport.corked == 0 else 0

    cdef int close_websocket(self, Exchange exchange, int code, str reason) except -1:
        self.exchange = None            # who says so knows
        return self._begin_closing(code, reason)

    cdef int body_wanted(self, Exchange exchange) except -1:
        if self.suspended and exchange.wants_messages(self.context.max_queue // 2 + 1, self.http.body_high_water // 2 + 1):
            return self.transport.resume_soon()
        return 0

    cdef int message_awaited(self, Exchange exchange) except -1:
        return self._close_failed(self.failure, self.failure_why) if self.failure and self.state == WEBSOCKET_OPEN else 0

    cdef bint writable(self, Exchange exchange) noexcept:
        return self.transport is None or self.transport.unsent() < self.http.write_high_water

    # ends

    cdef int _begin_closing(self, int code, str reason) except -1:
        """Send a close frame, and wait for the client's."""
        cdef Transport transport = self.transport
        if self.state != WEBSOCKET_OPEN:
            return 0
        if self.failure:
            return self._close_failed(self.failure, self.failure_why)
        self._write_close(code, reason)
        self._set_state(WEBSOCKET_CLOSING)
        self.until = transport.now() + self.context.close_timeout if self.context.close_timeout else 0
        self._tell(code, reason)
        if transport.corked == 0:
            transport.flush()
        # What the client has sent before its own close frame is read past.
        if self.suspended:
            return transport.resume_soon()
        return transport.rearm()

    cdef int _write_close(self, int code, str reason) except -1:
        cdef bytes payload = b""
        if code != CLOSE_NO_STATUS:
            payload = bytes((code >> 8, code & 255)) + reason.encode("utf-8")
        return self.write_control(OP_CLOSE, payload, PyBytes_GET_SIZE(<PyObject *>payload))

    cdef int _tell(self, int code, str reason) except -1:
        """The exchange hears of the end."""
        cdef Exchange exchange = self.exchange
        self.exchange = None
        return exchange.on_websocket_closed(code, reason) if exchange is not None else 0

    cdef int _finish(self) except -1:
        """Everything is said. RFC 6455, 7.1.1: the server closes first."""
        self._set_state(WEBSOCKET_CLOSED)
        if self.transport.corked == 0:
            self.transport.flush()
        return self.transport.shut(True)

    # frames

    cdef bint wants_more(self) noexcept:
        cdef Exchange exchange = self.exchange
        if self.state == WEBSOCKET_OPEN and exchange is not None:
            return exchange.wants_messages(self.context.max_queue, self.http.body_high_water)
        return self.state == WEBSOCKET_CLOSING

    cdef int on_message(self, object message) except -1:
        cdef Exchange exchange = self.exchange
        if self.state != WEBSOCKET_OPEN or exchange is None:
            return 0                    # it has crossed this end's close frame
        self.context.received += 1
        return exchange.on_message(message)

    cdef int on_ping(self, const char *payload, size_t size) except -1:
        if self.state != WEBSOCKET_OPEN:
            return 0
        if self.is_behind():
            # RFC 6455, 5.5.3: the answer to the last one will do. Of a client that does not read there must be no more.
            self.late_pong = PyBytes_FromStringAndSize(payload, size)
            return 0
        self.late_pong = None
        return self.write_control(OP_PONG, payload, size)

    cdef int on_pong(self, const char *payload, size_t size) except -1:
        if self.pinged_at and size == sizeof(self.pinged_at) and memcmp(payload, &self.pinged_at, size) == 0:
            observe(&self.context.round_trip, clock() - self.pinged_at)
            self.pinged_at = 0
            self.pong_until = 0
            return self.transport.rearm()
        return 0

    cdef int on_close(self, int code, str reason) except -1:
        if self.state == WEBSOCKET_OPEN:
            self._write_close(code, "")
            self._tell(code, reason)
        return self._finish()

    cdef int on_violation(self, int code, str why) except -1:
        """What came before it is answered as if it had come in time to: it waits until the application has taken that."""
        cdef Exchange exchange = self.exchange
        cdef uint64_t limit = self.context.close_timeout
        if self.http.rejections.note(REJECTED_WEBSOCKET):
            _log.info("%s: WebSocket: %s", name_of(self.transport.client()), why)
        if self.state != WEBSOCKET_OPEN or exchange is None or exchange.wants_messages(1, 1):
            return self._close_failed(code, why)
        self.failure = code
        self.failure_why = why
        self.until = self.transport.now() + limit if limit else 0
        return self.transport.rearm()

    cdef int _close_failed(self, int code, str why) except -1:
        if self.state == WEBSOCKET_OPEN:
            self._write_close(code, why)
            self._tell(code, why)
        return self._finish()
