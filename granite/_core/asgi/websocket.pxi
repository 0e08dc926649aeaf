# WebSockets: the specification's `websocket` scope.

cdef str _WEBSOCKET = "websocket"
cdef str _WS = "ws"
cdef str _TEXT = "text"
cdef str _BYTES = "bytes"
cdef str _RECEIVE = "websocket.receive"
cdef str _WEBSOCKET_SEND = "websocket.send"
cdef str _SUBPROTOCOLS = "subprotocols"
cdef str _DENIAL = "websocket.http.response"


cdef class AsgiWebSocket(WebSocketExchange):
    """One WebSocket of an ASGI application."""

    cdef object _invoke(self):
        cdef AsgiInterface asgi = <AsgiInterface>self.tasks
        cdef dict scope = asgi.new_scope(self, asgi.websocket_template, asgi.websocket_extensions)
        if self.scheme == "https":
            PyDict_SetItem(scope, _SCHEME, "wss")
        PyDict_SetItem(scope, _SUBPROTOCOLS, self.handshake.subprotocols)
        receive = PyCFunction_New(&_websocket_receive_method, self)
        send = PyCFunction_New(&_websocket_send_method, self)
        return asgi.app(scope, receive, send)

    # receive()

    cdef object poll(self, int what):
        cdef object message
        if what != RECEIVING:
            return WebSocketExchange.poll(self, what)
        if not self.connect_told:
            self.connect_told = True
            return {_TYPE: "websocket.connect"}
        message = self._take()
        if message is not None:
            return {_TYPE: _RECEIVE, (_TEXT if PyUnicode_CheckExact(<PyObject *>message) else _BYTES): message}
        if self.state == WEBSOCKET_CLOSED:
            self.gone_told = True
            return {_TYPE: "websocket.disconnect", "code": self.code, "reason": self.closing_reason}
        if self.read_ended and self.state == WEBSOCKET_CONNECTING:
            self.gone_told = True
            return {_TYPE: "websocket.disconnect", "code": 1006, "reason": ""}
        return _PENDING

    # send()

    cdef object _send(self, object given):
        cdef object kind
        cdef dict message = _as_dict(given)
        kind = message.get(_TYPE)
        if kind is None:
            raise RuntimeError("send(): the message has no 'type'")
        if self.state == WEBSOCKET_OPEN and not self.gone_told:
            if kind == _WEBSOCKET_SEND:
                return self._send_payload(message)
            if kind == "websocket.close":
                return self._send_close(message)
            raise RuntimeError(f"expected the message 'websocket.send' or 'websocket.close', got {kind!r}")
        if self.state == WEBSOCKET_CLOSED or self.disconnected or self.gone_told:
            raise self._gone()
        if self.response != RESPONSE_NONE:
            return self._send_denial_body(message, kind)
        return self._send_answer(message, kind)

    cdef object _send_payload(self, dict message):
        cdef object text = message.get(_TEXT)
        cdef object data = message.get(_BYTES)
        if (text is None) == (data is None):
            raise RuntimeError("'websocket.send': expected either 'text' or 'bytes', got " + ("none" if text is None else "both"))
        if text is not None:
            if not isinstance(text, str):
                raise RuntimeError(f"'websocket.send': expected 'text' to be a str, got {text!r}")
            return self._send_message(PyUnicode_FromObject(text))
        if not PyBytes_CheckExact(<PyObject *>data):
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise RuntimeError(f"'websocket.send': expected 'bytes' to be bytes, got {data!r}")
            data = bytes(data)
        return self._send_message(data)

    cdef object _send_close(self, object message):
        cdef object code = message.get("code", 1000)
        cdef object reason = message.get("reason")
        if code is None:
            code = 1000
        if not isinstance(code, int):
            raise RuntimeError(f"'websocket.close': expected 'code' to be an int, got {code!r}")
        if reason is not None and not isinstance(reason, str):
            raise RuntimeError(f"'websocket.close': expected 'reason' to be a str, got {reason!r}")
        self._close(code if 0 <= code <= 65535 else 0, PyUnicode_FromObject(reason or ""))
        return _DONE

    # the handshake's answer

    cdef object _send_answer(self, object message, object kind):
        cdef Protocol protocol
        if kind == "websocket.accept":
            return self._send_accept(message)
        if kind == "websocket.close":
            self.respond(403, b"Forbidden")
            return _DONE
        if kind != "websocket.http.response.start":
            raise RuntimeError(
                f"expected the message 'websocket.accept', 'websocket.close' or 'websocket.http.response.start', got {kind!r}"
            )
        status = message.get(_STATUS)
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise RuntimeError("'websocket.http.response.start': expected 'status' from 200 to 999, got " + _got(message, _STATUS))
        protocol = self.carrier()
        protocol.start_response(self, status, message.get(_HEADERS, ()))
        return _DONE

    cdef object _send_accept(self, object message):
        cdef object subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            if not isinstance(subprotocol, str):
                raise RuntimeError(f"'websocket.accept': expected 'subprotocol' to be a str, got {subprotocol!r}")
            if subprotocol not in self.handshake.subprotocols:
                # RFC 6455, 4.1: a client has to fail the connection.
                raise RuntimeError(f"'websocket.accept': expected a subprotocol that the client offers, got {subprotocol!r}")
            subprotocol = PyUnicode_FromObject(subprotocol)
        self._accept(subprotocol, list(message.get(_HEADERS) or ()))
        return self._sent()

    cdef object _send_denial_body(self, object message, object kind):
        cdef object body = message.get(_BODY, b"")
        cdef bint more = bool(message.get(_MORE_BODY, False))
        cdef Protocol protocol
        if kind != "websocket.http.response.body":
            raise RuntimeError(f"expected the message 'websocket.http.response.body', got {kind!r}")
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise RuntimeError("'websocket.http.response.body': expected 'body' to be bytes, got " + _got(message, _BODY))
        protocol = self.carrier()
        protocol.send_body(self, bytes(body), more)
        return self._sent()


cdef object _websocket_receive(AsgiWebSocket self, object unused):
    return self.waiting_for(RECEIVING)


cdef object _websocket_send(AsgiWebSocket self, object message):
    return self._send(message)


# Filled in once, when the module is loaded, and constant from then on.
cdef PyMethodDef _websocket_receive_method
cdef PyMethodDef _websocket_send_method
_websocket_receive_method.ml_name = "receive"
_websocket_receive_method.ml_meth = <void *>_websocket_receive
_websocket_receive_method.ml_flags = METH_NOARGS
_websocket_receive_method.ml_doc = "Return an awaitable of the next message from the client."
_websocket_send_method.ml_name = "send"
_websocket_send_method.ml_meth = <void *>_websocket_send
_websocket_send_method.ml_flags = METH_O
_websocket_send_method.ml_doc = "Send a message to the client; the awaitable is done when there is room for the next."

forbid_making(AsgiWebSocket)
