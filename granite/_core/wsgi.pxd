# The WSGI interface.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t
from granite._core.capi.pthread cimport pthread_cond_t, pthread_mutex_t
from granite._core.exchange cimport Exchange, Interface
from granite._core.transport cimport Deferred, LoopTurn, Waker

cdef enum:
    KEY_SLOTS = 128
    VALUE_SLOTS = 128
    PATH_SLOTS = 128
    PORT_SLOTS = 128
    FIELD_SLOTS = 128
    LONG_TURN = 5000000                 # ns for which applications have the reactor's thread to themselves
    JOIN_LIMIT = 65536                  # bytes of pieces that are at hand at once and sent as one

cdef enum Stage:                        # of the application's call
    STAGE_HELD                          # it waits for the request's body
    STAGE_QUEUED                        # it waits for its turn
    STAGE_RUNNING
    STAGE_SUSPENDED                     # its response waits for room
    STAGE_ENDED

cdef struct KeyEntry:
    PyObject *name                      # of a field, bytes
    PyObject *key                       # of the environ

cdef struct ValueEntry:
    PyObject *field                     # (name, value) that requests share
    PyObject *key
    PyObject *value

cdef struct PathEntry:
    PyObject *raw                       # bytes
    PyObject *text

cdef struct PortEntry:
    int port
    PyObject *text

cdef struct FieldEntry:
    PyObject *given                     # (name, value), strings: a constant of the application's code
    PyObject *field                     # (name, value), bytes
    int64_t length                      # as field() says it

cdef class Environs:
    cdef dict template
    cdef str prefix                     # where the application is mounted
    cdef object server                  # that the template has
    cdef KeyEntry keys[KEY_SLOTS]
    cdef ValueEntry values[VALUE_SLOTS]
    cdef PathEntry paths[PATH_SLOTS]
    cdef PortEntry ports[PORT_SLOTS]
    cdef dict make(self, Exchange exchange)
    cdef int _set_server(self, object server) except -1
    cdef int _set_path(self, dict environ, Exchange exchange) except -1
    cdef int _set_client(self, dict environ, object client) except -1
    cdef int _set_fields(self, dict environ, list fields) except -1
    cdef int _set_own(self, dict environ, PyObject *field) except -1
    cdef PyObject *_key(self, PyObject *name) except NULL
    cdef object _text(self, bytes raw)
    cdef object _port(self, int port)

cdef class Fields:
    cdef FieldEntry entries[FIELD_SLOTS]
    cdef object last_status             # str
    cdef int last_code
    cdef bytes reason                   # the words of the last one; None for none
    cdef int code(self, object status) except -1
    cdef object field(self, object given, int64_t *length)
    cdef list all(self, object headers, int64_t *length)

cdef class Runner(Deferred):
    cdef WsgiInterface wsgi
    cdef LoopTurn turn
    cdef unsigned long thread           # that applications are called on
    cdef list queue
    cdef Fields known
    cdef bint busy                      # an application is being called
    cdef int64_t began_at               # when the first of a row of them was, ns
    cdef bint is_long(self) noexcept
    cdef int attach(self, LoopTurn turn) except -1
    cdef void export_threads(self, int64_t *snapshot) noexcept
    cdef WsgiExchange new_exchange(self)
    cdef int submit(self, WsgiExchange exchange) except -1
    cdef int detach(self) except -1
    cdef int cancel(self) except -1
    cdef int wait(self) except -1

cdef class WsgiInterface(Interface):
    cdef object app
    cdef object context                 # copied for every request
    cdef Environs environs
    cdef Runner runner
    cdef size_t most_held               # bytes of a body that are waited for before the application is called

cdef class WsgiExchange(Exchange):
    cdef WsgiInterface wsgi
    cdef Fields known                   # of the thread that runs it
    cdef Stage stage
    cdef object call_context
    cdef object result                  # what the application has returned; None once it is closed
    cdef object iterator                # over it
    cdef list fields                    # of the response, as the application gave them; None before start_response()
    cdef int code                       # its status
    cdef bytes words                    # ... and the reason
    cdef int64_t length                 # that it declares, -1 if none
    cdef int64_t given                  # bytes of its body that were handed over
    cdef bint begun                     # its head was handed over
    cdef bint whole                     # its last byte was handed over

    # the application's side
    cdef int run(self) except -1
    cdef int _call(self) except -1
    cdef int _send_pieces(self, object pieces) except -1
    cdef bint _send_file(self, FileWrapper wrapper) except -1
    cdef bint _iterate(self) except -1
    cdef int _send(self, bytes piece, bint last) except -1
    cdef bint _has_no_content(self) noexcept
    cdef int _raised(self, object exc) except -1
    cdef int _close_result(self) except -1
    cdef object _start(self, object status, object headers, object exc_info)
    cdef int _hint(self, object headers) except -1
    cdef object _gone(self)
    cdef object _too_late(self, str what)
    # towards the protocol
    cdef int _begin(self) except -1
    cdef int _put(self, bytes piece, bint more) except -1
    cdef bint _put_file(self, int fd, int64_t offset, int64_t count) except -1
    cdef int _put_interim(self, list fields) except -1
    cdef int _put_failure(self, bint gone) except -1
    cdef bint _has_room(self) except -1
    cdef bint _gives_way(self) except -1
    cdef int _wait_for_room(self) except -1
    cdef bytes _fetch(self)
    cdef dict _environ(self)
    cdef dict _make_environ(self)
    cdef int _over(self) except -1
    # on the reactor's thread
    cdef bint _is_ready(self) noexcept
    cdef int _submit(self) except -1
    cdef int _set_stage(self, Stage stage) except -1
    cdef int _begin_response(self) except -1
    cdef int _resume(self) except -1
    cdef int _end(self) except -1

cdef class PooledExchange(WsgiExchange):
    cdef Pool pool
    cdef PyObject *c_next_job
    cdef dict environ
    cdef unsigned long thread           # that runs it, as threading.get_ident() has it; 0 for none
    cdef int64_t called_at              # ns
    # under the pool's mutex: for the thread
    cdef pthread_cond_t changed
    cdef bint has_piece                 # `piece` is one of the request's body
    cdef bytes piece
    cdef bint body_over                 # no other follows
    cdef bint client_over               # nothing more goes to the client, nor comes from it
    cdef bint choked                    # the socket does not take more
    # under the pool's mutex: for the reactor
    cdef PyObject *c_next_news
    cdef bint in_news
    cdef bint wants_body
    cdef bint begins                    # the head is to be sent
    cdef list interims                  # fields of 103s that are to be sent
    cdef list pieces                    # of the response, which are to be sent
    cdef size_t pieces_size
    cdef bint last                      # ... and no others follow
    cdef tuple file                     # (descriptor, offset, count), likewise
    cdef bint fails
    cdef bint leaves
    cdef bint over                      # the call has ended
    cdef int prepare(self) except -1
    cdef int deliver(self) except -1
    cdef int _deliver_response(self, bint begins, list pieces, tuple file, bint last) except -1
    cdef int _feed(self) except -1
    cdef int _post(self, bint urgent) except -1
    cdef int _await_change(self, bint for_room) except -1

cdef class Pool(Runner):
    cdef Waker waker
    cdef int most                       # threads
    cdef double idle_timeout            # s
    cdef size_t high_water              # bytes that may wait for the reactor
    cdef int named                      # threads that were started
    cdef bint timing
    cdef pthread_mutex_t mutex          # of everything below, and of what exchanges have under it
    cdef pthread_cond_t work
    cdef int alive                      # threads
    cdef int idle
    cdef int queued                     # exchanges that wait for a thread
    cdef bint closed
    cdef bint woken                     # the reactor knows that there are news
    cdef PyObject *c_first_job
    cdef PyObject *c_last_job
    cdef PyObject *c_first_news
    cdef PyObject *c_last_news
    cdef int64_t idle_time              # ns
    cdef int64_t busy_time
    cdef int64_t lock_time              # in which threads that had a call waited for the interpreter's lock
    cdef int _take_news(self) except -1
    cdef int _hand_out(self) except -1
    cdef list _prepared(self, list exchanges)
    cdef int _grow(self, int missing) except -1
    cdef PyObject *_next_job(self) except? NULL
    cdef PyObject *_wait_for_job(self) noexcept nogil
    cdef PyObject *_pop(self) noexcept nogil
    cdef int _work(self) except -1

cdef class Input:
    cdef WsgiExchange exchange
    cdef bytes piece                    # that was not read to its end
    cdef Py_ssize_t offset
    cdef bint ended
    cdef bint _fill(self) except -1
    cdef bytes _take(self, Py_ssize_t size)
    cdef bytes _read_all(self)
    cdef bytes _read(self, Py_ssize_t size)
    cdef bytes _read_line(self, Py_ssize_t limit)

cdef class FileWrapper:
    cdef readonly object filelike
    cdef readonly Py_ssize_t blksize
