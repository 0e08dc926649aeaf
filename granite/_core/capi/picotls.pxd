"""picotls and its OpenSSL backend, declarations only."""

cdef extern from "picotls.h" nogil:
    ctypedef struct ptls_cipher_suite_t:
        const char *name


cdef extern from "picotls/openssl.h" nogil:
    # NULL-terminated, in the order of preference.
    ptls_cipher_suite_t *ptls_openssl_cipher_suites[]


cdef extern from "openssl/crypto.h" nogil:
    const char *OpenSSL_version(int kind)
    int OPENSSL_VERSION_STRING
