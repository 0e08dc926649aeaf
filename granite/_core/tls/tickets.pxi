# Session tickets (RFC 8446, 4.6.1): what a session needs to be resumed, sealed for whoever shares the keys.
#
# A ticket is the name of a key (16 bytes), a salt (16), and picotls' description of the session under AES-256-GCM. Each ticket has an AEAD
# key of its own, HMAC-SHA256(key, salt), so that no number of tickets repeats a nonce. picotls checks what is inside: its age, the cipher
# suite, and the context that it was made in, which is the certificate.

ctypedef struct TicketCallback:
    ptls_encrypt_ticket_t super         # first, so that picotls' pointer is this one's
    void *tickets


cdef int _cb_ticket(ptls_encrypt_ticket_t *callback, ptls_t *tls, int is_encrypt, ptls_buffer_t *dst, ptls_iovec_t src) noexcept:
    tickets = <Tickets>(<TicketCallback *>callback).tickets
    return tickets._seal(dst, src) if is_encrypt else tickets._open(dst, src)


@cython.final
cdef class Tickets:
    """Keys of session tickets: those who share them resume each other's sessions.

    Parameters:
        keys: 48 bytes for each of the current, the previous and the next key; tickets are made with the first, and all are taken.
        lifetime: seconds for which a ticket is taken.
    """

    def __init__(self, bytes keys not None, int lifetime):
        self.lifetime = lifetime
        self.use_keys(keys)

    def __dealloc__(self):
        ptls_clear_memory(self.c_keys, sizeof(self.c_keys))

    def use_keys(self, bytes keys not None):
        """Take other keys in place of the present ones."""
        if len(keys) != sizeof(self.c_keys):
            raise ValueError(f"expected {sizeof(self.c_keys)} bytes of keys, got {len(keys)}")
        memcpy(self.c_keys, <char *>keys, sizeof(self.c_keys))

    cdef const uint8_t *find(self, const uint8_t *name) noexcept:
        """The key of this name; NULL if it is none of these."""
        cdef int i
        for i in range(TICKET_KEYS):
            if memcmp(name, self.c_keys + i * TICKET_KEY_SIZE, TICKET_NAME_SIZE) == 0:  # names are public
                return self.c_keys + i * TICKET_KEY_SIZE
        return NULL

    cdef ptls_aead_context_t *_aead(self, const uint8_t *key, const uint8_t *salt, bint is_encrypt) noexcept:
        """The cipher of one ticket; NULL if there is no memory."""
        cdef uint8_t secret[32]
        cdef ptls_iovec_t own
        cdef ptls_iovec_t input
        cdef ptls_aead_context_t *aead = NULL
        own.base, own.len = <uint8_t *>key + TICKET_NAME_SIZE, TICKET_KEY_SIZE - TICKET_NAME_SIZE
        input.base, input.len = <uint8_t *>salt, TICKET_SALT_SIZE
        if ptls_hkdf_extract(&ptls_openssl_sha256, secret, own, input) == 0:
            aead = ptls_aead_new(&ptls_openssl_aes256gcm, &ptls_openssl_sha256, is_encrypt, secret, "granite ticket ")
        ptls_clear_memory(secret, sizeof(secret))
        return aead

    cdef int _seal(self, ptls_buffer_t *dst, ptls_iovec_t session) noexcept:
        cdef uint8_t *ticket
        cdef ptls_aead_context_t *aead
        cdef size_t size = TICKET_HEAD_SIZE + session.len + TICKET_TAG_SIZE
        if ptls_buffer_reserve(dst, size) != 0:
            return PTLS_ERROR_NO_MEMORY
        ticket = dst.base + dst.off
        memcpy(ticket, self.c_keys, TICKET_NAME_SIZE)
        ptls_openssl_random_bytes(ticket + TICKET_NAME_SIZE, TICKET_SALT_SIZE)
        aead = self._aead(self.c_keys, ticket + TICKET_NAME_SIZE, True)
        if aead is NULL:
            return PTLS_ERROR_NO_MEMORY
        ptls_aead_encrypt(aead, ticket + TICKET_HEAD_SIZE, session.base, session.len, 0, ticket, TICKET_HEAD_SIZE)
        ptls_aead_free(aead)
        dst.off += size
        return 0

    cdef int _open(self, ptls_buffer_t *dst, ptls_iovec_t ticket) noexcept:
        """What is refused here costs the client a full handshake, nothing else."""
        cdef ptls_aead_context_t *aead
        cdef const uint8_t *key
        cdef size_t size
        if ticket.len < TICKET_HEAD_SIZE + TICKET_TAG_SIZE:
            return PTLS_ALERT_DECRYPT_ERROR
        key = self.find(ticket.base)
        if key is NULL:
            return PTLS_ALERT_DECRYPT_ERROR
        if ptls_buffer_reserve(dst, ticket.len) != 0:
            return PTLS_ERROR_NO_MEMORY
        aead = self._aead(key, ticket.base + TICKET_NAME_SIZE, False)
        if aead is NULL:
            return PTLS_ERROR_NO_MEMORY
        size = ptls_aead_decrypt(aead, dst.base + dst.off, ticket.base + TICKET_HEAD_SIZE, ticket.len - TICKET_HEAD_SIZE, 0,
                                 ticket.base, TICKET_HEAD_SIZE)
        ptls_aead_free(aead)
        if size == SIZE_MAX:
            return PTLS_ALERT_DECRYPT_ERROR
        dst.off += size
        return 0


cdef int _use_tickets(ptls_context_t *context, TicketCallback *callback, Tickets tickets) noexcept:
    """Have sessions of a context resumed, each with a key exchange of its own, and without early data."""
    callback.super.cb = _cb_ticket
    callback.tickets = <void *>tickets
    context.require_dhe_on_psk = 1
    context.max_early_data_size = 0
    context.encrypt_ticket = &callback.super
    context.ticket_lifetime = tickets.lifetime
    return 0


cdef int _bind_tickets(ptls_context_t *context) noexcept:
    """Have no other certificate's tickets taken in a context: its owner has not proven anything in these sessions.

    Where clients show certificates they do so in every handshake: there are no tickets.
    """
    cdef ptls_iovec_t leaf = context.certificates.list[0]
    if context.encrypt_ticket is NULL:
        return 0
    context.ticket_context.is_set = 1
    if context.require_client_authentication or ptls_calc_hash(&ptls_openssl_sha256, context.ticket_context.bytes, leaf.base, leaf.len):
        context.encrypt_ticket = NULL
        context.ticket_lifetime = 0
    return 0
