# WebSockets: what the asynchronous interfaces have in common of them.

cdef class WebSocketExchange(TaskExchange):
    """One WebSocket of an application.

    Its response is that to the handshake until it is accepted, and done when it has closed. Messages wait here, until the application
    takes them; the end comes behind them.
    """

    cdef int _accept(self, str subprotocol, list headers) except -1:
        cdef Protocol protocol = self.carrier()
        protocol.accept(self, subprotocol, headers)
        if self.disconnected:
            raise self._gone()
        self.handshake = None
        if self.state == WEBSOCKET_CONNECTING:      # a server that drains closes at once
            self.state = WEBSOCKET_OPEN
        if self.turn == TURN_TAKEN:
            self.interface.admission.release(self)      # which counts requests
        return 0

    cdef object _send_message(self, object message):
        cdef Protocol protocol = self.protocol
        if self.state != WEBSOCKET_OPEN or self.gone_told:
            raise self._gone()
        protocol.send_message(self, message)
        return self._sent()

    cdef int _close(self, int code, str reason) except -1:
        """Close an open WebSocket. What has come and was not taken is dropped."""
        cdef Protocol protocol = self.protocol
        if not is_close_code(code):
            raise RuntimeError(f"expected a close code that may be sent (RFC 6455, section 7.4), got {code}")
        if len(reason.encode()) > MOST_REASON:
            raise RuntimeError(f"expected a reason of at most {MOST_REASON} bytes, got {reason!r}")
        self.message = self.more = None
        self.queued = 0
        self._set_closed(code, reason)
        return protocol.close_websocket(self, code, reason)

    cdef int _set_closed(self, int code, str reason) except -1:
        self.state = WEBSOCKET_CLOSED
        self.code = code
        self.closing_reason = reason
        self.protocol = None
        if self.response != RESPONSE_DONE:
            self._set_response(RESPONSE_DONE)
        # Whoever waits: another of the application's Tasks, where it is the application that closes.
        self.on_body()
        return self.on_writable()

    # messages

    cdef object _take(self):
        """The next message; None if there is none."""
        cdef Protocol protocol = self.protocol
        cdef object message = self.message
        if message is None:
            if protocol is not None:
                protocol.message_awaited(self)      # which may be the end
            return None
        self.message = None
        self.queued -= len(message)
        if self.more is not None:
            self.message = self.more.popleft()
            if not self.more:
                self.more = None
        if protocol is not None:
            protocol.body_wanted(self)
        return message

    cdef int on_message(self, object message) except -1:
        self.queued += len(message)
        if self.message is None:
            self.message = message
        else:
            if self.more is None:
                self.more = _deque()
            self.more.append(message)
        return self.on_body()

    cdef bint wants_messages(self, Py_ssize_t most, size_t size) noexcept:
        if self.message is None:
            return True
        return self.queued < size and 1 + (len(self.more) if self.more is not None else 0) < most

    # ends

    cdef int on_websocket_closed(self, int code, str reason) except -1:
        return self._set_closed(code, reason)

    cdef int on_disconnect(self) except -1:
        """The handshake has failed, by this end or the other."""
        TaskExchange.on_disconnect(self)
        self.state = WEBSOCKET_CLOSED
        self.code = 1006
        self.closing_reason = ""
        return 0

    cdef object _gone(self):
        return self.tasks.gone("the WebSocket is closed")

    cdef int _end(self) except -1:
        self.message = self.more = None
        return TaskExchange._end(self)

    cdef int fail(self) except -1:
        return self._close(1011, "") if self.state == WEBSOCKET_OPEN else Exchange.fail(self)

    cdef int leave(self) except -1:
        return self._close(1000, "") if self.state == WEBSOCKET_OPEN else Exchange.leave(self)

    cdef int _complete(self) except -1:
        return self._close(1000, "") if self.state == WEBSOCKET_OPEN else 0

    cdef object poll(self, int what):
        if what == SENDING and self.state == WEBSOCKET_CLOSED:
            return None                 # it has been handed over: who sends again is told
        return TaskExchange.poll(self, what)
