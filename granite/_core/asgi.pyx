"""The ASGI interface: one HTTP request, or WebSocket, of the specification's version 2.5 is one exchange.

Owns the scope and the receive() and send() callables. Knows neither protocol nor transport. Runs on the reactor's thread, which is the
event loop's. The Task in which the application runs, and how it ends, is the business of `task`.
"""

import os
import sys

from cpython.long cimport PyLong_AsLongAndOverflow
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.string cimport memset
from granite._core.capi.python cimport (
    METH_NOARGS, METH_O, PyBytes_CheckExact, PyCFunction_New, PyDict_CheckExact, PyDict_Copy, PyDict_GetItemWithError, PyDict_Next,
    PyDict_SetItem, PyMethodDef, PyUnicode_CheckExact, PyUnicode_FromObject, forbid_making, granite_is_text,
)
from granite._core.exchange cimport (
    RESPONSE_DONE, RESPONSE_HEAD, RESPONSE_NONE, WEBSOCKET_CLOSED, WEBSOCKET_CONNECTING, WEBSOCKET_OPEN, Exchange, Protocol,
)
from granite._core.task cimport TaskExchange, TaskInterface, WebSocketExchange, adopt
from granite._core.task import DONE, PENDING

cdef enum:
    RECEIVING = 1                       # what receive() waits for

cdef object _DONE = DONE
cdef object _PENDING = PENDING

cdef str _TYPE = "type"
cdef str _STATUS = "status"
cdef str _HEADERS = "headers"
cdef str _BODY = "body"
cdef str _MORE_BODY = "more_body"
cdef str _TRAILERS = "trailers"
cdef str _START = "http.response.start"
cdef str _RESPONSE_BODY = "http.response.body"
cdef str _REQUEST = "http.request"
cdef str _METHOD = "method"
cdef str _GET = "GET"
cdef str _HTTP_VERSION = "http_version"
cdef str _SCHEME = "scheme"
cdef str _PATH = "path"
cdef str _RAW_PATH = "raw_path"
cdef str _QUERY_STRING = "query_string"
cdef str _CLIENT = "client"
cdef str _SERVER = "server"
cdef str _HTTP = "http"
# Told by identity, as protocols intern theirs.
cdef str _HTTP10 = sys.intern("1.0")
cdef str _HTTP11 = sys.intern("1.1")
cdef str _STATE = "state"
cdef str _ASGI = "asgi"
cdef str _EXTENSIONS = "extensions"
cdef str _ROOT_PATH = "root_path"
cdef str _REQUEST_ID = "granite.request_id"
cdef dict _ASGI_VERSIONS = {"version": "3.0", "spec_version": "2.5"}


cdef class AsgiInterface(TaskInterface):
    """Calls one ASGI application.

    Parameters:
        app: the application, a callable of scope, receive and send.
        loop: the running event loop.
        context: the contextvars.Context that requests get a copy of.
        state: the lifespan's state, copied into each scope; None leaves the key out.
        extensions: what the scopes' `extensions` have besides those of the specification.
        root_path: where the application is mounted.
        on_error: called with every exception that the application lets escape, after it was logged; or None.
    """

    def __init__(self, app, loop, context, state, dict extensions, str root_path, on_error):
        self._set_up(app, loop, context, on_error)
        self.name = "ASGI"
        self.others = "WSGI, or of ASGI 2"
        self.state = state
        self.extensions = {**_EXTENSIONS_OF_1_0, **_EXTENSIONS_OF_1_1, **extensions}
        self.old_extensions = {**_EXTENSIONS_OF_1_0, **extensions}
        self.root_path = root_path
        # Every key is there from the start, so that filling a copy in never makes the dictionary grow. No literal: Cython makes the
        # dictionary of one so large at once that CPython keeps the hashes of its keys in it, as in all copies: half as much memory again.
        self.template = dict([
            (_TYPE, _HTTP), (_ASGI, None), (_HTTP_VERSION, _HTTP11), (_METHOD, _GET), (_SCHEME, _HTTP), (_PATH, None), (_RAW_PATH, None),
            (_QUERY_STRING, b""), (_ROOT_PATH, root_path), (_HEADERS, None), (_CLIENT, None), (_SERVER, None), (_EXTENSIONS, None),
        ])
        if state is not None:
            self.template[_STATE] = None
        self.websocket_template = {**self.template, _TYPE: _WEBSOCKET, _SCHEME: _WS, _SUBPROTOCOLS: None}
        del self.websocket_template[_METHOD]
        self.websocket_extensions = {_DENIAL: {}, **extensions}

    cdef dict new_scope(self, Exchange exchange, dict template, dict extensions):
        """The scope of a request or a WebSocket, but for what only one of them has."""
        cdef dict scope
        if exchange.server is not self.server:  # which seldom changes
            self.server = exchange.server
            PyDict_SetItem(self.template, _SERVER, exchange.server)
            PyDict_SetItem(self.websocket_template, _SERVER, exchange.server)
        scope = PyDict_Copy(template)
        PyDict_SetItem(scope, _ASGI, PyDict_Copy(_ASGI_VERSIONS))
        if exchange.http_version is not _HTTP11:
            PyDict_SetItem(scope, _HTTP_VERSION, exchange.http_version)
        path = _mounted(self.root_path, exchange.path) if self.root_path else exchange.path
        if exchange.prefix:
            PyDict_SetItem(scope, _ROOT_PATH, exchange.prefix + self.root_path)
            path = _mounted(exchange.prefix, path)
        PyDict_SetItem(scope, _PATH, path)
        PyDict_SetItem(scope, _RAW_PATH, exchange.raw_path)
        if exchange.query_string:
            PyDict_SetItem(scope, _QUERY_STRING, exchange.query_string)
        PyDict_SetItem(scope, _HEADERS, exchange.headers)
        PyDict_SetItem(scope, _CLIENT, exchange.client)
        extensions = PyDict_Copy(extensions)
        if exchange.trailers is not None:
            PyDict_SetItem(extensions, _REQUEST_TRAILERS, exchange.trailers)
        if exchange.tls is not None:
            PyDict_SetItem(extensions, _TLS, _describe_tls(exchange.tls))
        if exchange.request_id is not None:
            PyDict_SetItem(extensions, _REQUEST_ID, exchange.request_id.decode("ascii"))
        PyDict_SetItem(scope, _EXTENSIONS, extensions)
        if self.state is not None:
            PyDict_SetItem(scope, _STATE, PyDict_Copy(self.state))
        return scope

    cdef Exchange new_websocket(self):
        cdef AsgiWebSocket exchange = AsgiWebSocket.__new__(AsgiWebSocket)
        adopt(self, exchange)
        return exchange

    cdef Exchange new_exchange(self):
        cdef AsgiExchange exchange = AsgiExchange.__new__(AsgiExchange)
        adopt(self, exchange)
        return exchange


cdef class AsgiExchange(TaskExchange):
    """One request to an ASGI application."""

    cdef object _invoke(self):
        cdef AsgiInterface asgi = <AsgiInterface>self.tasks
        cdef dict scope = asgi.new_scope(self, asgi.template, asgi.old_extensions if self.http_version is _HTTP10 else asgi.extensions)
        if self.method is not _GET:
            PyDict_SetItem(scope, _METHOD, self.method)
        if self.scheme is not _HTTP:
            PyDict_SetItem(scope, _SCHEME, self.scheme)
        receive = PyCFunction_New(&_receive_method, self)
        send = PyCFunction_New(&_send_method, self)
        return asgi.app(scope, receive, send)

    # receive()

    cdef object poll(self, int what):
        cdef bytes body
        if what != RECEIVING:
            return TaskExchange.poll(self, what)
        if not self.body_taken and self.response != RESPONSE_DONE:
            if self.body is not None or self.body_complete:
                body = self.take_body()
                self.body_taken = self.body_complete
                if self.protocol is not None:
                    self.protocol.body_wanted(self)
                return {_TYPE: _REQUEST, _BODY: body, _MORE_BODY: not self.body_taken}
            if self.protocol is not None and not self.read_ended:
                self.protocol.body_wanted(self)
                return _PENDING
        if self.disconnected or self.read_ended or self.protocol is None or self.response == RESPONSE_DONE:
            self.gone_told = True
            return {_TYPE: "http.disconnect"}
        return _PENDING

    # send()

    cdef object _send(self, object message):
        cdef Message parts
        message = _as_dict(message)
        if not _take_apart(message, &parts):
            message = dict(message)     # which nobody changes meanwhile, whatever its keys are
            _look_up(message, &parts)
        if parts.kind is NULL:
            raise RuntimeError("send(): the message has no 'type'")
        if self.disconnected or self.gone_told and self.response != RESPONSE_DONE:
            raise self._gone()
        if self.response == RESPONSE_NONE:
            return self._send_start(message, &parts)
        return self._send_body(message, &parts)

    cdef object _send_start(self, object message, Message *parts):
        cdef object headers
        cdef Protocol protocol
        cdef long status
        cdef int overflow
        if not granite_is_text(parts.kind, <PyObject *>_START):
            if granite_is_text(parts.kind, <PyObject *>_EARLY_HINT):
                return _send_hint(self, message)
            raise RuntimeError(f"expected the message 'http.response.start', got {<object>parts.kind!r}")
        # All of them before Python code of the application may run, which could take them out of the message.
        headers = <object>parts.headers if parts.headers is not NULL else ()
        trailing = <object>parts.trailers if parts.trailers is not NULL else False
        code = <object>parts.status if parts.status is not NULL else None
        if not isinstance(code, int):
            raise RuntimeError("'http.response.start': expected 'status' to be an int, got " + _got(message, _STATUS))
        status = PyLong_AsLongAndOverflow(code, &overflow)
        if overflow or not 200 <= status <= 999:
            raise RuntimeError(f"'http.response.start': expected 'status' from 200 to 999, got {code}")
        self.trailing = bool(trailing)
        protocol = self.carrier()
        protocol.start_response(self, <int>status, headers)
        return _DONE

    cdef object _send_body(self, object message, Message *parts):
        cdef object body = b""
        cdef object more = <object>parts.more_body if parts.more_body is not NULL else False
        cdef bint goes_on
        cdef Protocol protocol
        if self.response == RESPONSE_DONE:
            raise RuntimeError(f"expected no message after the response is complete, got {<object>parts.kind!r}")
        if self.body_ended or not granite_is_text(parts.kind, <PyObject *>_RESPONSE_BODY):
            return _send_other(self, message, <object>parts.kind)
        if parts.body is not NULL:
            body = <object>parts.body
            if not PyBytes_CheckExact(parts.body):
                if not isinstance(body, (bytes, bytearray, memoryview)):
                    raise RuntimeError("'http.response.body': expected 'body' to be bytes, got " + _got(message, _BODY))
                body = bytes(body)
        goes_on = bool(more)
        protocol = self.carrier()
        protocol.send_body(self, body, goes_on or self.trailing)
        self.body_ended = not goes_on
        return self._sent()


cdef inline dict _as_dict(object message):
    """What was given to send()."""
    if PyDict_CheckExact(<PyObject *>message):
        return <dict>message
    if not hasattr(message, "keys"):
        raise RuntimeError(f"send(): expected a message, which is a dict, got {message!r}")
    return dict(message)


cdef bint _take_apart(object message, Message *parts) noexcept:
    """Find what a message may have, borrowed, if all its keys are known by identity, as those of literals are."""
    cdef PyObject *key
    cdef PyObject *value
    cdef Py_ssize_t place = 0
    memset(parts, 0, sizeof(Message))
    while PyDict_Next(message, &place, &key, &value):
        if key is <PyObject *>_TYPE:
            parts.kind = value
        elif key is <PyObject *>_BODY:
            parts.body = value
        elif key is <PyObject *>_MORE_BODY:
            parts.more_body = value
        elif key is <PyObject *>_STATUS:
            parts.status = value
        elif key is <PyObject *>_HEADERS:
            parts.headers = value
        elif key is <PyObject *>_TRAILERS:
            parts.trailers = value
        else:
            return False
    return True


cdef int _look_up(object message, Message *parts) except -1:
    """The same, whatever the keys are."""
    parts.kind = PyDict_GetItemWithError(message, _TYPE)
    parts.status = PyDict_GetItemWithError(message, _STATUS)
    parts.headers = PyDict_GetItemWithError(message, _HEADERS)
    parts.trailers = PyDict_GetItemWithError(message, _TRAILERS)
    parts.body = PyDict_GetItemWithError(message, _BODY)
    parts.more_body = PyDict_GetItemWithError(message, _MORE_BODY)
    return 0


cdef str _got(message, str key):
    return repr(message[key]) if key in message else "nothing"


cdef object _mounted(str root, str path):
    """A path as the client sees it: below `root`, unless the proxy has left it there."""
    return path if path == root or path.startswith(root + "/") else root + path


cdef object _receive(AsgiExchange self, object unused):
    return self.waiting_for(RECEIVING)


cdef object _send_message(AsgiExchange self, object message):
    return self._send(message)


# Filled in once, when the module is loaded, and constant from then on.
cdef PyMethodDef _receive_method
cdef PyMethodDef _send_method
_receive_method.ml_name = "receive"
_receive_method.ml_meth = <void *>_receive
_receive_method.ml_flags = METH_NOARGS
_receive_method.ml_doc = "Return an awaitable of the next message from the client."
_send_method.ml_name = "send"
_send_method.ml_meth = <void *>_send_message
_send_method.ml_flags = METH_O
_send_method.ml_doc = "Send a message to the client; the awaitable is done when there is room for the next."


include "asgi/extensions.pxi"
include "asgi/websocket.pxi"

forbid_making(AsgiExchange)
