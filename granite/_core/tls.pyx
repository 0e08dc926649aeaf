"""TLS 1.3 as bytes in, bytes out: picotls, with OpenSSL's libcrypto for the primitives.

Owns every picotls object, and is the one extension that links picotls. It must not know sockets, event loops or the
protocol above; it runs on whichever thread holds the connection. It is imported only by a process that serves TLS.

Theory of operation: picotls reports the handshake as done when the server's flight is made (TLS 1.3 lets a server write from then on);
it reads the client's Finished like any record, and gives no plain bytes before it. From then on records are turned into plain bytes
and back. After an error or the peer's alert nothing is read any more, and after a fatal alert of our own nothing is written. Early data
are off. picotls answers a KeyUpdate with the next record, and changes its own keys in time. What comes is looked at before picotls sees
it, record by record: of which kind and size one may be depends on the keys.

A ClientHello that does not name TLS 1.3 is refused; or, where the context has an engine of OlderVersions, handed to it as it came.
From then on the connection is the one of that engine's layer.

OpenSSL's error queue belongs to the thread, which is also the application's: what is left on it would be taken for the failure of the
next call of whoever uses OpenSSL (the module ssl). No call here leaves anything on it.
"""

from _socket import AF_INET, AF_INET6, inet_ntop
from binascii import b2a_base64

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport SIZE_MAX, UINT16_MAX, uint8_t
from libc.string cimport memcmp, memcpy, memset
from granite._core.buf cimport OutPool, out_commit, out_copy, out_reserve
from granite._core.capi.picotls cimport *
from granite._core.transport cimport UNWRAP_ENDED, UNWRAP_ERROR, UNWRAP_FAILED, UNWRAP_OK, SecureContext, SecureLayer, Unwrapped

OPENSSL_VERSION = OpenSSL_version(OPENSSL_VERSION_STRING).decode("ascii")

cdef enum:
    MOST_NAMES = 16384                  # bytes of authorities' names: more are not told, as some clients take no more
    RECORD_HEAD = 5
    SEALED_SIZE = 16401                 # of a record that is sealed: its kind and the tag come to it (RFC 8446, 5.4)
    ALERT_RECORD_OVERFLOW = 22
    ALERT_USER_CANCELED = 90
    # Kinds of records, and what keys the next one is read with.
    KIND_FIRST = 20
    KIND_HANDSHAKE = 22
    KIND_DATA = 23
    EPOCH_HANDSHAKE = 2
    EPOCH_DATA = 3
    FINISHED_BESIDES = 21               # bytes of its record besides the digest: the message's head, the kind, the tag

cdef dict _ALERTS = {
    10: "unexpected message", 20: "bad record", 22: "record overflow", 40: "handshake failure", 42: "bad certificate",
    43: "unsupported certificate", 44: "certificate revoked", 45: "certificate expired", 46: "certificate unknown",
    47: "illegal parameter", 48: "unknown authority", 49: "access denied", 50: "decode error", 51: "decrypt error",
    70: "protocol version", 71: "insufficient security", 80: "internal error", 86: "inappropriate fallback",
    90: "user canceled", 100: "no renegotiation", 109: "missing extension", 110: "unsupported extension", 112: "unrecognized name",
    116: "certificate required", 120: "no application protocol",
}


include "tls/exchange.pxi"
include "tls/ciphers.pxi"
include "tls/tickets.pxi"
include "tls/signature.pxi"
include "tls/certificate.pxi"
include "tls/clients.pxi"
include "tls/context.pxi"
include "tls/layer.pxi"
