# The certificates of clients: who vouches for them, and what is known of one that has been verified.

cdef int _cb_chain(int ok, X509_STORE_CTX *context) noexcept nogil:
    # picotls has a depth of its own, which is OpenSSL's. The last of the chain is at its number, behind as many others but one.
    if ok != 1 or <size_t>X509_STORE_CTX_get_error_depth(context) <= 1 + <size_t>X509_STORE_get_ex_data(X509_STORE_CTX_get0_store(context), 0):
        return ok
    X509_STORE_CTX_set_error(context, X509_V_ERR_CERT_CHAIN_TOO_LONG)
    return 0


cdef int _cb_client_certificate(
    ptls_openssl_override_verify_certificate_t *self, ptls_t *tls, int code, int reason, X509 *certificate, X509s *chain
) noexcept:
    try:
        return (<TlsLayer>ptls_get_data_ptr(tls)[0]).judge(code, reason, certificate, chain)
    except Exception:
        return PTLS_ERROR_NO_MEMORY


@cython.final
cdef class ClientCheck:
    """Whether clients have to show a certificate, and who vouches for it.

    Parameters:
        authorities: their certificates in PEM. Each of them is trusted by itself, whoever has signed it.
        depth: how many authorities may stand between a client's certificate and one of these.
        required: a client without a certificate is refused. One whose certificate is wrong always is.

    Raises:
        ValueError: the authorities can't be used; the message says why.
    """

    def __cinit__(self, bytes authorities not None, unsigned int depth, bint required):
        self.c_store = X509_STORE_new()
        if self.c_store is NULL:
            raise MemoryError()
        try:
            self.names = _load_authorities(self.c_store, authorities)
        finally:
            ERR_clear_error()
        X509_STORE_set_flags(self.c_store, X509_V_FLAG_PARTIAL_CHAIN)
        X509_STORE_set_verify_cb(self.c_store, _cb_chain)
        if X509_STORE_set_ex_data(self.c_store, 0, <void *><size_t>depth) != 1 \
                or ptls_openssl_init_verify_certificate(&self.c_verify, self.c_store) != 0:
            ERR_clear_error()
            raise MemoryError()
        self.is_open = True
        self.required = required
        self._tell_names()
        self.c_judge.cb = _cb_client_certificate
        self.c_verify.override_callback = &self.c_judge

    def __dealloc__(self):
        if self.is_open:
            ptls_openssl_dispose_verify_certificate(&self.c_verify)
        X509_STORE_free(self.c_store)   # of which the verifier has a reference of its own
        PyMem_Free(self.c_names)

    cdef int _tell_names(self) except -1:
        """RFC 8446, 4.2.4: the names by which a client, and who uses it, finds the certificate that is asked for."""
        cdef Py_ssize_t i
        if sum(map(len, self.names)) > MOST_NAMES:
            return 0
        self.c_names = <ptls_iovec_t *>PyMem_Malloc(len(self.names) * sizeof(ptls_iovec_t))
        if self.c_names is NULL:
            raise MemoryError()
        for i in range(len(self.names)):
            self.c_names[i].base = <uint8_t *><char *>self.names[i]
            self.c_names[i].len = len(self.names[i])
        return 0

    cdef int join(self, ptls_context_t *context) noexcept:
        context.verify_certificate = &self.c_verify.super
        context.client_ca_names.list = self.c_names
        context.client_ca_names.count = len(self.names) if self.c_names is not NULL else 0
        return 0

    def revoke(self, bytes revoked not None):
        """Look at these lists of revoked certificates, too, in PEM: from the first on, each authority of a chain needs one that is in force.

        Raises:
            ValueError: there is none that can be read.
        """
        try:
            _load_revoked(self.c_store, revoked)
        finally:
            ERR_clear_error()
        X509_STORE_set_flags(self.c_store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL)


cdef list _load_authorities(X509_STORE *store, bytes pem):
    """Trust these; return their names, each once."""
    cdef X509 *certificate
    cdef int added
    cdef size_t count = 0
    cdef BIO *bio = _memory(pem)
    cdef dict names = {}
    try:
        while True:
            certificate = _next_certificate(bio, count)
            if certificate is NULL:
                break
            try:
                added = X509_STORE_add_cert(store, certificate)
                names[_der_of(X509_get_subject_name(certificate))] = True
            finally:
                X509_free(certificate)
            if added != 1:
                raise MemoryError()
            count += 1
    finally:
        BIO_free(bio)
    if not count:
        raise ValueError("no certificate in PEM that can be read")
    return list(names)


cdef int _load_revoked(X509_STORE *store, bytes pem) except -1:
    cdef X509_CRL *revoked
    cdef int added
    cdef size_t count = 0
    cdef BIO *bio = _memory(pem)
    try:
        while True:
            ERR_clear_error()
            revoked = PEM_read_bio_X509_CRL(bio, NULL, _cb_password, <void *>b"")
            if revoked is NULL:
                break
            added = X509_STORE_add_crl(store, revoked)
            X509_CRL_free(revoked)
            if added != 1:
                raise MemoryError()
            count += 1
        if not count or ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE:
            raise ValueError("no list of revoked certificates in PEM that can be read")
    finally:
        BIO_free(bio)
    return 0


cdef tuple client_of(X509 *certificate, X509s *chain):
    """The chain in PEM, the client's own first; its subject and issuer (RFC 4514)."""
    cdef int i
    pems = [_pem_of(certificate)]
    for i in range(sk_X509_num(chain)):
        pems.append(_pem_of(sk_X509_value(chain, i)))
    return tuple(pems), _name_of(X509_get_subject_name(certificate)), _name_of(X509_get_issuer_name(certificate))


cdef str _pem_of(X509 *certificate):
    cdef unsigned char *der = NULL
    cdef int size = i2d_X509(certificate, &der)
    if size <= 0:
        raise MemoryError()
    try:
        return _pem(<const char *>der, <size_t>size)
    finally:
        OPENSSL_free(der)


cdef bytes _der_of(X509_NAME *name):
    cdef unsigned char *der = NULL
    cdef int size = i2d_X509_NAME(name, &der)
    if size <= 0:
        raise MemoryError()
    try:
        return (<const char *>der)[:size]
    finally:
        OPENSSL_free(der)


cdef str _name_of(X509_NAME *name):
    cdef char *text = NULL
    cdef long size
    cdef BIO *bio = BIO_new(BIO_s_mem())
    if bio is NULL:
        raise MemoryError()
    try:
        if X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~<unsigned long>ASN1_STRFLGS_ESC_MSB) < 0:
            raise MemoryError()
        size = BIO_get_mem_data(bio, &text)
        return text[:size].decode("utf-8", "replace")
    finally:
        BIO_free(bio)
