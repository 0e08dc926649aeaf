# Session tickets of TLS 1.2 (RFC 5077, 4), sealed with the keys of `tls`: the name of a key, an initial vector, libssl's description of the
# session under AES-256-CBC, and HMAC-SHA256 of all that. Either key is HMAC-SHA256 of the shared secret and a label, which no salt of a ticket
# of TLS 1.3 is as long as: the two kinds have no key in common.

cdef int _cb_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals) noexcept:
    return _use_ticket_key((<Tls12Layer>SSL_get_ex_data(ssl, 0)).context.tickets, name, iv, cipher, mac, seals)


cdef int _cb_session(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_size, int status, void *arg) noexcept:
    """Whether a session is resumed. The time that it would last is in the ticket: it is what was set when that was made."""
    cdef long lifetime = (<Tls12Layer>SSL_get_ex_data(ssl, 0)).context.tickets.lifetime
    if status != SSL_TICKET_SUCCESS and status != SSL_TICKET_SUCCESS_RENEW or time(NULL) - SSL_SESSION_get_time(session) >= lifetime:
        return SSL_TICKET_RETURN_IGNORE_RENEW
    return SSL_TICKET_RETURN_USE if status == SSL_TICKET_SUCCESS else SSL_TICKET_RETURN_USE_RENEW


cdef int _use_ticket_key(Tickets tickets, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bint seals) noexcept:
    """1: the keys are set; 2: likewise, and the ticket is to be replaced; 0: it is none of ours; -1: that failed."""
    cdef uint8_t secret[DIGEST_SIZE]
    cdef const uint8_t *key = tickets.c_keys
    cdef bint done
    if seals:
        memcpy(name, key, TICKET_NAME_SIZE)
        if RAND_bytes(iv, IV_SIZE) != 1:
            return -1
    else:
        key = tickets.find(name)
        if key is NULL:
            return 0
    done = _derive(key, b"granite TLS 1.2 ticket cipher", secret)
    if seals:
        done = done and EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, secret, iv) == 1
    else:
        done = done and EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, secret, iv) == 1
    done = done and _derive(key, b"granite TLS 1.2 ticket digest", secret) and _set_mac_key(mac, secret)
    OPENSSL_cleanse(secret, sizeof(secret))
    if not done:
        return -1
    return 1 if key == tickets.c_keys else 2


cdef bint _derive(const uint8_t *key, bytes label, uint8_t *secret) noexcept:
    return HMAC(EVP_sha256(), key + TICKET_NAME_SIZE, TICKET_KEY_SIZE - TICKET_NAME_SIZE, label, len(label), secret, NULL) is not NULL


cdef bint _set_mac_key(EVP_MAC_CTX *mac, uint8_t *secret) noexcept:
    cdef OSSL_PARAM params[3]
    params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, DIGEST_SIZE)
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, b"SHA256", 0)
    params[2] = OSSL_PARAM_construct_end()
    return EVP_MAC_CTX_set_params(mac, params) == 1
