# A connection: a stream and the protocol that is spoken on it.

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from granite._core.address cimport Address, Networks
from granite._core.capi cimport uv
from granite._core.counters cimport HANDSHAKE_FAILURES, HandshakeFailure
from granite._core.exchange cimport Rejections
from granite._core.http cimport HttpContext, Session, Version
from granite._core.http1 cimport Http1Context
from granite._core.net cimport Board, Listener, Reactor, StreamHandle, WheelNode
from granite._core.peers cimport Peers
from granite._core.proxy_protocol cimport ProxyHeader
from granite._core.transport cimport SecureContext

cdef enum Waiting:
    WAITING_NOTHING                     # a session is in progress, which knows
    WAITING_HEAD                        # for the rest of a request's head, or the first request
    WAITING_NEXT                        # for the next request
    WAITING_LAST                        # ... for which a drain has given it some time

cdef enum Handshake:
    HANDSHAKE_NONE                      # no byte of it has come
    HANDSHAKE_BEGUN
    HANDSHAKE_DONE
    HANDSHAKE_FAILED

cdef enum Introduction:                 # by a proxy, see proxy_protocol
    INTRODUCED                          # done, or not wanted
    INTRODUCTION_AWAITED
    INTRODUCTION_REFUSED                # it would be a mistake

cdef class ConnectionHost:
    # what connections need of the server that accepted them
    cdef readonly Reactor reactor
    cdef HttpContext http
    cdef readonly Http1Context http1
    cdef readonly Version http2         # None: it is not spoken
    cdef bint only_http2                # HTTP/1.1 is not
    cdef readonly SecureContext secure  # None: connections are plain
    cdef Networks proxies               # peers that are believed what they tell of their clients
    cdef int proxy_versions             # of the PROXY protocol, a set; 0: it is not spoken
    cdef Networks introducers           # peers that have to speak it
    cdef dict introductions             # Connection → bytes of a header that has not come in full
    cdef readonly int connections       # open ones
    cdef readonly int heads             # of these, those that keep the beginning of a head
    cdef int max_connections            # 0: no limit
    cdef Peers peers                    # None: addresses have no limits
    cdef Rejections rejections
    cdef Board board                    # None: connections are not shared out
    cdef int lingering                  # of these, those that only wait for the client's end, and need not be waited for
    cdef int64_t accepted               # connections, since the start
    cdef int64_t failed                 # accept()s that failed, and connections that an error has ended
    cdef int64_t handshakes             # of TLS, that were completed
    cdef int64_t handshakes_failed[HANDSHAKE_FAILURES]      # that began and were not
    cdef readonly bint draining
    cdef WheelNode overrun              # armed for the end of the first grace of a request that took too long
    cdef uint64_t drain_grace           # ms after its last answer in which a drain expects a connection's next request
    cdef PyObject *c_first              # the Connections, linked; each is kept alive by libuv until it has closed
    cdef int add(self, Connection connection) except -1
    cdef int remove(self, Connection connection) except -1
    cdef int check_idle(self) except -1
    cdef int _on_overrun(self) except -1
    cdef int on_room(self) except -1

cdef class AcceptedStream(StreamHandle):
    cdef ConnectionHost host
    cdef int32_t place                  # of its address among the peers
    cdef uint8_t handshake              # Handshake
    cdef uint8_t introduction           # Introduction
    cdef int _turn_away(self, ConnectionHost host, int fd) except -1
    cdef int _send_away(self) except -1
    cdef int _note_turned_away(self, ConnectionHost host) except -1
    cdef int _on_introduction(self, const char *data, size_t size) except -1
    cdef int _introduced(self, const ProxyHeader *header) except -1
    cdef int _on_records(self, const char *data, size_t size) except -1
    # for the connection to fill in
    cdef int _on_bytes(self, const char *data, size_t size) except -1
    cdef int _on_plain_http(self) except -1
    cdef int _fail_handshake(self, HandshakeFailure failure, str why) except -1
    cdef int _on_secured(self) except -1
    cdef int _on_insecure(self) except -1

cdef class HeadKeeper(AcceptedStream):
    cdef Session session                # None while the connection is idle
    cdef char *c_head                   # the beginning of a head whose end has not come; NULL if there is none
    cdef uint32_t head_size
    cdef uint32_t head_tried            # how much of it there was when a session looked at it last
    cdef Waiting waiting
    cdef unsigned int requests          # that were begun by sessions which are gone
    cdef Session _lend(self, const char *data, size_t size)
    cdef Session _lend_http2(self)
    cdef Session _lend_http1(self)
    cdef int _refuse_http1(self) except -1
    cdef int _feed(self, const char *data, size_t size) except -1
    cdef int _on_more_head(self, const char *data, size_t size) except -1
    cdef int _feed_head(self) except -1
    cdef int _give_head_up(self, int status, str why) except -1
    cdef void _drop_head(self) noexcept
    # for the connection to fill in
    cdef int _wait(self, Waiting waiting) except -1
    cdef int _settle(self) except -1

cdef class Connection(HeadKeeper):
    cdef PyObject *c_next
    cdef PyObject *c_previous
    cdef uint8_t leaving                # it lingers, and nobody need wait for it
    cdef uint64_t opened_at             # ms
    cdef uint64_t until                 # ms: when what is waited for must have come; 0: whenever
    cdef int accept(self, ConnectionHost host, Listener listener, int fd, const uv.sockaddr_storage *peer) except -1
    cdef int drain(self) except -1
    cdef int abort(self) except -1
    cdef int _retire(self, uint64_t grace) except -1
    cdef int _expect_last(self, uint64_t grace) except -1
    cdef uint64_t _first_limit(self) noexcept
    cdef int _await_next(self) except -1
    cdef int _succeed(self) except -1
    cdef int _on_due(self, uint64_t now) except -1
    cdef int _on_overdue(self, uint64_t now) except -1
    cdef int _log_sent(self, Session session) except -1
