# Signatures of handshakes, prepared once: what EVP_DigestSignInit() looks up takes an eighth of an ECDSA signature.

cdef int _cb_sign(
    ptls_sign_certificate_t *callback, ptls_t *tls, ptls_async_job_t **job, uint16_t *scheme, ptls_buffer_t *out, ptls_iovec_t data,
    const uint16_t *algorithms, size_t count
) noexcept:
    cdef Signer *signer = <Signer *>callback
    cdef size_t size = signer.size
    cdef EVP_MD_CTX *context
    cdef bint done
    scheme[0] = signer.openssl.schemes.scheme_id
    if not _among(scheme[0], algorithms, count):
        return PTLS_ALERT_HANDSHAKE_FAILURE
    context = EVP_MD_CTX_new()
    if context is NULL or ptls_buffer_reserve(out, size) != 0:
        EVP_MD_CTX_free(context)
        return PTLS_ERROR_NO_MEMORY
    done = EVP_MD_CTX_copy_ex(context, signer.prepared) == 1
    done = done and EVP_DigestSign(context, out.base + out.off, &size, data.base, data.len) == 1
    EVP_MD_CTX_free(context)
    if not done:
        return PTLS_ERROR_LIBRARY
    out.off += size
    return 0


cdef bint _among(uint16_t scheme, const uint16_t *algorithms, size_t count) noexcept:
    cdef size_t i
    for i in range(count):
        if algorithms[i] == scheme:
            return True
    return False


cdef int _init_signer(Signer *signer, EVP_PKEY *key) except -1:
    """Have handshakes signed by the key; takes a reference. What has been begun is for _dispose_signer()."""
    cdef const ptls_openssl_signature_scheme_t *scheme
    if ptls_openssl_init_sign_certificate(&signer.openssl, key) != 0:
        raise ValueError("the key is of a kind that TLS 1.3 does not know")
    scheme = signer.openssl.schemes
    if scheme[1].scheme_id != UINT16_MAX:
        return 0
    signer.size = EVP_PKEY_get_size(key)
    signer.prepared = EVP_MD_CTX_new()
    if signer.prepared is NULL or EVP_DigestSignInit(signer.prepared, NULL, scheme.scheme_md() if scheme.scheme_md else NULL, NULL, key) != 1:
        raise MemoryError()
    signer.openssl.super.cb = _cb_sign
    return 0


cdef int _dispose_signer(Signer *signer) noexcept:
    EVP_MD_CTX_free(signer.prepared)
    if signer.openssl.schemes is not NULL:
        ptls_openssl_dispose_sign_certificate(&signer.openssl)
    return 0
