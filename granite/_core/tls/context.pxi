# A certificate with its key, and what connections that show it have in common.

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


cdef str _pem(const char *der, size_t size):
    """A certificate as text (RFC 7468): 48 bytes are a line of 64 letters."""
    lines = [b2a_base64(der[at:min(at + 48, size)]).decode() for at in range(0, size, 48)]
    return "-----BEGIN CERTIFICATE-----\n" + "".join(lines) + "-----END CERTIFICATE-----\n"
