# WebSockets: accept() → transport, and messages by their kind.

cdef enum:
    KIND_CLOSE
    KIND_BYTES
    KIND_TEXT


cdef class RsgiWebSocket(WebSocketExchange):
    """One WebSocket of an RSGI application."""

    cdef object _invoke(self):
        cdef Scope scope = Scope.__new__(Scope)
        cdef WebsocketProtocol protocol = WebsocketProtocol.__new__(WebsocketProtocol)
        scope.exchange = self
        protocol.exchange = self
        return self.tasks.app(scope, protocol)

    cdef object poll(self, int what):
        if what == ACCEPTED:
            return self._poll_accepted()
        if what != MESSAGE:
            return WebSocketExchange.poll(self, what)
        message = self._take()
        if message is not None:
            return _message(KIND_TEXT if PyUnicode_CheckExact(<PyObject *>message) else KIND_BYTES, message)
        if self.state == WEBSOCKET_CLOSED:
            self.gone_told = True
            return _message(KIND_CLOSE, None)
        return _PENDING

    cdef object _poll_accepted(self):
        cdef WebsocketTransport transport
        if self.state == WEBSOCKET_CLOSED:
            raise self._gone()
        if self.state == WEBSOCKET_OPEN:
            raise ProtocolError("the WebSocket was accepted before")
        self._accept(None, [])
        transport = WebsocketTransport.__new__(WebsocketTransport)
        transport.exchange = self
        return transport

    cdef int _refuse_or_close(self, object status) except -1:
        if status is not None and not isinstance(status, int):
            raise TypeError(f"expected the status to be an int, got {status!r}")
        if self.state == WEBSOCKET_CONNECTING:
            if self.response != RESPONSE_NONE or self.disconnected:
                return 0
            if status is not None and not 400 <= status <= 999:
                raise ValueError(f"expected a status that refuses, from 400 on, got {status}")
            return self.respond(403 if status is None else status, b"")
        if self.state == WEBSOCKET_OPEN:
            self._close(1000 if status is None else status if 0 <= status <= 65535 else 0, "")
        return 0


@cython.freelist(64)
cdef class WebsocketMessage:
    """A message: `kind` is 0 for the end, 1 for bytes, 2 for a text; `data` is what it holds."""

    cdef readonly int kind
    cdef readonly object data


cdef WebsocketMessage _message(int kind, object data):
    cdef WebsocketMessage message = WebsocketMessage.__new__(WebsocketMessage)
    message.kind = kind
    message.data = data
    return message


cdef class WebsocketProtocol:
    """The specification's WebSocket protocol interface."""

    cdef RsgiWebSocket exchange

    def accept(self):
        """Return an awaitable that accepts the WebSocket, and of the transport of its messages."""
        return self.exchange.waiting_for(ACCEPTED)

    def close(self, status=None):
        """Refuse the WebSocket with a status of HTTP, 403 if there is none; or, where it was accepted, close it with a close code, 1000 if
        there is none. Where it is closed, nothing happens."""
        self.exchange._refuse_or_close(status)


cdef class WebsocketTransport:
    """Messages of a WebSocket. Awaitables of what is sent are done when there is room for more; ProtocolClosed: it is closed."""

    cdef RsgiWebSocket exchange

    def receive(self):
        """Return an awaitable of the next message."""
        return self.exchange.waiting_for(MESSAGE)

    def send_bytes(self, data):
        return self.exchange._send_message(data if PyBytes_CheckExact(<PyObject *>data) else _bytes(data))

    def send_str(self, data):
        if not isinstance(data, str):
            raise TypeError(f"expected a str, got {data!r}")
        return self.exchange._send_message(PyUnicode_FromObject(data))


forbid_making(RsgiWebSocket)
forbid_making(WebsocketMessage)
forbid_making(WebsocketProtocol)
forbid_making(WebsocketTransport)
