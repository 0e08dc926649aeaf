"""The reactor: libuv's loop nested in the application's event loop, the timer wheel, streams and listeners.

Owns every libuv handle, the read buffer and the output pool; nothing else links libuv. Knows no protocol: a stream hands bytes to
the subclass that `conn` makes of it. Everything here runs on the one thread that created the reactor.

Theory of operation: libuv's epoll descriptor is watched by the application's loop. When it turns readable, Reactor.pump() runs
libuv once without blocking; callbacks parse, call the application and write, all inside that call. Two things libuv cannot tell the
outer loop are done by hand: handles that were added or changed outside of uv_run() are not in the epoll set before the next run, so
`stale` asks for one, and libuv's timers do not make its descriptor readable, so the pump keeps one timer of the outer loop armed.
"""

import os
import _socket

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, EIO, EMFILE, EPROTO, errno
from libc.string cimport memcmp, memcpy, memset
from posix.unistd cimport close
from granite._core.address cimport FAMILY_UNIX, Address, set_ipv4, set_ipv6, text_of
from granite._core.buf cimport OUT_VECTORS, OutBuf, OutFile, OutPool, OutQueue, iovec
from granite._core.capi cimport uv
from granite._core.capi.poll cimport POLLIN, poll, pollfd
from granite._core.capi.python cimport PyContext_Copy, PyContext_Enter, PyContext_Exit, Py_DECREF, Py_INCREF
from granite._core.counters cimport clock, coarse_clock
from granite._core.loop cimport Loop
from granite._core.transport cimport Deferred, LoopTurn, SecureLayer, Transport, Waker, name_of
from granite._core.errorlog import error_log as _log

UV_VERSION = (<bytes>uv.uv_version_string()).decode()



cdef inline void _pin(object handle) noexcept:
    """libuv's reference to a handle's object, taken after its init; partner: _unpin()."""
    Py_INCREF(<PyObject *>handle)


cdef inline void _unpin(object handle) noexcept:
    """Give libuv's reference back, in the close callback; partner: _pin()."""
    Py_DECREF(<PyObject *>handle)


cdef object _uv_error(int code, str what):
    """An OSError for libuv's negative error code; libuv's codes are errno's, negated, on every Unix."""
    return OSError(-code, f"{what}: {(<bytes>uv.uv_strerror(code)).decode()}")


include "net/wheel.pxi"
include "net/waker.pxi"
include "net/reactor.pxi"
include "net/writer.pxi"
include "net/stream.pxi"
include "net/listener.pxi"
include "net/board.pxi"
