# Applications whose calls are Tasks.

from cpython.object cimport PyObject
from granite._core.capi.python cimport PYGEN_ERROR, PySendResult
from granite._core.exchange cimport Exchange, Interface, WebSocketState

cdef enum:
    MOST_REASON = 123                   # bytes of a close frame's reason

cdef enum:
    SENDING                             # what the awaitables of all interfaces wait for: that there is room for more

cdef class TaskInterface(Interface):
    cdef object app
    cdef object loop
    cdef object context                 # copied for every request
    cdef object gone                    # the exception that tells an application that its client has gone
    cdef str name                       # of the interface, as it is written
    cdef str others                     # what an application is that can't be called by it
    cdef object task_type
    cdef dict task_arguments            # eager tasks: filled in anew for every one
    cdef object create_future
    cdef bint eager
    cdef object get_task_factory
    cdef set waiting                    # exchanges whose Task waits for something
    cdef int _set_up(self, app, loop, context, on_error) except -1
    cdef object _make_task(self, object coroutine, object context)

cdef class TaskExchange(Exchange):
    cdef TaskInterface tasks
    cdef object coroutine               # the application's; what it returned until it is through
    cdef object task                    # while it waits for something
    cdef list receivers                 # Futures of those who wait for the client
    cdef list senders                   # ... for room
    cdef bint called                    # the application was called
    cdef bint ended                     # and has returned
    cdef bint stepping                  # it is running right now
    cdef int _call(self) except -1
    cdef int _returned(self) except -1
    cdef int _raised(self, object exc) except -1
    cdef int _end(self) except -1
    cdef int _check_complete(self) except -1
    cdef PySendResult _step(self, object value, PyObject **result) except PYGEN_ERROR
    cdef PySendResult _outcome_of(self, object exc, PyObject **result) except PYGEN_ERROR
    cdef object _gone(self)
    # for the interface
    cdef object _sent(self)
    cdef object waiting_for(self, int what)
    # for the interface to fill in
    cdef object _invoke(self)
    cdef int _complete(self) except -1
    cdef object poll(self, int what)

cdef inline void adopt(TaskInterface tasks, TaskExchange exchange) noexcept:
    """Let a new exchange be one of the interface's."""
    exchange.interface = tasks
    exchange.tasks = tasks
    tasks.live += 1

cdef class WebSocketExchange(TaskExchange):
    cdef WebSocketState state
    cdef int code                       # of the close, when it has closed
    cdef str closing_reason
    # what the application has not taken
    cdef object message                 # the first one
    cdef object more                    # a deque of the others; None: there are none
    cdef size_t queued                  # characters and bytes of all of them
    cdef int _accept(self, str subprotocol, list headers) except -1
    cdef object _send_message(self, object message)
    cdef int _close(self, int code, str reason) except -1
    cdef int _set_closed(self, int code, str reason) except -1
    cdef object _take(self)

cdef class _Done:
    pass

cdef class _Waiting:
    cdef TaskExchange exchange
    cdef object waiter                  # a Future, while there is nothing to return
    cdef object future                  # its iterator
    cdef int what
    cdef list _waiters(self, TaskExchange exchange)
    cdef int _forget(self) except -1
    cdef PySendResult step(self, object value, PyObject **result) except PYGEN_ERROR
