# One connection's TLS 1.2, and what libssl reads and writes through.

cdef int _cb_read(BIO *bio, char *data, int size) noexcept:
    cdef Tls12Layer layer = <Tls12Layer>BIO_get_data(bio)
    BIO_clear_retry_flags(bio)
    if layer.input_size == 0:
        BIO_set_retry_read(bio)
        return -1
    size = <int>min(<size_t>size, layer.input_size)
    memcpy(data, layer.c_input, size)
    layer.c_input += size
    layer.input_size -= size
    return size


cdef int _cb_write(BIO *bio, const char *data, int size) noexcept:
    cdef Tls12Layer layer = <Tls12Layer>BIO_get_data(bio)
    BIO_clear_retry_flags(bio)
    try:
        out_copy(layer.pool, &layer.wire, data, size)
        return size
    except Exception:
        layer.memory_failed = True
        return -1


cdef long _cb_ctrl(BIO *bio, int command, long value, void *pointer) noexcept:
    return command == BIO_CTRL_FLUSH


cdef BIO_METHOD *_wire_method() except NULL:
    cdef BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "granite wire")
    if method is NULL:
        raise MemoryError()
    BIO_meth_set_read(method, _cb_read)
    BIO_meth_set_write(method, _cb_write)
    BIO_meth_set_ctrl(method, _cb_ctrl)
    return method


cdef BIO_METHOD *_wire = _wire_method()     # which never changes


@cython.final
@cython.no_gc
cdef class Tls12Layer(SecureLayer):
    """One connection's TLS 1.2."""

    cdef Tls12 context
    cdef SecureContext owner            # in whose `live` it counts
    cdef Shown shown                    # the certificate, once the ClientHello has been read
    cdef bytes name                     # that the client wants, or nothing
    cdef bytes protocol                 # what is spoken, nothing if the client has not named any
    cdef tuple client                   # what is known of the client by its certificate
    cdef SSL *c_ssl
    cdef OutPool pool                   # during a call
    cdef const char *c_input            # likewise: what libssl has not read yet
    cdef size_t input_size
    cdef char *c_plain
    cdef size_t plain_room
    cdef bint ended                     # nothing is read any more
    cdef bint memory_failed
    cdef bint by_client                 # the alert came
    cdef int refusals                   # of another handshake
    cdef RecordSizes sizes

    def __cinit__(self):
        self.alert = -1

    def __dealloc__(self):
        self.release()
        SSL_free(self.c_ssl)
        if self.owner is not None:
            self.owner.live -= 1

    cdef tuple describe(self):
        return (self.shown.certificate.pem, SSL_version(self.c_ssl), SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(self.c_ssl)),
                self.client)

    cdef int choose(self) except -1:
        """Show the certificate for what the client wants and can verify."""
        cdef Offer offer
        cdef Shown shown
        cdef list found = self.context.certificates.named(self.name, len(self.name))
        _read_offer(self.c_ssl, &offer)
        self.shown = self.context.shown[found[0]]
        for certificate in found:
            shown = self.context.shown[certificate]
            if shown.suits(&offer):
                self.shown = shown
                break
        if SSL_set_SSL_CTX(self.c_ssl, self.shown.c_context) is NULL:
            raise MemoryError()
        return 0

    cdef void _on_alert(self, bint by_client, int level, int alert) noexcept:
        if level == SSL3_AL_FATAL:
            self.alert = alert
            self.by_client = by_client
        elif alert == SSL_AD_NO_RENEGOTIATION and not by_client:
            self.refusals += 1

    cdef Unwrapped unwrap(self, OutPool pool, const char *data, size_t size) except UNWRAP_ERROR:
        cdef int code
        if self.ended:
            return UNWRAP_OK
        self.pool, self.c_input, self.input_size = pool, data, size
        ERR_clear_error()               # SSL_get_error() would take what others have left for a failure of this call
        try:
            code = 1 if self.established else self._shake_hands()
            if self.established:
                code = self._read(size)
            code = SSL_get_error(self.c_ssl, code)
            if self.memory_failed:
                raise MemoryError()
            self.plain = self.c_plain
            if code == SSL_ERROR_WANT_READ and self.refusals <= MOST_REFUSALS:
                return UNWRAP_OK
            self.ended = True
            if code == SSL_ERROR_ZERO_RETURN:
                return UNWRAP_ENDED
            self.closed = True
            self._note_reason()
            return UNWRAP_FAILED
        finally:
            ERR_clear_error()
            self.pool, self.input_size = None, 0

    cdef int _shake_hands(self) except? -1:
        cdef X509 *certificate
        cdef int code = SSL_do_handshake(self.c_ssl)
        if code != 1:
            return code
        if SSL_version(self.c_ssl) != TLS1_2_VERSION:
            raise RuntimeError("libssl has agreed on a version that the client did not offer")
        if self.context.clients is not None:
            certificate = SSL_get1_peer_certificate(self.c_ssl)
            if certificate is not NULL:
                try:
                    self.client = client_of(certificate, SSL_get_peer_cert_chain(self.c_ssl))
                finally:
                    X509_free(certificate)
        self.established = self.complete = True
        return code

    cdef int _read(self, size_t size) except? -1:
        """Read plain bytes until libssl gives no more; what it says then."""
        cdef size_t done = 0
        cdef int code
        cdef char *grown
        while True:
            if self.plain_size == self.plain_room:
                # What came is larger than what is in it, but for the beginning of a record that libssl keeps.
                size = size if self.plain_room == 0 and size else self.plain_room + MORE_PLAIN
                grown = <char *>OPENSSL_clear_realloc(self.c_plain, self.plain_room, size)
                if grown is NULL:
                    raise MemoryError()
                self.c_plain, self.plain_room = grown, size
            code = SSL_read_ex(self.c_ssl, self.c_plain + self.plain_size, self.plain_room - self.plain_size, &done)
            if code != 1:
                return code
            self.plain_size += done

    cdef int _note_reason(self) except -1:
        cdef long doubt = SSL_get_verify_result(self.c_ssl)
        if self.refusals > MOST_REFUSALS:
            self.reason = "the client asked for another handshake time and again"
            return 0
        self.reason = told(self.alert, self.by_client) if self.alert >= 0 else "an error of libssl"
        if not self.by_client:
            self.reason += ": " + (_reason() if doubt == X509_V_OK else X509_verify_cert_error_string(doubt).decode())
        return 0

    cdef int release(self) noexcept:
        OPENSSL_clear_free(self.c_plain, self.plain_room)
        self.plain = self.c_plain = NULL
        self.plain_size = self.plain_room = 0
        return 0

    cdef int wrap(self, OutPool pool, const void *data, size_t size) except -1:
        cdef size_t piece
        cdef size_t done = 0
        cdef int code = 1
        out_reserve(pool, &self.wire, records_room(&self.sizes, size))      # so that the records are next to each other
        self.pool = pool
        try:
            while size and code == 1:
                piece = record_piece(&self.sizes, size)
                code = SSL_write_ex(self.c_ssl, data, piece, &done)
                data = <const char *>data + piece
                size -= piece
            if self.memory_failed:
                raise MemoryError()
            if code != 1:
                raise OSError(f"TLS: {_reason()}")
        finally:
            ERR_clear_error()
            self.pool = None
        return 0

    cdef int close(self, OutPool pool) except -1:
        if self.closed:
            return 0
        self.closed = True
        if not self.established:
            return 0
        self.pool = pool
        SSL_shutdown(self.c_ssl)
        self.pool = None
        ERR_clear_error()
        if self.memory_failed:
            raise MemoryError()
        return 0
