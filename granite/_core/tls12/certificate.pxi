# A certificate as libssl shows it, and which clients it suits.

cdef extern from *:
    """
    /* Signature schemes by kind of key (IANA); 0 ends them. In TLS 1.2 those of ECDSA say nothing of the curve (RFC 8446, 4.2.3). */
    static const unsigned short granite_rsa_schemes[] = {0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806, 0};
    static const unsigned short granite_ecdsa_schemes[] = {0x0403, 0x0503, 0x0603, 0};
    static const unsigned short granite_ed25519_schemes[] = {0x0807, 0};
    """
    const uint16_t *granite_rsa_schemes
    const uint16_t *granite_ecdsa_schemes
    const uint16_t *granite_ed25519_schemes

cdef struct Numbers:                    # of two bytes each, as messages have them
    const uint8_t *base
    size_t size

cdef struct Offer:                      # what of a ClientHello it depends on which certificate is shown
    Numbers suites
    Numbers schemes
    Numbers groups                      # none: the client leaves it to the server (RFC 8422, 4)


@cython.final
cdef class Shown:
    """A certificate as libssl shows it."""

    cdef Certificate certificate
    cdef SSL_CTX *c_context
    cdef const uint16_t *schemes        # by which its key signs
    cdef uint16_t curve                 # the number of its key's; 0: it has none that is named by one

    def __cinit__(self, Certificate certificate not None):
        cdef EVP_PKEY *key = certificate.key()
        cdef int kind = EVP_PKEY_get_base_id(key)
        self.certificate = certificate
        self.schemes = granite_rsa_schemes
        if kind == EVP_PKEY_EC:
            self.schemes = granite_ecdsa_schemes
            self.curve = _curve_of(key)
        elif kind == EVP_PKEY_ED25519:
            self.schemes = granite_ed25519_schemes
        self.c_context = SSL_CTX_new(TLS_server_method())
        if self.c_context is NULL:
            raise MemoryError()

    def __dealloc__(self):
        SSL_CTX_free(self.c_context)    # of which connections have references of their own

    cdef bint suits(self, const Offer *offer) noexcept:
        """Whether the client can verify what the key signs, with a cipher suite for such keys, on a curve that it has."""
        cdef const uint16_t *scheme = self.schemes
        if self.schemes == granite_rsa_schemes:
            if not (_has(&offer.suites, 0xC030) or _has(&offer.suites, 0xC02F) or _has(&offer.suites, 0xCCA8)):
                return False
        elif not (_has(&offer.suites, 0xC02C) or _has(&offer.suites, 0xC02B) or _has(&offer.suites, 0xCCA9)):
            return False
        if self.curve and offer.groups.size and not _has(&offer.groups, self.curve):
            return False
        while scheme[0]:
            if _has(&offer.schemes, scheme[0]):
                return True
            scheme += 1
        return False

    cdef int use(self) except -1:
        """Have the context show the chain, signed for with the key; and no session resumed that was begun with another certificate."""
        cdef X509 *certificate
        cdef uint8_t digest[DIGEST_SIZE]
        cdef const unsigned char *der
        cdef size_t i
        cdef bint done = True
        for i in range(self.certificate.length):
            der = self.certificate.c_chain[i].base
            certificate = d2i_X509(NULL, &der, <long>self.certificate.c_chain[i].len)
            if certificate is NULL:
                raise MemoryError()
            if i == 0:
                done = SSL_CTX_use_certificate(self.c_context, certificate) == 1 \
                    and X509_digest(certificate, EVP_sha256(), digest, NULL) == 1 \
                    and SSL_CTX_set_session_id_context(self.c_context, digest, DIGEST_SIZE) == 1
            else:
                done = SSL_CTX_add1_chain_cert(self.c_context, certificate) == 1
            X509_free(certificate)
            if not done:
                break
        if not done or SSL_CTX_use_PrivateKey(self.c_context, self.certificate.key()) != 1:
            raise ValueError(f"libssl does not take a certificate: {_reason()}")
        return 0


cdef int _read_offer(SSL *ssl, Offer *offer) noexcept:
    offer.suites.size = SSL_client_hello_get0_ciphers(ssl, &offer.suites.base)
    _read_list(ssl, TLSEXT_TYPE_signature_algorithms, &offer.schemes)
    _read_list(ssl, TLSEXT_TYPE_supported_groups, &offer.groups)
    return 0


cdef int _read_list(SSL *ssl, unsigned int extension, Numbers *numbers) noexcept:
    numbers.size = 0
    if SSL_client_hello_get0_ext(ssl, extension, &numbers.base, &numbers.size) != 1 or numbers.size < 2:
        numbers.size = 0
        return 0
    numbers.base += 2                   # its size, which libssl looks at
    numbers.size -= 2
    return 0


cdef bint _has(const Numbers *numbers, uint16_t number) noexcept:
    cdef size_t i
    for i in range(0, numbers.size & ~<size_t>1, 2):
        if numbers.base[i] == number >> 8 and numbers.base[i + 1] == (number & 0xFF):
            return True
    return False


cdef uint16_t _curve_of(EVP_PKEY *key) noexcept:
    cdef char name[32]
    if EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) != 1:
        return 0
    if strcmp(name, "prime256v1") == 0:
        return 23
    return 24 if strcmp(name, "secp384r1") == 0 else 25 if strcmp(name, "secp521r1") == 0 else 0


cdef str _reason():
    """What OpenSSL has complained of first."""
    cdef const char *reason = ERR_reason_error_string(ERR_peek_error())
    return "unknown" if reason is NULL else reason.decode("ascii", "replace")
