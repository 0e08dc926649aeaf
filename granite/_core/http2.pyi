"""HTTP/2 framing and HPACK."""

NGHTTP2_VERSION: str
"""The version of the nghttp2 library that is loaded, such as "1.52.0"."""
