"""HTTP/1.1 (RFC 9112) on llhttp: requests in, responses out.

Owns the parser and the framing of one connection's messages; their semantics are those of `http`. Knows the exchange above and the transport contract below; neither
sockets nor interfaces. Runs on the reactor's thread.

Theory of operation: feed() reads the request line itself and runs llhttp over the rest of what was read. llhttp is paused at the end of each request, so no Python code ever runs
inside one of its callbacks: the exchange is started after llhttp has returned, either because the request is complete or because
what was read ends inside its body. An application that answers at once is therefore answered inside feed(), which goes on with the
next pipelined request; one that does not leaves the session in COMPLETE, what the client sends meanwhile is set aside, within a bound,
and resume() goes on when the response is done. As long as anything is set aside, what is read goes behind it. Between messages a connection has no session at all: the context lends sessions
to the connections that have a request in progress.
"""

import sys

from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove
from granite._core.address cimport Address
from granite._core.buf cimport OUT_COPY_LIMIT, OutFile, OutQueue, out_commit, out_copy, out_reserve
from granite._core.capi cimport llhttp
from granite._core.capi.octets cimport equals_lower, granite_skip_printable, is_value
from granite._core.capi.python cimport (
    GRANITE_IS_DEBUG, PyErr_Occurred, PyBytes_AS_STRING, PyBytes_GET_SIZE, PyBytes_FromStringAndSize,
)
from granite._core.counters cimport (
    REJECTED_OVERLOAD, REJECTED_REQUESTS_PER_IP, REJECTED_REQUEST_TIMEOUT, Rejection, clock, count_response, observe,
)
from granite._core.exchange cimport (
    RESPONSE_BODY, RESPONSE_DONE, RESPONSE_HEAD, RESPONSE_NONE, TURN_COME, TURN_WAITING, Exchange, Handshake, RequestIds, is_bodyless,
)
from granite._core.forwarded cimport Forwarded
from granite._core.http cimport (
    FIELD_CONNECTION, FIELD_CONTENT_LENGTH, FIELD_DATE, FIELD_HOP_BY_HOP, FIELD_HSTS, FIELD_INVALID, FIELD_OTHER, FIELD_SERVER,
    FIELD_TRANSFER_ENCODING, FIELD_UPGRADE, HEADER_MAP_DANGEROUS, HEADER_MAP_REFUSE, REDIRECT, SEEN_CLOSE, SEEN_DATE, SEEN_HSTS, SEEN_REQUEST_ID, SEEN_SERVER,
    SEEN_UPGRADE, FieldKind, HttpContext, Session, checked, earlier, field_at, has_no_content, has_token, interim, is_continue, is_decodable, is_digit, is_host,
    is_no_trailer, is_short, length_of, next_element, pair, phrase_of, plain, rejection_of, size_of_fields, take_length,
)
from granite._core.scope cimport (
    NAME_CONNECTION, NAME_EXPECT, NAME_FORWARDED, NAME_HOST, NAME_UNDERSCORED, NAME_UPGRADE,
)
from granite._core.transport cimport Transport, name_of
from granite._core.errorlog import error_log as _log

LLHTTP_VERSION = f"{llhttp.LLHTTP_VERSION_MAJOR}.{llhttp.LLHTTP_VERSION_MINOR}.{llhttp.LLHTTP_VERSION_PATCH}"


# As the interfaces tell them: by identity.
cdef str _HTTP10 = sys.intern("1.0")
cdef str _HTTP11 = sys.intern("1.1")

include "http1/context.pxi"
include "http1/response.pxi"
include "http1/syntax.pxi"
include "http1/line.pxi"
include "http1/reader.pxi"
include "http1/record.pxi"
include "http1/refusals.pxi"
include "http1/deadlines.pxi"
include "http1/upgrade.pxi"
include "http1/session.pxi"
