# A certificate with its key, and the choice among several.

cdef int _cb_password(char *buf, int size, int rwflag, void *userdata) noexcept:
    # Without a password it must not come to OpenSSL's own way of asking: on the terminal.
    password = <bytes>userdata
    if len(password) > size:
        return -1
    memcpy(buf, <char *>password, len(password))
    return <int>len(password)


@cython.final
cdef class Certificate:
    """A certificate chain with its key.

    Parameters:
        chain: the certificates in PEM, the server's own first.
        key: its private key in PEM.
        password: of the key; None: it is not encrypted.

    Raises:
        ValueError: certificate or key can't be used; the message says why.
    """

    def __cinit__(self, bytes chain, bytes key, str password=None):
        self._load(chain, key, b"" if password is None else password.encode())
        self.pem = _pem(<const char *>self.c_chain[0].base, self.c_chain[0].len)

    def __dealloc__(self):
        cdef size_t i
        for i in range(self.length):
            OPENSSL_free(self.c_chain[i].base)
        _dispose_signer(&self.c_signer)

    cdef int join(self, ptls_context_t *common, ClientCheck clients) noexcept:
        self.c_context = common[0]
        self.clients = clients
        self.c_context.certificates.list = self.c_chain
        self.c_context.certificates.count = self.length
        self.c_context.sign_certificate = &self.c_signer.openssl.super
        _bind_tickets(&self.c_context)
        return 0

    cdef EVP_PKEY *key(self) noexcept:
        """Borrowed."""
        return self.c_signer.openssl.key

    cdef bint suits(self, const uint16_t *algorithms, size_t count) noexcept:
        """Whether its key signs by one of the algorithms."""
        cdef const ptls_openssl_signature_scheme_t *scheme = self.c_signer.openssl.schemes
        while scheme.scheme_id != UINT16_MAX:
            if _among(scheme.scheme_id, algorithms, count):
                return True
            scheme += 1
        return False

    cdef int _load(self, bytes chain, bytes key, bytes password) except -1:
        cdef X509 *leaf = NULL
        cdef EVP_PKEY *c_key = NULL
        cdef BIO *bio
        try:
            bio = _memory(key)
            c_key = PEM_read_bio_PrivateKey(bio, NULL, _cb_password, <void *>password)
            BIO_free(bio)
            if c_key is NULL:
                raise ValueError("no private key in PEM that can be read" + (" with this password" if password else ""))
            bio = _memory(chain)
            try:
                leaf = self._load_chain(bio)
            finally:
                BIO_free(bio)
            if X509_check_private_key(leaf, c_key) != 1:
                raise ValueError("the key does not belong to the certificate")
            if X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0:
                raise ValueError("the certificate has expired")
            self.early = X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0
            self.names = _names(leaf)
            _init_signer(&self.c_signer, c_key)
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
        try:
            while True:
                certificate = _next_certificate(bio, self.length)
                if certificate is NULL:
                    if leaf is NULL:
                        raise ValueError("no certificate in PEM that can be read")
                    return leaf
                if leaf is NULL:
                    leaf = certificate
                der = NULL
                size = i2d_X509(certificate, &der) if self.length < MOST_CERTIFICATES else 0
                if certificate is not leaf:
                    X509_free(certificate)
                if self.length == MOST_CERTIFICATES:
                    raise ValueError(f"the chain has more than {MOST_CERTIFICATES} certificates")
                if size <= 0:
                    raise MemoryError()
                self.c_chain[self.length].base = der
                self.c_chain[self.length].len = <size_t>size
                self.length += 1
        except BaseException:
            X509_free(leaf)
            raise


@cython.final
cdef class Certificates:
    """Several certificates, and the choice among them: by the name that a client asks for, then by what it can verify."""

    def __cinit__(self, list certificates):
        cdef Certificate certificate
        if not certificates:
            raise ValueError("no certificate")
        self.all = certificates
        self.by_name = {}
        for certificate in certificates:
            for name in certificate.names:
                self.by_name.setdefault(name, []).append(certificate)

    cdef list named(self, const char *name, size_t size):
        """Those for this name, or else all: of these, the first that suits the client."""
        if len(self.all) == 1 or not size:
            return self.all
        wanted = name[:size].lower().rstrip(b".")
        # RFC 9525, 6.3: a wildcard is the left-most label and stands for one.
        parent = wanted.partition(b".")[2]
        return self.by_name.get(wanted, []) + (self.by_name.get(b"*." + parent, []) if parent else []) or self.all

    cdef Certificate choose(self, ptls_iovec_t name, const uint16_t *algorithms, size_t count):
        cdef Certificate certificate
        cdef list found = self.named(<const char *>name.base, name.len)
        for certificate in found:
            if certificate.suits(algorithms, count):
                return certificate
        return found[0]


cdef BIO *_memory(bytes data) except NULL:
    cdef BIO *bio = BIO_new_mem_buf(<char *>data, <int>len(data))
    if bio is NULL:
        raise MemoryError()
    return bio


cdef X509 *_next_certificate(BIO *bio, size_t count) except? NULL:
    """The next certificate, which the caller frees; NULL at the end. `count` were before it."""
    ERR_clear_error()
    cdef X509 *certificate = PEM_read_bio_X509(bio, NULL, _cb_password, <void *>b"")
    if certificate is NULL and ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE:
        raise ValueError(f"certificate {count + 1} can't be read" if count else "no certificate in PEM that can be read")
    return certificate


cdef tuple _names(X509 *certificate):
    """What it stands for by its subjectAltName; RFC 9525, 2: its common name says nothing of it."""
    cdef GENERAL_NAMES *names = <GENERAL_NAMES *>X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL)
    cdef ASN1_STRING *value
    cdef bytes text
    cdef int i, kind
    found = []
    if names is NULL:
        return ()
    try:
        for i in range(sk_GENERAL_NAME_num(names)):
            value = <ASN1_STRING *>GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind)
            if kind != GEN_DNS and kind != GEN_IPADD:
                continue
            text = (<const char *>ASN1_STRING_get0_data(value))[:ASN1_STRING_length(value)]
            if kind == GEN_DNS:
                found.append(text.lower().rstrip(b"."))
            elif len(text) in (4, 16):
                found.append(inet_ntop(AF_INET if len(text) == 4 else AF_INET6, text).encode())
    finally:
        GENERAL_NAMES_free(names)
    return tuple(found)


cdef str _pem(const char *der, size_t size):
    """A certificate as text (RFC 7468): 48 bytes are a line of 64 letters."""
    lines = [b2a_base64(der[at:min(at + 48, size)]).decode() for at in range(0, size, 48)]
    return "-----BEGIN CERTIFICATE-----\n" + "".join(lines) + "-----END CERTIFICATE-----\n"
