# The ASGI interface.

from cpython.object cimport PyObject
from granite._core.capi.python cimport PYGEN_ERROR, PySendResult
from granite._core.exchange cimport Exchange, Interface

cdef struct Message:                    # what a message to send() may have, borrowed; NULL: it is missing
    PyObject *kind
    PyObject *status
    PyObject *headers
    PyObject *trailers
    PyObject *body
    PyObject *more_body

cdef class AsgiInterface(Interface):
    cdef object app
    cdef object loop
    cdef object context                 # copied for every request
    cdef dict state                     # the lifespan's, copied for every request; None without
    cdef dict extensions                # copied for every request
    cdef dict old_extensions            # ... of HTTP/1.0
    cdef object on_error
    cdef str root_path
    cdef dict template                  # of the scope
    cdef object server                  # that the template has
    cdef object task_type
    cdef dict task_arguments            # eager tasks: filled in anew for every one
    cdef object create_future
    cdef bint eager
    cdef object get_task_factory
    cdef set waiting                    # exchanges whose Task waits for something
    cdef object _make_task(self, object coroutine, object context)

cdef class AsgiExchange(Exchange):
    cdef AsgiInterface asgi
    cdef object coroutine               # the application's; what it returned until it is through
    cdef object task                    # while it waits for something
    cdef list receivers                 # Futures of receive() calls that wait
    cdef list senders                   # ... of send() calls
    cdef bint called                    # the application was called
    cdef bint ended                     # and has returned
    cdef bint stepping                  # it is running right now
    cdef bint gone_told                 # receive() has returned http.disconnect
    cdef bint body_ended                # the body has been sent, its trailers have not
    cdef list sent_trailers             # of messages that others follow
    cdef dict _scope(self)
    cdef int _call(self) except -1
    cdef int _returned(self) except -1
    cdef int _raised(self, object exc) except -1
    cdef int _end(self) except -1
    cdef int _check_complete(self) except -1
    cdef int _leave(self) except -1
    cdef int _report(self, object exc) except -1
    cdef PySendResult _step(self, object value, PyObject **result) except PYGEN_ERROR
    cdef PySendResult _outcome_of(self, object exc, PyObject **result) except PYGEN_ERROR
    cdef object poll_receive(self)
    cdef bint poll_send(self) except -1
    cdef object _send(self, object message)
    cdef object _send_start(self, object message, Message *parts)
    cdef object _send_body(self, object message, Message *parts)
    cdef object _sent(self)

cdef class _Done:
    pass

cdef class _Waiting:
    cdef AsgiExchange exchange
    cdef object waiter                  # a Future, while there is nothing to return
    cdef object future                  # its iterator
    cdef bint sending
    cdef int _forget(self) except -1
    cdef PySendResult step(self, object value, PyObject **result) except PYGEN_ERROR
