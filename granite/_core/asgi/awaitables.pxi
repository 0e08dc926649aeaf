# What receive() and send() return. Both kinds have a coroutine's methods, so that asyncio.create_task() takes them.

cdef class _Done:
    """What send() returns when there is nothing to wait for; one for all, as it has no state."""

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
    """What receive() returns, and send() when the socket is slow. Looks for its value when it is awaited, not before, so that a
    receive() that is cancelled before it ran loses no message."""

    cdef PySendResult step(self, object value, PyObject **result) except PYGEN_ERROR:
        cdef PySendResult outcome
        cdef AsgiExchange exchange = self.exchange
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
            if self.sending:
                if exchange.poll_send():
                    if exchange.disconnected:
                        raise ClientDisconnected("the client has disconnected")
                    Py_INCREF(<PyObject *>None)
                    result[0] = <PyObject *>None
                    return PYGEN_RETURN
            else:
                ready = exchange.poll_receive()
                if ready is not None:
                    Py_INCREF(<PyObject *>ready)
                    result[0] = <PyObject *>ready
                    return PYGEN_RETURN
            self.waiter = exchange.asgi.create_future()
            if self.sending:
                if exchange.senders is None:
                    exchange.senders = []
                exchange.senders.append(self.waiter)
            else:
                if exchange.receivers is None:
                    exchange.receivers = []
                exchange.receivers.append(self.waiter)
            self.future = self.waiter.__await__()

    cdef int _forget(self) except -1:
        """Nobody waits any more: a Future that was not woken must not stay with the exchange."""
        cdef list waiters = self.exchange.senders if self.sending else self.exchange.receivers
        waiter, self.waiter, self.future = self.waiter, None, None
        if waiters is not None and waiter in waiters:
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


cdef object _waiting(AsgiExchange exchange, bint sending):
    cdef _Waiting waiting = _Waiting.__new__(_Waiting)
    waiting.exchange = exchange
    waiting.sending = sending
    return waiting


cdef PySendResult _waiting_send(PyObject *self, PyObject *value, PyObject **result) except PYGEN_ERROR:
    return (<_Waiting>self).step(<object>value, result)
