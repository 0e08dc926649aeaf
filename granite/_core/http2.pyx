"""HTTP/2 (RFC 9113) on nghttp2: requests in, responses out.

Owns every nghttp2 session and its streams. Knows the semantics of `http`, the exchange above and the transport contract below; neither sockets nor interfaces. Runs on the
reactor's thread.

Theory of operation: a connection has one session as long as it is open, and a stream for each request, which is the protocol of its exchange. nghttp2 must not be
called from inside of its callbacks, nor may any exchange: what they tell is noted in the stream, and dealt with by _deliver() when nghttp2 has returned, in the
order in which it came. What is answered meanwhile lies in the streams as pieces, by reference; _pump() asks nghttp2 for frames, as long as little waits for the socket, and has it
choose the streams: so a client that takes nothing is ahead of nobody. A frame of DATA is nine octets in the output queue and a reference to the application's bytes, or
a range of a file.

Flow control is the application's: a stream's window opens by what the application takes of its body. The connection's opens as bytes come, so that one stream that nobody reads does not hold up the others, up to a
bound; beyond it, by what is taken.

A stream may belong to a WebSocket (RFC 8441), whose bytes are its body both ways: see http2/tunnel.pxi.
"""

import sys

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memset
from granite._core.address cimport FAMILY_IPV4, FAMILY_UNIX, Address
from granite._core.buf cimport OUT_COPY_LIMIT, OutBuf, OutFile, out_commit, out_copy, out_reserve
from granite._core.capi cimport nghttp2
from granite._core.capi.octets cimport append_octets, granite_skip_printable, is_value, number_of
from granite._core.capi.python cimport (
    GRANITE_IS_DEBUG, GRANITE_IS_SANITIZED, PyBytes_AS_STRING, PyBytes_GET_SIZE, PyBytes_FromStringAndSize, Py_DECREF, Py_INCREF,
)
from granite._core.counters cimport (
    REJECTED_BAD_REQUEST, REJECTED_HEAD_TIMEOUT, REJECTED_HTTP2_CONTINUATIONS, REJECTED_HTTP2_FIELDS, REJECTED_HTTP2_FLOOD, REJECTED_HTTP2_NO_PONG, REJECTED_HTTP2_PROTOCOL,
    REJECTED_HTTP2_RESETS, REJECTED_HTTP2_SETTINGS, REJECTED_OVERLOAD, REJECTED_REQUESTS_PER_IP, REJECTED_WRITE_TIMEOUT, RESPONSES_HTTP2, Rejection, clock, count_response, export_responses, observe,
)
from granite._core.exchange cimport (
    RESPONSE_BODY, RESPONSE_DONE, RESPONSE_HEAD, RESPONSE_NONE, TURN_COME, Exchange, Handshake, Protocol, RequestIds, is_bodyless,
)
from granite._core.forwarded cimport Forwarded
from granite._core.http cimport (
    FIELD_CONNECTION, FIELD_CONTENT_LENGTH, FIELD_DATE, FIELD_HOP_BY_HOP, FIELD_HSTS, FIELD_INVALID, FIELD_OTHER, FIELD_SERVER,
    FIELD_TRANSFER_ENCODING, FIELD_UPGRADE, HEADER_MAP_DANGEROUS, HEADER_MAP_REFUSE, SEEN_DATE, SEEN_HSTS, SEEN_REQUEST_ID, SEEN_SERVER, FieldKind,
    FieldName, HttpContext, Session, Version, checked, earlier, field_at, has_no_content, has_token, interim, is_continue, is_decodable, is_no_trailer, is_short,
    length_of, milliseconds, pair, phrase_of, plain, rejection_of, size_of_fields, take_length,
)
from granite._core.scope cimport (
    NAME_CONTENT_LENGTH, NAME_COOKIE, NAME_EXPECT, NAME_FORWARDED, NAME_HOST, NAME_UNDERSCORED,
)
from granite._core.transport cimport Transport, name_of
from granite._core.errorlog import error_log as _log

NGHTTP2_VERSION = nghttp2.nghttp2_version(0).version_str.decode("ascii")

# As the interfaces tell it: by identity.
cdef str _HTTP2 = sys.intern("2")
cdef str _HEAD = "HEAD"
cdef str _CONNECT = "CONNECT"

include "http2/memory.pxi"
include "http2/context.pxi"
include "http2/output.pxi"
include "http2/fields.pxi"
include "http2/stream.pxi"
include "http2/tunnel.pxi"
include "http2/offenders.pxi"
include "http2/frames.pxi"
include "http2/limits.pxi"
include "http2/session.pxi"
include "http2/testing.pxi"
