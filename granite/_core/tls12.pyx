"""TLS 1.2 as bytes in, bytes out: OpenSSL's libssl, for clients that do not know TLS 1.3.

Owns every object of libssl, and is the one extension that links it. It must not know sockets, event loops or the protocol above; it
runs on whichever thread holds the connection. It is imported only by a process whose settings let clients use TLS 1.2.

Theory of operation: connections begin in `tls`. A ClientHello that does not name TLS 1.3 comes from there, with its server name and
the protocol that was chosen; certificates, who verifies clients, and the keys of tickets are those of `tls` as well. libssl's own
maximum stays TLS 1.3, so that its ServerHello says that the server knows it: from that a client whose offer was cut on the way tells
(RFC 8446, 4.1.3). It is never negotiated, as picotls has seen that it was not offered. The layer stands on both ends of libssl: a BIO
that gives what unwrap() was given, and takes records to the wire queue.

As in `tls`, no call here leaves anything on OpenSSL's error queue.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcpy, strcmp
from libc.time cimport time
from granite._core.buf cimport OutPool, out_copy, out_reserve
from granite._core.capi.libssl cimport *
from granite._core.capi.picotls cimport (
    BIO, BIO_METHOD, BIO_free, BIO_new, ERR_clear_error, EVP_PKEY, X509, X509_NAME, X509_free, X509_verify_cert_error_string
)
from granite._core.tls cimport (
    MOST_HANDSHAKE, TICKET_KEY_SIZE, TICKET_NAME_SIZE, Certificate, Certificates, ClientCheck, OlderVersions, RecordSizes, Tickets,
    client_of, record_piece, records_room, told
)
from granite._core.transport cimport UNWRAP_ENDED, UNWRAP_ERROR, UNWRAP_FAILED, UNWRAP_OK, SecureContext, SecureLayer, Unwrapped

cdef enum:
    IV_SIZE = 16                        # of AES in CBC mode
    DIGEST_SIZE = 32                    # of SHA-256
    MOST_REFUSALS = 8                   # times that a client may ask for another handshake
    MORE_PLAIN = 16384                  # bytes for which room is made when there is none

# The order is that of TLS 1.3's suites in `tls`; ECDSA signs faster. Of these, a client that lists ChaCha20 first gets it.
cdef bytes _CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
cdef bytes _GROUPS = b"X25519:P-256:P-384"
cdef bytes _SIGNATURES = (
    b"ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512:ed25519:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"
    b"rsa_pss_rsae_sha512:rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512"
)


include "tls12/tickets.pxi"
include "tls12/certificate.pxi"
include "tls12/context.pxi"
include "tls12/layer.pxi"
