"""HTTP/2 framing and HPACK on the system's nghttp2.

Owns every nghttp2 session. It must not know sockets or event loops; it runs on the thread of the connection's reactor.
"""

from granite._core.capi.nghttp2 cimport nghttp2_version

NGHTTP2_VERSION = nghttp2_version(0).version_str.decode("ascii")
