# The RSGI interface.

from granite._core.task cimport TaskExchange, TaskInterface, WebSocketExchange

cdef class RsgiInterface(TaskInterface):
    pass

cdef class RsgiExchange(TaskExchange):
    cdef list pieces                    # of the body, while all of it is waited for
    cdef bint iterated                  # the body is read piece by piece
    cdef bint dropped                   # the response came when its client had gone
    cdef bint streamed                  # the response ends with the application's call
    cdef object _poll_whole(self)
    cdef object _poll_piece(self)
    cdef object _poll_disconnect(self)
    cdef int _want_body(self) except -1
    cdef object _over(self)
    cdef bint _begin(self, object status, object headers) except -1
    cdef int _respond(self, object status, object headers, bytes body) except -1
    cdef int _respond_file(self, object status, object headers, object file, object start, object end) except -1
    cdef object _respond_stream(self, object status, object headers)
    cdef object _send_piece(self, bytes data)

cdef class RsgiWebSocket(WebSocketExchange):
    cdef object _poll_accepted(self)
    cdef int _refuse_or_close(self, object status) except -1
