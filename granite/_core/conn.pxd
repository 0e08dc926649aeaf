# A connection: a stream and the protocol that is spoken on it.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from granite._core.capi cimport uv
from granite._core.http1 cimport Http1Context, Http1Session
from granite._core.net cimport Board, Listener, Reactor, StreamHandle
from granite._core.transport cimport SecureContext

cdef enum Waiting:
    WAITING_NOTHING                     # a request is being answered, or its body comes
    WAITING_HEAD                        # for the rest of a request's head, or the first request
    WAITING_NEXT                        # for the next request
    WAITING_LAST                        # ... for which a drain has given it some time
    WAITING_REST                        # for the rest of a body that nobody reads

cdef enum Handshake:
    HANDSHAKE_NONE                      # no byte of it has come
    HANDSHAKE_BEGUN
    HANDSHAKE_DONE

cdef class ConnectionHost:
    # what connections need of the server that accepted them
    cdef readonly Reactor reactor
    cdef readonly Http1Context http1
    cdef readonly SecureContext secure  # None: connections are plain
    cdef readonly int connections       # open ones
    cdef Board board                    # None: connections are not shared out
    cdef int lingering                  # of these, those that only wait for the client's end
    cdef int64_t accepted               # connections, since the start
    cdef int64_t failed                 # accept()s that failed, and connections that an error has ended
    cdef int64_t handshakes             # of TLS, that were completed
    cdef int64_t handshakes_failed      # that began and were not
    cdef readonly bint draining
    cdef uint64_t head_timeout          # ms, 0 = off
    cdef uint64_t keep_alive_timeout    # ms, 0 = off
    cdef uint64_t drain_grace           # ms after its last answer in which a drain expects a connection's next request
    cdef size_t write_low_water
    cdef PyObject *c_first              # the Connections, linked; each is kept alive by libuv until it has closed
    cdef int add(self, Connection connection) except -1
    cdef int remove(self, Connection connection) except -1
    cdef int check_idle(self) except -1

cdef class Connection(StreamHandle):
    cdef ConnectionHost host
    cdef Http1Session session           # None while the connection is idle
    cdef PyObject *c_next
    cdef PyObject *c_previous
    cdef Waiting waiting
    cdef unsigned int requests          # that were begun by sessions which are gone
    cdef Handshake handshake
    cdef int accept(self, ConnectionHost host, Listener listener, int fd, const uv.sockaddr_storage *peer) except -1
    cdef int drain(self) except -1
    cdef int _wait(self, Waiting waiting) except -1
    cdef int _settle(self) except -1
    cdef int _on_records(self, const char *data, size_t size) except -1
    cdef int _on_bytes(self, const char *data, size_t size) except -1
