"""What an application of RSGI gets and may catch, for its imports and annotations.

Owns nothing: names of the core.
"""

from __future__ import annotations

from granite._core.rsgi import (
    Headers,
    HTTPProtocol,
    HTTPStreamTransport,
    ProtocolClosed,
    ProtocolError,
    Scope,
)

__all__ = [
    "HTTPProtocol",
    "HTTPStreamTransport",
    "Headers",
    "ProtocolClosed",
    "ProtocolError",
    "Scope",
]
