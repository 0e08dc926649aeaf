"""HTTP's semantics (RFC 9110), whatever the version: what the sessions of a server share, and what a connection asks of one.

Owns the checks of requests and of what applications answer, the values of the server's own fields, and the rates of bodies. Knows the exchange above and
the transport contract below; neither sockets nor interfaces, nor how any version frames its messages. Runs on the reactor's thread.
"""

import sys
import time

from cpython.object cimport PyObject
from libc.stdint cimport UINT64_MAX, int64_t, uint32_t, uint64_t
from libc.time cimport time_t
from libc.string cimport memchr, memcmp, memcpy
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from granite._core.accesslog cimport AccessLog
from granite._core.capi.inet cimport AF_INET6, inet_pton
from granite._core.capi.octets cimport equals_lower, is_token, is_value, number_of
from granite._core.capi.python cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE, PyList_CheckExact, Py_INCREF, Py_XDECREF, PyTuple_CheckExact, PyTuple_GET_ITEM,
    PyTuple_GET_SIZE, PyUnicode_DecodeASCII,
)
from granite._core.counters cimport (
    REJECTED_BAD_REQUEST, REJECTED_BODY_SIZE, REJECTED_BODY_TIMEOUT, REJECTED_HEAD_SIZE, REJECTED_HEAD_TIMEOUT, REJECTED_QUEUE_TIME,
    REJECTED_REQUESTS_PER_IP, REJECTED_REQUEST_TIMEOUT, Rejection, clock, coarse_clock,
)
from granite._core.exchange cimport (
    RESPONSE_HEAD, RESPONSE_NONE, Admission, Exchange, Handshake, Interface, Protocol, Rejections, RequestIds,
)
from granite._core.forwarded cimport Forwarded, Forwarding
from granite._core.scope cimport ScopeCache
from granite._core.transport cimport Transport, name_of
from granite._core.errorlog import error_log as _log


include "http/syntax.pxi"
include "http/fields.pxi"
include "http/context.pxi"
include "http/session.pxi"
