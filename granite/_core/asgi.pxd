# The ASGI interface.

from cpython.object cimport PyObject
from granite._core.exchange cimport Exchange
from granite._core.task cimport TaskExchange, TaskInterface, WebSocketExchange

cdef struct Message:                    # what a message to send() may have, borrowed; NULL: it is missing
    PyObject *kind
    PyObject *status
    PyObject *headers
    PyObject *trailers
    PyObject *body
    PyObject *more_body

cdef class AsgiInterface(TaskInterface):
    cdef dict state                     # the lifespan's, copied for every request; None without
    cdef dict extensions                # copied for every request
    cdef dict old_extensions            # ... of HTTP/1.0
    cdef str root_path
    cdef dict template                  # of the scope
    cdef dict websocket_extensions
    cdef dict websocket_template
    cdef object server                  # that the templates have
    cdef dict new_scope(self, Exchange exchange, dict template, dict extensions)

cdef class AsgiExchange(TaskExchange):
    cdef bint body_ended                # the body has been sent, its trailers have not
    cdef list sent_trailers             # of messages that others follow
    cdef object _send(self, object message)
    cdef object _send_start(self, object message, Message *parts)
    cdef object _send_body(self, object message, Message *parts)

cdef class AsgiWebSocket(WebSocketExchange):
    cdef bint connect_told              # receive() has begun
    cdef object _send(self, object given)
    cdef object _send_payload(self, dict message)
    cdef object _send_close(self, object message)
    cdef object _send_answer(self, object message, object kind)
    cdef object _send_accept(self, object message)
    cdef object _send_denial_body(self, object message, object kind)
