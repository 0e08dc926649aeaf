"""TLS 1.3 as bytes in, bytes out: picotls, with OpenSSL's libcrypto for the primitives.

Owns every picotls object, and is the one extension that links picotls. It must not know sockets, event loops or the
protocol above; it runs on whichever thread holds the connection.
"""

from granite._core.capi.picotls cimport OPENSSL_VERSION_STRING, OpenSSL_version, ptls_openssl_cipher_suites

OPENSSL_VERSION = OpenSSL_version(OPENSSL_VERSION_STRING).decode("ascii")


def cipher_suites():
    """The names of the TLS 1.3 cipher suites that this build offers, in the order of preference."""
    cdef Py_ssize_t i = 0
    names = []
    while ptls_openssl_cipher_suites[i] is not NULL:
        names.append(ptls_openssl_cipher_suites[i].name.decode("ascii"))
        i += 1
    return names
