# What connections have in common: one context of libssl for each certificate.

cdef int _cb_client_hello(SSL *ssl, int *alert, void *arg) noexcept:
    try:
        (<Tls12Layer>SSL_get_ex_data(ssl, 0)).choose()
        return SSL_CLIENT_HELLO_SUCCESS
    except Exception:
        alert[0] = SSL_AD_INTERNAL_ERROR
        return SSL_CLIENT_HELLO_ERROR


cdef int _cb_protocol(
    SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *offered, unsigned int size, void *arg
) noexcept:
    protocol = (<Tls12Layer>SSL_get_ex_data(ssl, 0)).protocol
    if not protocol:
        return SSL_TLSEXT_ERR_NOACK
    out[0], out_size[0] = protocol, <unsigned char>len(protocol)
    return SSL_TLSEXT_ERR_OK


cdef void _cb_info(const SSL *ssl, int where, int value) noexcept:
    if where & SSL_CB_ALERT:
        (<Tls12Layer>SSL_get_ex_data(ssl, 0))._on_alert(where & SSL_CB_READ, value >> 8, value & 0xFF)


@cython.final
cdef class Tls12(OlderVersions):
    """TLS 1.2, for a TlsContext: it shows what this one shows, and asks clients for what this one asks for."""

    cdef Certificates certificates
    cdef dict shown                     # Certificate → Shown
    cdef ClientCheck clients
    cdef Tickets tickets

    cdef int renew(self, Certificates certificates, ClientCheck clients, Tickets tickets) except -1:
        cdef Certificate certificate
        cdef dict shown = {}
        ERR_clear_error()
        try:
            for certificate in certificates.all:
                shown[certificate] = _show(certificate, clients, tickets)
        finally:
            ERR_clear_error()
        self.certificates, self.shown, self.clients, self.tickets = certificates, shown, clients, tickets
        return 0

    cdef SecureLayer layer(self, SecureContext owner, bytes name, bytes protocol):
        cdef Shown first = self.shown[self.certificates.all[0]]
        cdef Tls12Layer layer = Tls12Layer.__new__(Tls12Layer)
        cdef BIO *bio
        layer.context, layer.name, layer.protocol = self, name, protocol
        layer.c_ssl = SSL_new(first.c_context)
        bio = BIO_new(_wire)
        if layer.c_ssl is NULL or bio is NULL or SSL_set_ex_data(layer.c_ssl, 0, <void *>layer) != 1:
            BIO_free(bio)
            ERR_clear_error()
            raise MemoryError()
        BIO_set_data(bio, <void *>layer)
        BIO_set_init(bio, 1)
        SSL_set_bio(layer.c_ssl, bio, bio)
        SSL_set_accept_state(layer.c_ssl)
        layer.owner = owner
        owner.live += 1
        return layer


cdef Shown _show(Certificate certificate, ClientCheck clients, Tickets tickets):
    cdef Shown shown = Shown(certificate)
    cdef SSL_CTX *context = shown.c_context
    cdef bint resumes = clients is None and tickets is not None     # as in `tls`
    # What may be used is said here, whatever the system's configuration of OpenSSL says; keys and chains are judged as for TLS 1.3.
    SSL_CTX_set_security_level(context, 0)
    if SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 or SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 \
            or SSL_CTX_set_cipher_list(context, _CIPHERS) != 1 or SSL_CTX_set1_groups_list(context, _GROUPS) != 1 \
            or SSL_CTX_set1_sigalgs_list(context, _SIGNATURES) != 1:
        raise ValueError(f"libssl has not what TLS 1.2 needs: {_reason()}")
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA)
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN)
    SSL_CTX_set_max_cert_list(context, MOST_HANDSHAKE)
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF)
    if resumes:
        SSL_CTX_set_timeout(context, tickets.lifetime)
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, _cb_ticket)
        if SSL_CTX_set_session_ticket_cb(context, NULL, _cb_session, NULL) != 1:
            raise MemoryError()
    else:
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET)
    if clients is not None:
        SSL_CTX_set1_verify_cert_store(context, clients.c_store)
        if clients.c_names is not NULL:
            _tell_names(context, clients.names)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (SSL_VERIFY_FAIL_IF_NO_PEER_CERT if clients.required else 0), NULL)
    SSL_CTX_set_client_hello_cb(context, _cb_client_hello, NULL)
    SSL_CTX_set_alpn_select_cb(context, _cb_protocol, NULL)
    SSL_CTX_set_info_callback(context, _cb_info)
    shown.use()
    return shown


cdef int _tell_names(SSL_CTX *context, list names) except -1:
    """Have clients told the names of the authorities (RFC 5246, 7.4.4)."""
    cdef X509_NAMEs *told = sk_X509_NAME_new_null()
    cdef X509_NAME *name
    cdef const unsigned char *der
    cdef bytes one
    SSL_CTX_set0_CA_list(context, told)
    for one in names:
        der = one
        name = d2i_X509_NAME(NULL, &der, len(one))
        if name is NULL or sk_X509_NAME_push(told, name) == 0:
            raise MemoryError()
    return 0
