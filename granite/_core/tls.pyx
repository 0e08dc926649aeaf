"""TLS 1.3 as bytes in, bytes out: picotls, with OpenSSL's libcrypto for the primitives.

Owns every picotls object, and is the one extension that links picotls. It must not know sockets, event loops or the
protocol above; it runs on whichever thread holds the connection. It is imported only by a process that serves TLS.

Theory of operation: picotls reports the handshake as done when the server's flight is made (TLS 1.3 lets a server write from then on);
it reads the client's Finished like any record, and gives no plain bytes before it. From then on records are turned into plain bytes
and back. After an error or the peer's alert nothing is read any more, and after a fatal alert of our own nothing is written. Session
tickets, and with them early data, are off. picotls answers a KeyUpdate with the next record, and changes its own keys in time.

OpenSSL's error queue belongs to the thread, which is also the application's: what is left on it would be taken for the failure of the
next call of whoever uses OpenSSL (the module ssl). No call here leaves anything on it.
"""

from binascii import b2a_base64

cimport cython
from libc.string cimport memcmp, memcpy, memset
from granite._core.buf cimport OutPool, out_commit, out_copy, out_reserve
from granite._core.capi.picotls cimport *
from granite._core.transport cimport UNWRAP_ENDED, UNWRAP_ERROR, UNWRAP_FAILED, UNWRAP_OK, SecureContext, SecureLayer, Unwrapped

OPENSSL_VERSION = OpenSSL_version(OPENSSL_VERSION_STRING).decode("ascii")

cdef enum:
    MOST_CERTIFICATES = 16              # of a chain
    MOST_HANDSHAKE = 65536              # bytes of handshake messages that are put together
    RECORD_SIZE = 16384                 # plain bytes of a full record
    RECORD_ROOM = 64                    # bytes that a record, or a KeyUpdate before it, takes besides
    ALERT_USER_CANCELED = 90

cdef dict _ALERTS = {
    10: "unexpected message", 20: "bad record", 22: "record overflow", 40: "handshake failure", 42: "bad certificate",
    43: "unsupported certificate", 44: "certificate revoked", 45: "certificate expired", 46: "certificate unknown",
    47: "illegal parameter", 48: "unknown authority", 49: "access denied", 50: "decode error", 51: "decrypt error",
    70: "protocol version", 71: "insufficient security", 80: "internal error", 86: "inappropriate fallback",
    90: "user canceled", 109: "missing extension", 110: "unsupported extension", 112: "unrecognized name",
    116: "certificate required", 120: "no application protocol",
}


def cipher_suites():
    """The names of the TLS 1.3 cipher suites that this build offers, in the order of preference."""
    cdef Py_ssize_t i = 0
    names = []
    while ptls_openssl_cipher_suites[i] is not NULL:
        names.append(ptls_openssl_cipher_suites[i].name.decode("ascii"))
        i += 1
    return names


cdef int _cb_password(char *buf, int size, int rwflag, void *userdata) noexcept:
    # Without a password it must not come to OpenSSL's own way of asking: on the terminal.
    password = <bytes>userdata
    if len(password) > size:
        return -1
    memcpy(buf, <char *>password, len(password))
    return <int>len(password)


cdef int _cb_client_hello(ptls_on_client_hello_t *self, ptls_t *tls, ptls_on_client_hello_parameters_t *params) noexcept:
    # RFC 7301, 3.2: a client that names protocols and not ours is told so.
    cdef size_t i
    cdef ptls_iovec_t name
    if params.incompatible_version or params.negotiated_protocols.count == 0:
        return 0
    for i in range(params.negotiated_protocols.count):
        name = params.negotiated_protocols.list[i]
        if name.len == 8 and memcmp(name.base, b"http/1.1", 8) == 0:
            return ptls_set_negotiated_protocol(tls, "http/1.1", 8)
    return PTLS_ALERT_NO_APPLICATION_PROTOCOL


@cython.final
cdef class TlsContext(SecureContext):
    """A certificate chain with its key, and what all connections that show it share.

    Parameters:
        chain: the certificates in PEM, the server's own first.
        key: its private key in PEM.
        password: of the key; None: it is not encrypted.

    Raises:
        ValueError: certificate or key can't be used; the message says why.
    """

    cdef ptls_context_t c_context
    cdef ptls_openssl_sign_certificate_t c_signer
    cdef ptls_on_client_hello_t c_on_client_hello
    cdef ptls_key_exchange_algorithm_t *c_key_exchanges[4]
    cdef ptls_iovec_t c_certificates[MOST_CERTIFICATES]
    cdef bint has_signer
    cdef str leaf                       # the server's certificate in PEM

    def __cinit__(self, bytes chain, bytes key, str password=None):
        memset(&self.c_context, 0, sizeof(self.c_context))
        self._load(chain, key, b"" if password is None else password.encode())
        self.c_key_exchanges[0] = &ptls_openssl_x25519
        self.c_key_exchanges[1] = &ptls_openssl_secp256r1
        self.c_key_exchanges[2] = &ptls_openssl_secp384r1
        self.c_key_exchanges[3] = NULL
        self.leaf = _pem(<const char *>self.c_certificates[0].base, self.c_certificates[0].len)
        self.c_on_client_hello.cb = _cb_client_hello
        self.c_context.random_bytes = ptls_openssl_random_bytes
        self.c_context.get_time = &ptls_get_time
        self.c_context.key_exchanges = self.c_key_exchanges
        self.c_context.cipher_suites = ptls_openssl_cipher_suites
        self.c_context.certificates.list = self.c_certificates
        self.c_context.on_client_hello = &self.c_on_client_hello
        self.c_context.sign_certificate = &self.c_signer.super
        self.c_context.max_buffer_size = MOST_HANDSHAKE
        self.c_context.server_cipher_preference = 1
        self.c_context.server_cipher_chacha_priority = 1

    def __dealloc__(self):
        cdef size_t i
        for i in range(self.c_context.certificates.count):
            OPENSSL_free(self.c_certificates[i].base)
        if self.has_signer:
            ptls_openssl_dispose_sign_certificate(&self.c_signer)

    cdef int _load(self, bytes chain, bytes key, bytes password) except -1:
        cdef X509 *leaf = NULL
        cdef EVP_PKEY *c_key = NULL
        cdef BIO *bio
        try:
            bio = BIO_new_mem_buf(<char *>key, <int>len(key))
            if bio is NULL:
                raise MemoryError()
            c_key = PEM_read_bio_PrivateKey(bio, NULL, _cb_password, <void *>password)
            BIO_free(bio)
            if c_key is NULL:
                raise ValueError("no private key in PEM that can be read" + (" with this password" if password else ""))
            bio = BIO_new_mem_buf(<char *>chain, <int>len(chain))
            if bio is NULL:
                raise MemoryError()
            try:
                leaf = self._load_chain(bio)
            finally:
                BIO_free(bio)
            if X509_check_private_key(leaf, c_key) != 1:
                raise ValueError("the key does not belong to the certificate")
            if X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0:
                raise ValueError("the certificate has expired")
            if ptls_openssl_init_sign_certificate(&self.c_signer, c_key) != 0:
                raise ValueError("the key is of a kind that TLS 1.3 does not know")
            self.has_signer = True
        finally:
            ERR_clear_error()           # what is left on OpenSSL's queue would confuse who looks at it next
            X509_free(leaf)
            EVP_PKEY_free(c_key)
        return 0

    cdef X509 *_load_chain(self, BIO *bio) except NULL:
        """Keep each certificate's DER; return the first, which the caller frees."""
        cdef X509 *leaf = NULL
        cdef X509 *certificate
        cdef unsigned char *der
        cdef int size
        cdef size_t count = 0
        try:
            while True:
                ERR_clear_error()
                certificate = PEM_read_bio_X509(bio, NULL, _cb_password, <void *>b"")
                if certificate is NULL:
                    if count and ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE:
                        return leaf     # the end
                    raise ValueError(f"certificate {count + 1} can't be read" if count else "no certificate in PEM that can be read")
                if leaf is NULL:
                    leaf = certificate
                der = NULL
                size = i2d_X509(certificate, &der) if count < MOST_CERTIFICATES else 0
                if certificate is not leaf:
                    X509_free(certificate)
                if count == MOST_CERTIFICATES:
                    raise ValueError(f"the chain has more than {MOST_CERTIFICATES} certificates")
                if size <= 0:
                    raise MemoryError()
                self.c_certificates[count].base = der
                self.c_certificates[count].len = <size_t>size
                count += 1
                self.c_context.certificates.count = count
        except BaseException:
            X509_free(leaf)
            raise

    cdef SecureLayer layer(self):
        cdef TlsLayer layer = TlsLayer.__new__(TlsLayer)
        layer.c_tls = ptls_server_new(&self.c_context)
        if layer.c_tls is NULL:
            raise MemoryError()
        layer.context = self
        self.live += 1
        return layer


@cython.final
@cython.no_gc
cdef class TlsLayer(SecureLayer):
    """One connection's TLS."""

    cdef TlsContext context
    cdef ptls_t *c_tls
    cdef ptls_buffer_t c_plain
    cdef bint ended                     # nothing is read any more

    def __cinit__(self):
        ptls_buffer_init(&self.c_plain, b"", 0)

    def __dealloc__(self):
        ptls_buffer_dispose(&self.c_plain)
        if self.c_tls is not NULL:
            ptls_free(self.c_tls)
            self.context.live -= 1

    cdef tuple describe(self):
        return self.context.leaf, ptls_get_protocol_version(self.c_tls), ptls_get_cipher(self.c_tls).id

    cdef Unwrapped unwrap(self, OutPool pool, const char *data, size_t size) except UNWRAP_ERROR:
        cdef ptls_buffer_t answer
        cdef size_t used
        cdef int code = 0
        ptls_buffer_init(&answer, b"", 0)
        try:
            while size and not self.ended and code == 0:
                used = size
                if self.established:
                    code = ptls_receive(self.c_tls, &self.c_plain, data, &used)
                    if not self.complete:
                        self.complete = ptls_handshake_is_complete(self.c_tls)
                else:
                    code = ptls_handshake(self.c_tls, &answer, data, &used, NULL)
                    if code == 0:
                        self.established = True
                if code == PTLS_ERROR_IN_PROGRESS or code == PTLS_ALERT_TO_PEER_ERROR(ALERT_USER_CANCELED):
                    code = 0            # RFC 8446, 6.1: what user_canceled announces is close_notify
                data += used
                size -= used
            if code == PTLS_ERROR_NO_MEMORY:
                raise MemoryError()
            if code and self.established and PTLS_ERROR_GET_CLASS(code) == PTLS_ERROR_CLASS_SELF_ALERT:
                ptls_send_alert(self.c_tls, &answer, 2, <uint8_t>PTLS_ERROR_TO_ALERT(code))
            if answer.off:
                out_copy(pool, &self.wire, <char *>answer.base, answer.off)
        finally:
            ptls_buffer_dispose(&answer)
            ERR_clear_error()
        self.plain = <const char *>self.c_plain.base
        self.plain_size = self.c_plain.off
        if code == 0:
            return UNWRAP_OK
        self.ended = True
        if PTLS_ERROR_GET_CLASS(code) == PTLS_ERROR_CLASS_PEER_ALERT and PTLS_ERROR_TO_ALERT(code) == PTLS_ALERT_CLOSE_NOTIFY:
            return UNWRAP_ENDED
        self.closed = True
        self.reason = _described(code)
        return UNWRAP_FAILED

    cdef int release(self) noexcept:
        ptls_buffer_dispose(&self.c_plain)
        ptls_buffer_init(&self.c_plain, b"", 0)
        self.plain = NULL
        self.plain_size = 0
        return 0

    cdef int wrap(self, OutPool pool, const void *data, size_t size) except -1:
        cdef ptls_buffer_t records
        cdef int code
        cdef size_t room = size + (size // RECORD_SIZE + 2) * RECORD_ROOM
        cdef char *place = out_reserve(pool, &self.wire, room)
        ptls_buffer_init(&records, place, room)
        code = ptls_send(self.c_tls, &records, data, size)
        if code == 0 and <char *>records.base == place:
            out_commit(&self.wire, records.off)
            return 0
        try:
            if code:
                ERR_clear_error()
                raise MemoryError() if code == PTLS_ERROR_NO_MEMORY else OSError(f"TLS: {_described(code)}")
            out_copy(pool, &self.wire, <char *>records.base, records.off)
        finally:
            ptls_buffer_dispose(&records)
        return 0

    cdef int close(self, OutPool pool) except -1:
        cdef ptls_buffer_t record
        if self.closed:
            return 0
        self.closed = True
        if not self.established:
            return 0
        ptls_buffer_init(&record, b"", 0)
        try:
            if ptls_send_alert(self.c_tls, &record, PTLS_ALERT_LEVEL_WARNING, PTLS_ALERT_CLOSE_NOTIFY) == 0:
                out_copy(pool, &self.wire, <char *>record.base, record.off)
        finally:
            ptls_buffer_dispose(&record)
        return 0


cdef str _described(int code):
    cdef int alert = PTLS_ERROR_TO_ALERT(code)
    if PTLS_ERROR_GET_CLASS(code) == PTLS_ERROR_CLASS_PEER_ALERT:
        return f"the client sent the alert {alert} ({_ALERTS.get(alert, 'unknown')})"
    if PTLS_ERROR_GET_CLASS(code) == PTLS_ERROR_CLASS_SELF_ALERT:
        return f"alert {alert} ({_ALERTS.get(alert, 'unknown')})"
    return f"error {code} of picotls"


cdef str _pem(const char *der, size_t size):
    """A certificate as text (RFC 7468): 48 bytes are a line of 64 letters."""
    lines = [b2a_base64(der[at:min(at + 48, size)]).decode() for at in range(0, size, 48)]
    return "-----BEGIN CERTIFICATE-----\n" + "".join(lines) + "-----END CERTIFICATE-----\n"
