"""WebSocket (RFC 6455) with permessage-deflate (RFC 7692).

Owns frames and messages, and what a closing handshake says. Knows the exchange above and the transport contract below: so a WebSocket
lies on a connection as well as on a stream of HTTP/2. Runs on the reactor's thread.

Theory of operation: read() takes frames apart as they come and tells of whole messages and control frames. A message that lies in what
was read in one piece becomes its object at once; any other one is collected, checked as it comes, and forgotten when it has been told:
between two messages a WebSocket holds no memory. zlib's streams are made for the first message that needs one. Where the window does not
stay from one message to the next they belong to the context and are borrowed, so that idle WebSockets have none.
"""

cimport cython
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memmove
from granite._core.buf cimport OUT_COPY_LIMIT, OutBuf, OutPool, out_commit, out_reserve
from granite._core.capi cimport zlib
from granite._core.capi.octets cimport is_token
from granite._core.capi.payload cimport Utf8, granite_sha1, granite_unmask, granite_utf8_goes_on
from granite._core.capi.zlib cimport z_stream
from granite._core.capi.python cimport (
    GRANITE_IS_DEBUG, Py_XDECREF, PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, PyBytes_New, PyUnicode_AsUTF8AndSize, PyUnicode_CheckExact,
    PyUnicode_DATA, PyUnicode_DecodeUTF8, PyUnicode_New, _PyBytes_Resize,
)
from granite._core.counters cimport (
    REJECTED_WEBSOCKET, RESPONSES_WEBSOCKET, WEBSOCKET_MESSAGES_RECEIVED, WEBSOCKET_MESSAGES_SENT, WEBSOCKET_ROUND_TRIP, WEBSOCKETS_ACTIVE, clock,
    count_response, export, export_responses, observe,
)
from granite._core.exchange cimport (
    WEBSOCKET_CLOSED, WEBSOCKET_CLOSING, WEBSOCKET_OPEN, Exchange, Handshake, WebSocketState, is_close_code,
)
from granite._core.http cimport HttpContext, Session, WebSockets
from granite._core.transport cimport Transport, name_of
from granite._core.errorlog import error_log as _log

ZLIB_VERSION = zlib.zlibVersion().decode("ascii")

include "websocket/context.pxi"
include "websocket/handshake.pxi"
include "websocket/writer.pxi"
include "websocket/reader.pxi"
include "websocket/session.pxi"
include "websocket/testing.pxi"
