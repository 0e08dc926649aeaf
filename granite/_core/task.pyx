"""Applications whose calls are Tasks: what the asynchronous interfaces have in common.

Owns the Task of a request, the application's coroutine in it, how it ends, and what it may wait for. Knows neither the form in which an
interface shows the request nor the protocol below. Runs on the reactor's thread, which is the event loop's.

Theory of operation: every request runs in a real asyncio.Task with a copy of the application's context. The coroutine of that Task is
the exchange itself: its first step calls the application, each further step drives the coroutine that the application returned. So
the exchange sees how the application ends without a callback on the Task. Where Python can start a Task eagerly (3.12), the first
step runs inside the read callback. What an application awaits fills `am_send`, which lets it return a value without raising
StopIteration; only when there is really something to wait for is a Future made.
"""

import asyncio
import sys
from collections import deque as _deque

cimport cython
from cpython.exc cimport PyErr_SetObject
from cpython.object cimport PyObject
from granite._core.capi.python cimport (
    PYGEN_ERROR, PYGEN_NEXT, PYGEN_RETURN, PyCoro_CheckExact, PyContext_Copy, PyDict_SetItem, PyIter_Send, PyObject_Call,
    PySendResult, Py_DECREF, Py_INCREF, _AsyncType, forbid_making, iternextfunc, sendfunc,
)
from granite._core.exchange cimport (
    RESPONSE_DONE, RESPONSE_NONE, TURN_TAKEN, WEBSOCKET_CLOSED, WEBSOCKET_CONNECTING, WEBSOCKET_OPEN, Exchange, Interface, Protocol, is_close_code,
)
from granite._core.exchange import ClientDisconnected
from granite._core.errorlog import error_log as _log

cdef object _CancelledError = asyncio.CancelledError
cdef str _CONTEXT = "context"

# What poll() returns while there is nothing to return.
cdef object _PENDING = object()


cdef class TaskInterface(Interface):
    """Calls one application, each time in a Task of its own."""

    cdef int _set_up(self, app, loop, context, on_error) except -1:
        """Take over what every call needs.

        Parameters:
            app: the application.
            loop: the running event loop.
            context: the contextvars.Context that requests get a copy of.
            on_error: called with every exception that the application lets escape, after it was logged; or None.
        """
        self.gone = ClientDisconnected
        self.app = app
        self.loop = loop
        self.context = context
        self.on_error = on_error
        self.waiting = set()
        self.create_future = loop.create_future
        self.get_task_factory = loop.get_task_factory
        self.eager = sys.version_info >= (3, 12)
        self.task_type = asyncio.Task
        self.task_arguments = {"loop": loop, "eager_start": True, "context": None}
        return 0

    cdef int cancel(self) except -1:
        """Cancel every Task that has not ended."""
        cdef TaskExchange exchange
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


cdef class TaskExchange(Exchange):
    """One request to an application, and the coroutine that the request's Task runs.

    An interface adds the arguments of the call (`_invoke()`), what there is to wait for (`poll()`), and what a response lacks when the
    application has returned (`_complete()`).
    """

    def __init__(self):
        raise TypeError("only the server makes exchanges")

    cdef int start(self) except -1:
        self.tasks.started(self)
        context = PyContext_Copy(self.tasks.context)
        if self.request_id is not None:
            self.tasks.request_ids.enter(self, context)
        try:
            task = self.tasks._make_task(self, context)
        except BaseException as exc:
            if not self.ended:
                self._raised(exc)
            if isinstance(exc, (SystemExit, KeyboardInterrupt)):
                raise
            return 0
        if not self.ended:
            # asyncio keeps only a weak reference to a Task.
            self.task = task
            self.tasks.waiting.add(self)
        return 0

    # the application's coroutine

    cdef int _call(self) except -1:
        self.called = True
        self.tasks.calling(self)
        awaitable = self._invoke()
        if PyCoro_CheckExact(awaitable):
            self.coroutine = awaitable
        elif hasattr(awaitable, "__await__"):
            self.coroutine = awaitable.__await__()
        else:
            raise TypeError(
                f"an application of {self.tasks.name} must return an awaitable, not {type(awaitable).__name__}: is it one of {self.tasks.others}?"
            )
        return 0

    cdef object _invoke(self):
        """Call the application; what it returns."""
        raise NotImplementedError

    cdef int _complete(self) except -1:
        """The application has returned: end a response for whose end it says nothing."""
        return 0

    cdef int _returned(self) except -1:
        if self.ended:
            return 0
        self.ended = True
        try:
            self._complete()
            self._check_complete()
        finally:
            self._end()
        return 0

    cdef int _check_complete(self) except -1:
        if self.protocol is not None and self.response != RESPONSE_DONE and not self.disconnected:
            if self.gone_told:
                return self.leave()    # it returned because the client has gone: nothing is wrong
            if self.response == RESPONSE_NONE:
                _log.error("the application returned without a response: %s", self.name())
            else:
                _log.error("the application returned without completing its response: %s", self.name())
            self.fail()
        return 0

    cdef int _raised(self, object exc) except -1:
        if self.ended or self.tasks is None:
            return 0
        self.ended = True
        try:
            # Not the application's fault: whoever it waited for has gone, or it was told to end.
            if not isinstance(exc, (ClientDisconnected, _CancelledError)):
                self.report(exc)
            if isinstance(exc, ClientDisconnected):
                self.leave()
            else:
                self.fail()
        finally:
            self._end()
        return 0

    cdef int _end(self) except -1:
        self.coroutine = None
        if self.task is not None:
            self.task = None
            self.tasks.waiting.discard(self)
        self.take_body()
        return self.tasks.finished(self)

    cdef PySendResult _step(self, object value, PyObject **result) except PYGEN_ERROR:
        """Run the application to its next suspension."""
        cdef PySendResult outcome
        cdef object coroutine
        result[0] = NULL                # which is what a Task looks at
        if self.stepping:
            raise ValueError("coroutine already executing")
        if self.ended or self.tasks is None:
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

    # what the application waits for

    cdef object poll(self, int what):
        """What an awaitable of this kind returns now; _PENDING while there is nothing. May raise."""
        if self.disconnected:
            raise self._gone()
        if self.protocol is None or self.protocol.writable(self):
            return None
        return _PENDING

    cdef object waiting_for(self, int what):
        """An awaitable of what poll() will return."""
        cdef _Waiting waiting = _Waiting.__new__(_Waiting)
        waiting.exchange = self
        waiting.what = what
        return waiting

    cdef object _sent(self):
        """The awaitable of what has been handed to the protocol."""
        if self.disconnected:
            raise self._gone()
        if self.protocol is None or self.protocol.writable(self):
            return _DONE
        return self.waiting_for(SENDING)

    cdef object _gone(self):
        self.gone_told = True
        return self.tasks.gone("the client has disconnected")

    # called by the protocol

    cdef bint abort(self) except -1:
        if self.task is not None:
            self.task.cancel()
        return True

    cdef int on_body(self) except -1:
        if self.receivers is not None:
            _wake(self.receivers)
        return 0

    cdef int on_writable(self) except -1:
        if self.senders is not None:
            _wake(self.senders)
        return 0

    cdef int on_disconnect(self) except -1:
        Exchange.on_disconnect(self)
        self.on_body()
        return self.on_writable()


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



include "task/awaitables.pxi"
include "task/websocket.pxi"


cdef PySendResult _exchange_send(PyObject *self, PyObject *value, PyObject **result) except PYGEN_ERROR:
    return (<TaskExchange>self)._step(<object>value, result)


# Cython has no syntax for `am_send`.
(<_AsyncType *><PyObject *>_Done).tp_as_async.am_send = <sendfunc><void *>_done_send
(<_AsyncType *><PyObject *>_Waiting).tp_as_async.am_send = <sendfunc><void *>_waiting_send
(<_AsyncType *><PyObject *>_Waiting).tp_iternext = <iternextfunc><void *>_waiting_next
(<_AsyncType *><PyObject *>TaskExchange).tp_as_async.am_send = <sendfunc><void *>_exchange_send

# What send() returns when there is nothing to wait for; one for all, as it has no state.
cdef object _DONE = _Done.__new__(_Done)

# For the interfaces, of which each keeps them in its own C.
DONE = _DONE
PENDING = _PENDING

forbid_making(_Waiting)
