"""The RSGI interface: one HTTP request, or WebSocket, of the specification's version 1.6 is one exchange.

Owns the scope, the protocol object and the transport of a stream. Knows neither protocol nor transport below. Runs on the reactor's
thread, which is the event loop's. The Task in which the application runs, and how it ends, is the business of `task`.

What an application gets are views of the exchange: nothing is decoded or copied before it is asked for. Bytes of header fields are
Latin-1 in both directions.
"""

import errno
import os

cimport cython
from cpython.object cimport PyObject
from granite._core.capi.python cimport PyBytes_CheckExact, PyUnicode_AsLatin1String, PyUnicode_CheckExact, PyUnicode_FromObject, forbid_making
from granite._core.exchange cimport (
    RESPONSE_BODY, RESPONSE_DONE, RESPONSE_HEAD, RESPONSE_NONE, WEBSOCKET_CLOSED, WEBSOCKET_CONNECTING, WEBSOCKET_OPEN, Exchange, Protocol,
)
from granite._core.task cimport TaskExchange, TaskInterface, WebSocketExchange, adopt
from granite._core.exchange import ClientDisconnected
from granite._core.task import PENDING

cdef enum:
    WHOLE_BODY = 1                      # what an application may wait for
    PIECE_OF_BODY
    DISCONNECT
    ACCEPTED
    MESSAGE

cdef object _PENDING = PENDING

# What open() says of a path at which there is no file.
cdef frozenset _MISSING = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG))


class ProtocolError(RuntimeError):
    """The application has used the protocol in a way that the specification does not have."""


class ProtocolClosed(ClientDisconnected, RuntimeError):
    """The client has gone."""


cdef class RsgiInterface(TaskInterface):
    """Calls one RSGI application.

    Parameters:
        app: the application, a callable of scope and protocol.
        loop: the running event loop.
        context: the contextvars.Context that requests get a copy of.
        on_error: called with every exception that the application lets escape, after it was logged; or None.
    """

    def __init__(self, app, loop, context, on_error):
        self._set_up(app, loop, context, on_error)
        self.name = "RSGI"
        self.others = "WSGI"
        self.gone = ProtocolClosed

    cdef Exchange new_exchange(self):
        cdef RsgiExchange exchange = RsgiExchange.__new__(RsgiExchange)
        adopt(self, exchange)
        return exchange

    cdef Exchange new_websocket(self):
        cdef RsgiWebSocket exchange = RsgiWebSocket.__new__(RsgiWebSocket)
        adopt(self, exchange)
        return exchange


cdef class RsgiExchange(TaskExchange):
    """One request to an RSGI application."""

    cdef object _invoke(self):
        cdef Scope scope = Scope.__new__(Scope)
        cdef HTTPProtocol protocol = HTTPProtocol.__new__(HTTPProtocol)
        scope.exchange = protocol.exchange = self
        return self.tasks.app(scope, protocol)

    cdef int _complete(self) except -1:
        cdef Protocol protocol = self.protocol
        if self.streamed and protocol is not None and self.response == RESPONSE_BODY and not self.disconnected and not self.gone_told:
            protocol.send_body(self, b"", False)
        return 0

    # what comes from the client

    cdef object poll(self, int what):
        if what == WHOLE_BODY:
            return self._poll_whole()
        if what == PIECE_OF_BODY:
            return self._poll_piece()
        if what == DISCONNECT:
            return self._poll_disconnect()
        return TaskExchange.poll(self, what)

    cdef object _poll_whole(self):
        cdef bytes piece
        if self.iterated or self.body_taken:
            raise ProtocolError("the request's body was asked for before: it is read once")
        piece = self.take_body()
        self.body_taken = self.body_complete
        if piece and (self.pieces is not None or not self.body_complete):
            if self.pieces is None:
                self.pieces = []
            self.pieces.append(piece)
        if not self.body_complete:
            self._want_body()
            return _PENDING
        if self.protocol is not None:
            self.protocol.body_wanted(self)
        if self.pieces is not None:
            piece, self.pieces = b"".join(self.pieces), None
        return piece

    cdef object _poll_piece(self):
        cdef bytes piece
        if self.body is None:
            if self.body_complete:
                self.body_taken = True
                raise StopAsyncIteration
            self._want_body()
            return _PENDING
        piece = self.take_body()
        self.body_taken = self.body_complete
        if self.protocol is not None:
            self.protocol.body_wanted(self)
        return piece

    cdef int _want_body(self) except -1:
        """Have more of the body read; raises where none comes."""
        cdef Protocol protocol = self.protocol
        if protocol is None or self.disconnected or self.read_ended or self.response == RESPONSE_DONE:
            raise self._over()
        return protocol.body_wanted(self)

    cdef object _poll_disconnect(self):
        if self.disconnected or self.read_ended or self.protocol is None or self.response == RESPONSE_DONE:
            self.gone_told = True
            return None
        return _PENDING

    cdef object _over(self):
        """Why nothing more comes from the client, nor goes to it."""
        if self.response == RESPONSE_DONE and not self.aborted:
            return ProtocolError("the request was answered: its response is complete")
        return self._gone()

    # the response

    cdef bint _begin(self, object status, object headers) except -1:
        """Accept the response's status and fields; return False where nobody is left to get it."""
        cdef Protocol protocol
        cdef list fields = _fields(headers)     # first: to look at them may run the application's code
        if self.response > RESPONSE_HEAD or self.dropped:
            raise ProtocolError("the request was answered before: it gets one response")
        if not isinstance(status, int):
            raise TypeError(f"expected the status to be an int, got {status!r}")
        if not 200 <= status <= 999:
            raise ValueError(f"expected a status from 200 to 999, got {status}")
        protocol = self.protocol
        if protocol is None or self.disconnected or self.gone_told:
            self.dropped = True
            return False
        if self.response == RESPONSE_HEAD:
            protocol.discard_head(self)     # of a response whose body was refused
        protocol.start_response(self, status, fields)
        return True

    cdef int _respond(self, object status, object headers, bytes body) except -1:
        cdef Protocol protocol
        if self._begin(status, headers):
            protocol = self.carrier()
            protocol.send_body(self, body, False)
        return 0

    cdef int _respond_file(self, object status, object headers, object file, object start, object end) except -1:
        cdef Protocol protocol
        cdef str path = os.fsdecode(file)
        if end is not None and not 0 <= start < end:
            raise ValueError(f"expected a range with 0 <= start < end, got {start} and {end}")
        if not self._begin(status, headers):
            return 0
        try:
            self.send_path(path, start, -1 if end is None else end - start, False)
        except ValueError:
            pass                            # a directory, a device, or a name that no file can have
        except OSError as exc:
            if exc.errno not in _MISSING:
                raise RuntimeError(f"{path!r} can't be sent: {exc}") from exc   # an OSError would mean that the client has gone
        else:
            return 0
        protocol = self.carrier()
        protocol.discard_head(self)
        return self.respond(404, b"Not Found")

    cdef object _respond_stream(self, object status, object headers):
        cdef Protocol protocol
        cdef HTTPStreamTransport stream
        if self._begin(status, headers):
            protocol = self.carrier()
            protocol.send_body(self, b"", True)     # who opens a stream may have nothing to send for long
            self.streamed = True
        stream = HTTPStreamTransport.__new__(HTTPStreamTransport)
        stream.exchange = self
        return stream

    cdef object _send_piece(self, bytes data):
        cdef Protocol protocol = self.protocol
        if protocol is None or self.disconnected or self.gone_told or self.response == RESPONSE_DONE:
            raise self._over()
        protocol.send_body(self, data, True)
        return self._sent()


cdef list _fields(object headers):
    """Fields as the protocol takes them."""
    cdef list fields = []
    for field in headers:
        if not isinstance(field, (tuple, list)) or len(field) != 2:
            raise TypeError(f"response headers: expected pairs (name, value), got {field!r}")
        name, value = field
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"response headers: expected names and values to be str, got {field!r}")
        fields.append((PyUnicode_AsLatin1String(name), PyUnicode_AsLatin1String(value)))
    return fields


cdef bytes _bytes(object data):
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"expected bytes, got {data!r}")
    return bytes(data)


include "rsgi/scope.pxi"
include "rsgi/protocol.pxi"
include "rsgi/websocket.pxi"
