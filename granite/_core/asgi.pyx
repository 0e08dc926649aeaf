"""The ASGI interface: one HTTP request of the specification's version 2.5 is one exchange.

Owns the scope, the application's Task and the receive() and send() callables. Knows neither protocol nor transport. Runs on the
reactor's thread, which is the event loop's.

Theory of operation: every request runs in a real asyncio.Task with a copy of the lifespan's context. The coroutine of that Task is
the exchange itself: its first step calls the application, each further step drives the coroutine that the application returned. So
the exchange sees how the application ends without a callback on the Task. Where Python can start a Task eagerly (3.12), the first
step runs inside the read callback. receive() and send() return awaitables that fill `am_send`, which lets them return a value without
raising StopIteration; only when there is really something to wait for is a Future made.
"""

import asyncio
import logging
import os
import sys

cimport cython
from cpython.long cimport PyLong_AsLongAndOverflow
from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from libc.string cimport memset
from granite._core.capi.python cimport (
    METH_NOARGS, METH_O, PYGEN_ERROR, PYGEN_NEXT, PYGEN_RETURN, PyAsyncMethods, PyBytes_CheckExact, PyCFunction_New,
    PyCoro_CheckExact, PyContext_Copy, PyDict_CheckExact, PyDict_Copy, PyDict_GetItemWithError, PyDict_Next, PyDict_SetItem,
    PyIter_Send, PyMethodDef, PyObject_Call, PySendResult, Py_DECREF, Py_INCREF, _AsyncType, granite_is_text, sendfunc,
)
from granite._core.exchange cimport Exchange, Interface, Protocol, RESPONSE_BODY, RESPONSE_DONE, RESPONSE_HEAD, RESPONSE_NONE
from granite._core.exchange import ClientDisconnected

cdef object _log = logging.getLogger("granite.error")
cdef object _CancelledError = asyncio.CancelledError

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
cdef str _CONTEXT = "context"
cdef dict _ASGI_VERSIONS = {"version": "3.0", "spec_version": "2.5"}


cdef class AsgiInterface(Interface):
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
        self.app = app
        self.loop = loop
        self.context = context
        self.state = state
        self.extensions = {**_EXTENSIONS_OF_1_0, **_EXTENSIONS_OF_1_1, **extensions}
        self.old_extensions = {**_EXTENSIONS_OF_1_0, **extensions}
        self.on_error = on_error
        self.root_path = root_path
        self.waiting = set()
        self.create_future = loop.create_future
        self.get_task_factory = loop.get_task_factory
        self.eager = sys.version_info >= (3, 12)
        self.task_type = asyncio.Task
        self.task_arguments = {"loop": loop, "eager_start": True, "context": None}
        # Every key is there from the start, so that filling a copy in never makes the dictionary grow.
        self.template = {
            _TYPE: _HTTP, _ASGI: None, _HTTP_VERSION: _HTTP11, _METHOD: _GET, _SCHEME: _HTTP, _PATH: None, _RAW_PATH: None,
            _QUERY_STRING: b"", _ROOT_PATH: root_path, _HEADERS: None, _CLIENT: None, _SERVER: None, _EXTENSIONS: None,
        }
        if state is not None:
            self.template[_STATE] = None

    cdef Exchange new_exchange(self):
        cdef AsgiExchange exchange = AsgiExchange.__new__(AsgiExchange)
        exchange.interface = self
        exchange.asgi = self
        self.live += 1
        return exchange

    cdef int cancel(self) except -1:
        """Cancel every Task that has not ended."""
        cdef AsgiExchange exchange
        for exchange in list(self.waiting):
            exchange.task.cancel()
        return 0

    cdef object _make_task(self, object coroutine, object context):
        factory = self.get_task_factory()
        if factory is not None:
            # The call that every factory takes: not all know `context`, and loops differ in what else they pass.
            return context.run(factory, self.loop, coroutine)
        if self.eager:
            PyDict_SetItem(self.task_arguments, _CONTEXT, context)
            try:
                return PyObject_Call(self.task_type, (coroutine,), self.task_arguments)
            finally:
                PyDict_SetItem(self.task_arguments, _CONTEXT, None)
        if sys.version_info >= (3, 11):
            return self.loop.create_task(coroutine, context=context)
        return context.run(self.loop.create_task, coroutine)


cdef class AsgiExchange(Exchange):
    """One request to an ASGI application, and the coroutine that the request's Task runs."""

    cdef int start(self) except -1:
        self.asgi.started(self)
        context = PyContext_Copy(self.asgi.context)
        if self.request_id is not None:
            self.asgi.request_ids.enter(self, context)
        try:
            task = self.asgi._make_task(self, context)
        except BaseException as exc:
            if not self.ended:
                self._raised(exc)
            if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                raise
            return 0
        if not self.ended:
            # asyncio keeps only a weak reference to a Task.
            self.task = task
            self.asgi.waiting.add(self)
        return 0

    cdef dict _scope(self):
        cdef AsgiInterface asgi = self.asgi
        cdef dict scope
        if self.server is not asgi.server:      # which seldom changes
            asgi.server = self.server
            PyDict_SetItem(asgi.template, _SERVER, self.server)
        scope = PyDict_Copy(asgi.template)
        PyDict_SetItem(scope, _ASGI, PyDict_Copy(_ASGI_VERSIONS))
        if self.http_version is not _HTTP11:
            PyDict_SetItem(scope, _HTTP_VERSION, self.http_version)
        if self.method is not _GET:
            PyDict_SetItem(scope, _METHOD, self.method)
        if self.scheme is not _HTTP:
            PyDict_SetItem(scope, _SCHEME, self.scheme)
        path = _mounted(asgi.root_path, self.path) if asgi.root_path else self.path
        if self.prefix:
            PyDict_SetItem(scope, _ROOT_PATH, self.prefix + asgi.root_path)
            path = _mounted(self.prefix, path)
        PyDict_SetItem(scope, _PATH, path)
        PyDict_SetItem(scope, _RAW_PATH, self.raw_path)
        if self.query_string:
            PyDict_SetItem(scope, _QUERY_STRING, self.query_string)
        PyDict_SetItem(scope, _HEADERS, self.headers)
        PyDict_SetItem(scope, _CLIENT, self.client)
        extensions = PyDict_Copy(asgi.old_extensions if self.http_version is _HTTP10 else asgi.extensions)
        if self.trailers is not None:
            PyDict_SetItem(extensions, _REQUEST_TRAILERS, self.trailers)
        if self.tls is not None:
            PyDict_SetItem(extensions, _TLS, _describe_tls(self.tls))
        if self.request_id is not None:
            PyDict_SetItem(extensions, _REQUEST_ID, self.request_id.decode("ascii"))
        PyDict_SetItem(scope, _EXTENSIONS, extensions)
        if asgi.state is not None:
            PyDict_SetItem(scope, _STATE, PyDict_Copy(asgi.state))
        return scope

    # the application's coroutine

    cdef int _call(self) except -1:
        self.called = True
        self.asgi.calling(self)
        receive = PyCFunction_New(&_receive_method, self)
        send = PyCFunction_New(&_send_method, self)
        awaitable = self.asgi.app(self._scope(), receive, send)
        if PyCoro_CheckExact(awaitable):
            self.coroutine = awaitable
        elif hasattr(awaitable, "__await__"):
            self.coroutine = awaitable.__await__()
        else:
            raise TypeError(
                f"an ASGI application must return an awaitable, not {type(awaitable).__name__}: is it a WSGI application, or one of ASGI 2?"
            )
        return 0

    cdef int _returned(self) except -1:
        if self.ended:
            return 0
        self.ended = True
        try:
            self._check_complete()
        finally:
            self._end()
        return 0

    cdef int _check_complete(self) except -1:
        if self.protocol is not None and self.response != RESPONSE_DONE and not self.disconnected:
            if self.gone_told:
                return self._leave()    # it returned because the client has gone: nothing is wrong
            if self.response == RESPONSE_NONE:
                _log.error("the application returned without a response: %s", self.name())
            else:
                _log.error("the application returned without completing its response: %s", self.name())
            self.fail()
        return 0

    cdef int _raised(self, object exc) except -1:
        if self.ended:
            return 0
        self.ended = True
        try:
            # Not the application's fault: whoever it waited for has gone, or it was told to end.
            if not isinstance(exc, (ClientDisconnected, _CancelledError)):
                self._report(exc)
            if isinstance(exc, ClientDisconnected):
                self._leave()
            else:
                self.fail()
        finally:
            self._end()
        return 0

    cdef int _leave(self) except -1:
        """End a response that nobody waits for."""
        cdef Protocol protocol = self.protocol
        if protocol is None or self.response == RESPONSE_DONE:
            return 0
        if self.response == RESPONSE_HEAD:
            protocol.discard_head(self)
        return protocol.cut_short(self)

    cdef int _report(self, object exc) except -1:
        try:
            _log.error("exception in the application: %s", self.name(), exc_info=exc)
            if self.asgi.on_error is not None:
                self.asgi.on_error(exc)
        except Exception as failure:
            _log.error("on_error failed", exc_info=failure)
        return 0

    cdef int _end(self) except -1:
        self.coroutine = None
        if self.task is not None:
            self.task = None
            self.asgi.waiting.discard(self)
        self.take_body()
        return self.asgi.finished(self)

    cdef PySendResult _step(self, object value, PyObject **result) except PYGEN_ERROR:
        """Run the application to its next suspension."""
        cdef PySendResult outcome
        cdef object coroutine
        result[0] = NULL                # which is what a Task looks at
        if self.stepping:
            raise ValueError("coroutine already executing")
        if self.ended:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self.stepping = True
        try:
            if self.coroutine is None:
                self._call()
            coroutine = self.coroutine
            outcome = PyIter_Send(<PyObject *>coroutine, <PyObject *>value, result)
        except BaseException as exc:
            self.stepping = False
            self._raised(exc)
            return self._outcome_of(exc, result)
        self.stepping = False
        if outcome == PYGEN_RETURN:
            self._returned()
        return outcome

    cdef PySendResult _outcome_of(self, object exc, PyObject **result) except PYGEN_ERROR:
        """What the Task sees of an exception: it was dealt with, unless it is meant for the Task or the loop."""
        if isinstance(exc, (_CancelledError, SystemExit, KeyboardInterrupt)):
            raise exc
        Py_INCREF(<PyObject *>None)
        result[0] = <PyObject *>None
        return PYGEN_RETURN

    def send(self, value):
        """The coroutine protocol: run to the next suspension."""
        cdef PyObject *result = NULL
        return _unwrap(self._step(value, &result), result)

    def throw(self, typ, value=None, traceback=None):
        """The coroutine protocol: raise inside the application."""
        cdef PyObject *result = NULL
        if self.stepping:
            raise ValueError("coroutine already executing")
        if self.coroutine is None:
            exc = _instance(typ, value)
            self._raised(exc)
            raise exc
        coroutine = self.coroutine
        self.stepping = True
        try:
            yielded = coroutine.throw(_instance(typ, value))
        except StopIteration:
            self.stepping = False
            self._returned()
            raise
        except BaseException as exc:
            self.stepping = False
            self._raised(exc)
            if isinstance(exc, GeneratorExit):
                raise
            return _unwrap(self._outcome_of(exc, &result), result)
        self.stepping = False
        return yielded

    def close(self):
        """The coroutine protocol: end the application at its suspension."""
        if self.stepping:
            raise ValueError("coroutine already executing")
        coroutine, self.coroutine = self.coroutine, None
        try:
            if coroutine is not None:
                coroutine.close()
        finally:
            if self.called and not self.ended:
                self.ended = True
                self.fail()
                self._end()

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject *result = NULL
        return _unwrap(self._step(None, &result), result)

    @property
    def cr_await(self):
        return getattr(self.coroutine, "cr_await", None)

    @property
    def cr_code(self):
        return getattr(self.coroutine, "cr_code", None)

    @property
    def cr_frame(self):
        return getattr(self.coroutine, "cr_frame", None)

    @property
    def cr_running(self):
        return self.stepping

    @property
    def cr_suspended(self):
        return self.called and not self.stepping and not self.ended

    # receive()

    cdef object poll_receive(self):
        """The next message, or None while there is none."""
        cdef bytes body
        if not self.body_taken and self.response != RESPONSE_DONE:
            if self.body is not None or self.body_complete:
                body = self.take_body()
                self.body_taken = self.body_complete
                if self.protocol is not None:
                    self.protocol.body_wanted(self)
                return {_TYPE: _REQUEST, _BODY: body, _MORE_BODY: not self.body_taken}
            if self.protocol is not None and not self.read_ended:
                self.protocol.body_wanted(self)
                return None
        if self.disconnected or self.read_ended or self.protocol is None or self.response == RESPONSE_DONE:
            self.gone_told = True
            return {_TYPE: "http.disconnect"}
        return None

    # send()

    cdef bint poll_send(self) except -1:
        """Whether there is room for more."""
        return self.protocol is None or self.disconnected or self.protocol.writable(self)

    cdef object _send(self, object message):
        cdef Message parts
        if not PyDict_CheckExact(<PyObject *>message):
            if not hasattr(message, "keys"):
                raise RuntimeError(f"send(): expected a message, which is a dict, got {message!r}")
            message = dict(message)
        if not _take_apart(message, &parts):
            message = dict(message)     # which nobody changes meanwhile, whatever its keys are
            _look_up(message, &parts)
        if parts.kind is NULL:
            raise RuntimeError("send(): the message has no 'type'")
        if self.disconnected or self.gone_told and self.response != RESPONSE_DONE:
            raise ClientDisconnected("the client has disconnected")
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
        if parts.status is NULL or not isinstance(<object>parts.status, int):
            raise RuntimeError("'http.response.start': expected 'status' to be an int, got " + _got(message, _STATUS))
        headers = <object>parts.headers if parts.headers is not NULL else ()
        trailing = <object>parts.trailers if parts.trailers is not NULL else False
        status = PyLong_AsLongAndOverflow(<object>parts.status, &overflow)
        if overflow or not 200 <= status <= 999:
            raise RuntimeError(f"'http.response.start': expected 'status' from 200 to 999, got {<object>parts.status}")
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

    cdef object _sent(self):
        """The awaitable of a message that has been handed to the protocol."""
        if self.disconnected:
            raise ClientDisconnected("the client has disconnected")
        if self.protocol is None or self.protocol.writable(self):
            return _DONE
        return _waiting(self, True)

    # called by the protocol

    cdef int abort(self) except -1:
        if self.task is not None:
            self.task.cancel()
        return 0

    cdef int on_body(self) except -1:
        if self.receivers is not None:
            _wake(self.receivers)
        return 0

    cdef int on_writable(self) except -1:
        if self.senders is not None:
            _wake(self.senders)
        return 0

    cdef int on_read_ended(self) except -1:
        self.read_ended = True
        return self.on_body()

    cdef int on_disconnect(self) except -1:
        self.disconnected = self.response != RESPONSE_DONE
        self.protocol = None
        if not self.body_complete:
            self.take_body()            # a piece of a body of which no more comes
        self.on_body()
        return self.on_writable()


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


cdef object _instance(typ, value):
    """The exception that throw()'s arguments, of the old form or the new, stand for."""
    if isinstance(typ, BaseException):
        return typ
    if isinstance(value, BaseException):
        return value
    return typ() if value is None else typ(value)


cdef object _unwrap(PySendResult outcome, PyObject *result):
    """Turn what `am_send` returned into what an iterator's method returns; takes the reference over."""
    value = <object>result
    Py_DECREF(result)
    if outcome == PYGEN_RETURN:
        raise StopIteration(value)
    return value


cdef int _wake(list futures) except -1:
    while futures:
        future = futures.pop()
        if not future.done():
            future.set_result(None)
    return 0


cdef object _receive(AsgiExchange self, object unused):
    return _waiting(self, False)


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
include "asgi/awaitables.pxi"


cdef PySendResult _exchange_send(PyObject *self, PyObject *value, PyObject **result) except PYGEN_ERROR:
    return (<AsgiExchange>self)._step(<object>value, result)


# Cython has no syntax for `am_send`.
(<_AsyncType *><PyObject *>_Done).tp_as_async.am_send = <sendfunc><void *>_done_send
(<_AsyncType *><PyObject *>_Waiting).tp_as_async.am_send = <sendfunc><void *>_waiting_send
(<_AsyncType *><PyObject *>AsgiExchange).tp_as_async.am_send = <sendfunc><void *>_exchange_send

cdef _Done _DONE = _Done.__new__(_Done)

# Only this module makes them: one that Python made would lack what its methods rely on.
(<_AsyncType *><PyObject *>_Waiting).tp_new = NULL
(<_AsyncType *><PyObject *>AsgiExchange).tp_new = NULL
