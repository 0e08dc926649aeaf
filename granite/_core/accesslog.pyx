"""The access log: one line per request, whatever the protocol, the interface and the outcome.

Owns the format, compiled, the lines of a turn and their way to the destination. Knows exchanges; neither protocols nor sockets of clients.
Runs on the reactor's thread.

Theory of operation: a protocol calls append() with each exchange when its last byte is written, or never will be. The format is a list of
operations, so a line is made without an object of Python and with one look at the clock. Lines are collected and written at the end of the
event loop's turn, earlier when there are many. A destination that has a descriptor gets whole lines: a file in one write() to which the
kernel appends, so that no other process's lines lie among them; a stream in writes that the kernel does not split either, none of which may
block. What a stream does not take waits, within a bound, for a later turn; what fails is lost, counted, and told of once.
"""

import sys

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cpython.object cimport PyObject
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport labs
from libc.string cimport memchr, memcmp, memcpy, memmove, memset, strerror, strlen
from libc.time cimport time_t
from posix.fcntl cimport O_CLOEXEC, O_NONBLOCK, O_WRONLY, open as _open_path
from posix.stat cimport S_ISFIFO, S_ISREG, S_ISSOCK, fstat, struct_stat
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close as _close_fd, getpid, write
from granite._core.capi.octets cimport granite_copy_plain
from granite._core.capi.poll cimport POLLOUT, poll, pollfd
from granite._core.capi.python cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, PyList_CheckExact, PyList_GET_ITEM,
    PyList_GET_SIZE, PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyUnicode_DATA, PyUnicode_DecodeUTF8,
    PyUnicode_GET_LENGTH, PyUnicode_IS_COMPACT_ASCII,
)
from granite._core.counters cimport clock
from granite._core.exchange cimport Exchange
from granite._core.transport cimport Deferred, LoopTurn, name_of
from granite._core.errorlog import error_log as _log

cdef extern from "strings.h" nogil:
    int strncasecmp(const char *, const char *, size_t)

cdef extern from "<sys/socket.h>" nogil:
    """
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    """
    ssize_t send(int fd, const void *base, size_t size, int flags)
    const int MSG_DONTWAIT
    const int MSG_NOSIGNAL

cdef extern from "time.h" nogil:        # Cython's own does not know the offset
    cdef struct tm:
        int tm_year
        int tm_mon
        int tm_mday
        int tm_hour
        int tm_min
        int tm_sec
        long tm_gmtoff
    tm *localtime_r(const time_t *, tm *)

cdef extern from "limits.h":
    const int PIPE_BUF


include "accesslog/lines.pxi"
include "accesslog/format.pxi"
include "accesslog/delivery.pxi"
