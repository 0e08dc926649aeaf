# What an application answers a request with, and reads its body from.

@cython.freelist(64)
cdef class HTTPProtocol:
    """The specification's HTTP protocol interface. What is wrong in the use of it raises ProtocolError, TypeError or ValueError; where
    the client has gone, bodies and streams raise ProtocolClosed, and a response is dropped."""

    cdef RsgiExchange exchange

    def __call__(self):
        """Return an awaitable of the whole body, bytes."""
        return self.exchange.waiting_for(WHOLE_BODY)

    def __aiter__(self):
        """Return an iterator over the body, in pieces as they come."""
        cdef RsgiExchange exchange = self.exchange
        cdef _Pieces pieces
        if exchange.iterated or exchange.body_taken or exchange.pieces is not None:
            raise ProtocolError("the request's body was asked for before: it is read once")
        exchange.iterated = True
        pieces = _Pieces.__new__(_Pieces)
        pieces.exchange = exchange
        return pieces

    def client_disconnect(self):
        """Return an awaitable that is done when the client has gone, or the response is complete."""
        return self.exchange.waiting_for(DISCONNECT)

    def response_empty(self, status, headers):
        """Answer without a body."""
        self.exchange._respond(status, headers, b"")

    def response_str(self, status, headers, body):
        """Answer with a text, in UTF-8."""
        if not isinstance(body, str):
            raise TypeError(f"expected the body to be a str, got {body!r}")
        self.exchange._respond(status, headers, (<str>body).encode("utf-8"))

    def response_bytes(self, status, headers, body):
        """Answer with bytes."""
        self.exchange._respond(status, headers, body if PyBytes_CheckExact(<PyObject *>body) else _bytes(body))

    def response_file(self, status, headers, file):
        """Answer with the file at a path; with a 404 where there is none."""
        self.exchange._respond_file(status, headers, file, 0, None)

    def response_file_range(self, status, headers, file, start, end):
        """Answer with the bytes of the file from `start` up to, without, `end`; those that there are."""
        self.exchange._respond_file(status, headers, file, start, end)

    def response_stream(self, status, headers):
        """Send the head of a response whose body is sent piece by piece, and ends when the application returns; return what sends it."""
        return self.exchange._respond_stream(status, headers)


cdef class HTTPStreamTransport:
    """Sends the body of a response. Its awaitables are done when there is room for more."""

    cdef RsgiExchange exchange

    def send_bytes(self, data):
        return self.exchange._send_piece(data if PyBytes_CheckExact(<PyObject *>data) else _bytes(data))

    def send_str(self, data):
        if not isinstance(data, str):
            raise TypeError(f"expected a str, got {data!r}")
        return self.exchange._send_piece((<str>data).encode("utf-8"))


cdef class _Pieces:
    """The iterator over a request's body."""

    cdef RsgiExchange exchange

    def __aiter__(self):
        return self

    def __anext__(self):
        return self.exchange.waiting_for(PIECE_OF_BODY)


forbid_making(RsgiExchange)
forbid_making(Scope)
forbid_making(Headers)
forbid_making(HTTPProtocol)
forbid_making(HTTPStreamTransport)
forbid_making(_Pieces)
