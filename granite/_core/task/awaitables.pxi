# What an application awaits. Both kinds have a coroutine's methods, so that asyncio.create_task() takes them.

cdef class _Done:
    """What there is nothing to wait for: it returns None."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration

    def send(self, value):
        raise StopIteration

    def throw(self, typ, value=None, traceback=None):
        raise _instance(typ, value)

    def close(self):
        pass

    cr_await = cr_code = cr_frame = None
    cr_running = cr_suspended = False


cdef PySendResult _done_send(PyObject *self, PyObject *value, PyObject **result) noexcept:
    Py_INCREF(<PyObject *>None)
    result[0] = <PyObject *>None
    return PYGEN_RETURN


@cython.freelist(64)
cdef class _Waiting:
    """What poll() will return. Looks for it when it is awaited, not before, so that one that is cancelled before it ran loses nothing."""

    cdef PySendResult step(self, object value, PyObject **result) except PYGEN_ERROR:
        cdef PySendResult outcome
        cdef TaskExchange exchange = self.exchange
        cdef object ready
        result[0] = NULL
        while True:
            future = self.future
            if future is not None:
                try:
                    outcome = PyIter_Send(<PyObject *>future, <PyObject *>value, result)
                except BaseException:
                    self._forget()
                    raise
                if outcome == PYGEN_NEXT:
                    return PYGEN_NEXT
                Py_DECREF(result[0])
                result[0] = NULL
                self.future = self.waiter = None
                value = None
            ready = exchange.poll(self.what)
            if ready is not _PENDING:
                Py_INCREF(<PyObject *>ready)
                result[0] = <PyObject *>ready
                return PYGEN_RETURN
            self.waiter = exchange.tasks.create_future()
            self._waiters(exchange).append(self.waiter)
            self.future = self.waiter.__await__()

    cdef list _waiters(self, TaskExchange exchange):
        """The list of the Futures that are woken for this."""
        if self.what == SENDING:
            if exchange.senders is None:
                exchange.senders = []
            return exchange.senders
        if exchange.receivers is None:
            exchange.receivers = []
        return exchange.receivers

    cdef int _forget(self) except -1:
        """Nobody waits any more: a Future that was not woken must not stay with the exchange."""
        cdef list waiters
        waiter, self.waiter, self.future = self.waiter, None, None
        if waiter is not None:
            waiters = self._waiters(self.exchange)
            if waiter in waiters:
                waiters.remove(waiter)
        return 0

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject *result = NULL
        return _unwrap(self.step(None, &result), result)

    def send(self, value):
        cdef PyObject *result = NULL
        return _unwrap(self.step(value, &result), result)

    def throw(self, typ, value=None, traceback=None):
        self._forget()
        raise _instance(typ, value)

    def close(self):
        self._forget()

    cr_await = cr_code = cr_frame = None
    cr_running = False

    @property
    def cr_suspended(self):
        return self.waiter is not None


cdef PySendResult _waiting_send(PyObject *self, PyObject *value, PyObject **result) except PYGEN_ERROR:
    return (<_Waiting>self).step(<object>value, result)


cdef PyObject *_waiting_next(PyObject *self) except? NULL:
    """`__next__`, as `await` calls it since Python 3.12. What Cython raises has a traceback, which takes longer than all else here. None of
    the values is a tuple, which would be taken for the exception's arguments."""
    cdef PyObject *result = NULL
    if (<_Waiting>self).step(None, &result) == PYGEN_NEXT:
        return result
    if result is not <PyObject *>None:
        PyErr_SetObject(StopIteration, <object>result)
    Py_DECREF(result)
    return NULL
