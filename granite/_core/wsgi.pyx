"""The WSGI interface (PEP 3333): one request is one exchange, and one call of the application.

Owns the environ, the input, start_response() and write(), the iteration of what the application returns, and its close(). Knows neither
protocol nor transport below, and no asyncio. Runs on the reactor's thread, or, with threads, half here and half in them (`pool`).

Theory of operation: an application may block, so it is never called from inside of libuv's loop. An exchange whose request is ready is
queued with the runner, which calls it at the end of the reactor's turn. It is ready when its body has come, or as much of it as is kept
in memory, so that a slow client keeps no thread waiting; or when the client waits to be asked for it.

    HELD --the body is there--> QUEUED --the turn's end--> RUNNING --returned, raised--> ENDED
                                  ^                           |
                                  +--room again-- SUSPENDED <-+ the client does not keep up with the response

What an application waits for while it runs on the reactor's thread, more of the body or room for write(), it waits for inside of the
reactor: other connections are served meanwhile, but no other call begins.
"""

import io
import os
import stat
import sys
import types

from cpython.object cimport PyObject
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport int64_t
from libc.string cimport memchr
from granite._core.capi.python cimport (
    GRANITE_IS_DEBUG, METH_FASTCALL, METH_KEYWORDS, Py_DECREF, Py_INCREF, Py_REFCNT, Py_XDECREF, PyBytes_AS_STRING, PyBytes_CheckExact,
    PyBytes_FromStringAndSize, PyBytes_GET_SIZE, PyCFunction_New, PyContext_Copy, PyContext_Enter, PyContext_Exit, PyDict_Copy,
    PyDict_GET_SIZE, PyDict_SetDefault, PyDict_SetItem, PyIter_Next, PyList_CheckExact, PyMethodDef, PyTuple_CheckExact,
    PyLong_AsLong, PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyUnicode_AsLatin1String, PyUnicode_CheckExact, PyUnicode_DecodeLatin1, PyUnicode_FromObject,
    PyUnicode_IS_COMPACT_ASCII,
    forbid_making,
)
from granite._core.capi.octets cimport equals_lower, is_token, is_value, number_of
from granite._core.capi.pthread cimport (
    granite_cond_init, granite_cond_wait_for, pthread_cond_broadcast, pthread_cond_destroy, pthread_cond_init, pthread_cond_signal, pthread_cond_t,
    pthread_cond_wait, pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock,
)
from granite._core.counters cimport (
    BLOCKING_BUSY_CUMULATIVE, BLOCKING_IDLE_CUMULATIVE, BLOCKING_QUEUE, BLOCKING_THREADS, PY_WAIT_CUMULATIVE, clock, coarse_clock, observe,
)
from granite._core.exchange cimport Exchange, Interface, Protocol, RESPONSE_DONE, is_bodyless
from granite._core.scope cimport decode_octets
from granite._core.transport cimport Deferred, LoopTurn
from granite._core.exchange import ClientDisconnected

cimport cython
from granite._core.errorlog import error_log as _log


include "wsgi/environ.pxi"
include "wsgi/input.pxi"
include "wsgi/response.pxi"
include "wsgi/runner.pxi"
include "wsgi/pooled.pxi"
include "wsgi/pool.pxi"


cdef class WsgiInterface(Interface):
    """Calls one WSGI application.

    Parameters:
        app: the application, a callable of environ and start_response.
        context: the contextvars.Context that requests get a copy of.
        config: the settings, of which those about threads, the mount point and the body's back-pressure are read.
        on_error: called with every exception that the application lets escape, after it was logged; or None.
        constants: what every environ has, besides what the request says.
    """

    def __init__(self, app, context, config, on_error, dict constants):
        self.app = app
        self.context = context
        self.on_error = on_error
        self.environs = Environs(constants, config.url_path_prefix)
        self.most_held = config.body_high_water
        self.runner = Pool(config) if (config.blocking_threads or 1) > 1 else Runner.__new__(Runner)
        self.runner.wsgi = self
        self.runner.known = Fields.__new__(Fields)
        self.runner.queue = []

    cdef int attach(self, LoopTurn turn) except -1:
        return self.runner.attach(turn)

    cdef int detach(self) except -1:
        return self.runner.detach()

    cdef int cancel(self) except -1:
        return self.runner.cancel()

    cdef void export_threads(self, int64_t *snapshot) noexcept:
        self.runner.export_threads(snapshot)

    cdef Exchange new_exchange(self):
        cdef WsgiExchange exchange = self.runner.new_exchange()
        exchange.interface = self
        exchange.wsgi = self
        exchange.length = -1
        self.live += 1
        return exchange


cdef class WsgiExchange(Exchange):
    """One request to a WSGI application, on the reactor's thread; and the write() that start_response() returns."""

    def __init__(self):
        raise TypeError("only the server makes exchanges")

    cdef int _set_stage(self, Stage stage) except -1:
        if GRANITE_IS_DEBUG:
            assert stage == STAGE_ENDED or (self.stage, stage) in (
                (STAGE_HELD, STAGE_QUEUED), (STAGE_QUEUED, STAGE_RUNNING), (STAGE_RUNNING, STAGE_SUSPENDED), (STAGE_SUSPENDED, STAGE_QUEUED),
            ), (self.stage, stage)
        self.stage = stage
        return 0

    # called by the protocol

    cdef int start(self) except -1:
        self.wsgi.started(self)
        return self._submit() if self._is_ready() else 0

    cdef bint _is_ready(self) noexcept:
        return self.body_complete or self.body_withheld or self.buffered() >= self.wsgi.most_held

    cdef int _submit(self) except -1:
        self._set_stage(STAGE_QUEUED)
        return self.wsgi.runner.submit(self)

    cdef bint abort(self) except -1:
        return False                    # nothing ends a call but its own return

    cdef int on_body(self) except -1:
        return self._submit() if self.stage == STAGE_HELD and self._is_ready() else 0

    cdef int on_writable(self) except -1:
        return self._resume()

    cdef int _resume(self) except -1:
        return self._submit() if self.stage == STAGE_SUSPENDED else 0

    cdef int on_disconnect(self) except -1:
        Exchange.on_disconnect(self)
        if self.stage == STAGE_HELD:
            return self._end()          # the application was not called
        return self._resume()

    # the application's side

    cdef int run(self) except -1:
        """Call the application, or go on with its response; what it raises is dealt with."""
        cdef bint ended = True
        if self.stage != STAGE_QUEUED:
            return 0
        self._set_stage(STAGE_RUNNING)
        if self.call_context is None:
            self.call_context = PyContext_Copy(self.wsgi.context)
            if self.request_id is not None:
                self.wsgi.request_ids.enter(self, self.call_context)
        PyContext_Enter(self.call_context)
        try:
            try:
                if self.result is None:
                    self._call()
                ended = self._iterate()
            except BaseException as exc:
                self._raised(exc)
            finally:
                if ended:
                    self._close_result()
        finally:
            PyContext_Exit(self.call_context)
            if ended:
                self._over()
        return 0

    cdef int _call(self) except -1:
        cdef dict environ
        if self.disconnected:
            raise self._gone()          # nobody waits for what it would do
        environ = self._environ()
        result = self.wsgi.app(environ, PyCFunction_New(&_start_method, self))
        if result is None:
            raise TypeError("the application returned None: expected an iterable of bytes")
        self.result = result
        if PyList_CheckExact(<PyObject *>result) or PyTuple_CheckExact(<PyObject *>result):
            return self._send_pieces(result)
        if type(result) is FileWrapper and self._send_file(<FileWrapper>result):
            return 0
        self.iterator = iter(result)
        return 0

    cdef dict _environ(self):
        """The application's first argument; it is about to be called."""
        self.wsgi.calling(self)
        return self._make_environ()

    cdef dict _make_environ(self):
        cdef dict environ = self.wsgi.environs.make(self)
        cdef Input given = Input.__new__(Input)
        given.exchange = self
        PyDict_SetItem(environ, _INPUT, given)
        PyDict_SetItem(environ, _EARLY_HINTS, given)
        return environ

    cdef int _send_pieces(self, object pieces) except -1:
        """The whole body is at hand."""
        cdef Py_ssize_t size = 0
        if len(pieces) == 1:
            return self._send(_bytes(pieces[0]), True)
        pieces = [_bytes(piece) for piece in pieces]
        for piece in pieces:
            size += PyBytes_GET_SIZE(<PyObject *>piece)
        if size <= JOIN_LIMIT:
            return self._send(b"".join(pieces), True)
        self.iterator = iter(pieces)
        return 0

    cdef bint _send_file(self, FileWrapper wrapper) except -1:
        """Send a file without reading it; False if it is none that can be."""
        cdef int64_t left = self.length - self.given if self.length >= 0 else -1
        file = regular_file(wrapper.filelike)
        if file is None:
            return False
        if self.fields is None:
            raise RuntimeError("the application returned without having called start_response()")
        try:
            offset = file.tell()
        except OSError:
            return False                # a pipe, a socket
        if self.whole:
            return True                 # write() has sent all of it
        if not self._put_file(file.fileno(), offset, left):
            return False
        self.whole = True
        return True

    cdef bint _iterate(self) except -1:
        """Send what the application returns, as it comes; False when there is no room for more of it."""
        cdef PyObject *found
        cdef bytes piece
        while self.iterator is not None:
            if not self._has_room():
                return False
            found = PyIter_Next(self.iterator)
            if found is NULL:
                break
            given = <object>found
            Py_DECREF(found)
            piece = _bytes(given)
            if PyBytes_GET_SIZE(<PyObject *>piece) == 0:
                continue
            self._send(piece, False)
            if self._has_no_content():
                break                   # nothing of a body leaves, however long it would be
            if self._gives_way():
                return False
        if not self.whole:
            self._send(b"", True)
        return True

    cdef int _send(self, bytes piece, bint last) except -1:
        """Hand over a piece of the body; the one with which the declared length is reached is the last."""
        cdef int64_t given = self.given + PyBytes_GET_SIZE(<PyObject *>piece)
        if self.whole and given == self.given:
            return 0
        if self.disconnected:
            raise self._gone()
        if self.fields is None:
            raise RuntimeError("the application has not called start_response()")
        if 0 <= self.length < given and not self._has_no_content():
            raise RuntimeError(f"the response's body is longer than its content-length: {self.length} declared, {given} given")
        self.given = given
        self.whole = last or given == self.length
        return self._put(piece, not self.whole)

    cdef bint _has_no_content(self) noexcept:
        return self.head_only or is_bodyless(self.code)

    cdef int _raised(self, object exc) except -1:
        if isinstance(exc, ClientDisconnected):
            return self._put_failure(True)  # which is not the application's fault
        self.report(exc)
        return self._put_failure(False)

    cdef int _close_result(self) except -1:
        result = self.result
        self.result = self.iterator = None
        if PyList_CheckExact(<PyObject *>result):
            return 0                    # which has none
        try:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        except BaseException as exc:
            self._raised(exc)
        return 0

    # what it is given

    cdef object _start(self, object status, object headers, object exc_info):
        """start_response()."""
        cdef list fields
        cdef bytes words
        cdef int64_t length = -1
        cdef int code
        if self.stage == STAGE_ENDED:
            raise self._too_late("start_response()")
        if exc_info is not None:
            try:
                if self.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None         # it holds the frame that called
        elif self.fields is not None:
            raise RuntimeError("start_response() was called before: a second call needs exc_info")
        code = self.known.code(status)
        words = self.known.reason
        fields = self.known.all(headers, &length)
        self.code = code
        self.words = words
        self.fields = fields
        self.length = length
        return self

    def __call__(self, data):
        """Send a piece of the response's body, and wait until there is room for more."""
        if self.stage != STAGE_RUNNING:
            raise self._too_late("write()")
        if self.whole:
            raise RuntimeError("write(): the response's body is complete")
        piece = _bytes(data)
        if PyBytes_GET_SIZE(<PyObject *>piece):
            self._send(piece, False)
            self._wait_for_room()

    cdef int _hint(self, object headers) except -1:
        cdef int64_t length = -1
        cdef list fields = self.known.all(headers, &length)
        return 0 if self.begun else self._put_interim(fields)

    cdef object _gone(self):
        self.gone_told = True
        return ClientDisconnected("the client has disconnected")

    cdef object _too_late(self, str what):
        """The end of the server comes before that of a thread, as a client's leaving does."""
        return self._gone() if self.disconnected else RuntimeError(f"{what} was called when the application's call was over")

    # towards the protocol

    cdef int _begin_response(self) except -1:
        cdef Protocol protocol = self.carrier()
        self.reason = self.words
        return protocol.start_response(self, self.code, self.fields)

    cdef int _begin(self) except -1:
        """Hand over the head, once."""
        if self.begun:
            return 0
        self.begun = True
        return self._begin_response()

    cdef int _put(self, bytes piece, bint more) except -1:
        cdef Protocol protocol
        self._begin()
        protocol = self.carrier()
        protocol.send_body(self, piece, more)
        # A piece must be on its way before the application is asked for the next.
        return protocol.push(self) if more else 0

    cdef bint _put_file(self, int fd, int64_t offset, int64_t count) except -1:
        if self.protocol is None or self.disconnected:
            raise self._gone()
        self._begin()
        try:
            self.send_range(fd, offset, count, False)
        except ValueError:
            return False                # a device
        return True

    cdef int _put_interim(self, list fields) except -1:
        cdef Protocol protocol = self.protocol
        return 0 if protocol is None or self.disconnected else protocol.send_interim(self, 103, fields)

    cdef int _put_failure(self, bint gone) except -1:
        return self.leave() if gone else self.fail()

    cdef bint _has_room(self) except -1:
        """Whether the next piece is to be asked for now."""
        if self.disconnected:
            raise self._gone()
        if self.protocol is None or self.protocol.writable(self):
            return True
        self._set_stage(STAGE_SUSPENDED)
        return False

    cdef bint _gives_way(self) except -1:
        """Whether others are to have the thread before the next piece is asked for."""
        if not self.wsgi.runner.is_long():
            return False
        self._set_stage(STAGE_SUSPENDED)
        self._submit()
        return True

    cdef int _wait_for_room(self) except -1:
        while self.protocol is not None and not self.disconnected and not self.protocol.writable(self):
            self.wsgi.runner.wait()
        if self.disconnected:
            raise self._gone()
        return 0

    cdef bytes _fetch(self):
        """The next piece of the request's body, when it has come; empty at its end."""
        cdef Protocol protocol
        while self.body is None and not self.body_complete:
            protocol = self.protocol
            if protocol is None or self.disconnected or self.read_ended:
                raise self._gone()
            self.body_withheld = False
            protocol.body_wanted(self)
            self.wsgi.runner.wait()
        piece = self.take_body()
        self.body_taken = self.body_complete
        protocol = self.protocol
        if protocol is not None:
            protocol.body_wanted(self)
        return piece

    cdef int _over(self) except -1:
        """The call has ended."""
        return self._end()

    cdef int _end(self) except -1:
        self._set_stage(STAGE_ENDED)
        self.fields = None
        self.take_body()
        return self.wsgi.finished(self)


cdef object _start_response(object self, PyObject **args, Py_ssize_t count, PyObject *names):
    cdef Py_ssize_t named = PyTuple_GET_SIZE(names) if names is not NULL else 0
    if named == 0 and 2 <= count <= 3:
        return (<WsgiExchange>self)._start(<object>args[0], <object>args[1], <object>args[2] if count == 3 else None)
    given = dict(zip(("status", "headers", "exc_info"), [<object>args[i] for i in range(count)]))
    for i in range(named):
        given[<object>PyTuple_GET_ITEM(names, i)] = <object>args[count + i]
    if len(given) != count + named or not {"status", "headers"} <= set(given) <= {"status", "headers", "exc_info"}:
        raise TypeError("expected start_response(status, headers, exc_info=None)")
    return (<WsgiExchange>self)._start(given["status"], given["headers"], given.get("exc_info"))


# Filled in once, when the module is loaded, and constant from then on.
cdef PyMethodDef _start_method
_start_method.ml_name = "start_response"
_start_method.ml_meth = <void *>_start_response
_start_method.ml_flags = METH_FASTCALL | METH_KEYWORDS
_start_method.ml_doc = "Begin the response; return write()."

forbid_making(WsgiExchange)
forbid_making(PooledExchange)
forbid_making(Input)
