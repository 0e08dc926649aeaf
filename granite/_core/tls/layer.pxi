# One connection's TLS.

@cython.final
@cython.no_gc
cdef class TlsLayer(SecureLayer):
    """One connection's TLS."""

    cdef TlsContext context
    cdef Certificate certificate        # the one it shows, once the client has said whom it wants
    cdef tuple client                   # what is known of the client by its certificate
    cdef str doubt                      # why OpenSSL does not trust that one
    cdef ptls_t *c_tls
    cdef ptls_buffer_t c_plain
    cdef bint ended                     # nothing is read any more
    cdef uint8_t c_head[RECORD_HEAD]    # of a record, as much of it as the last read brought
    cdef uint8_t head_size
    cdef uint16_t record_size           # of the record that is being read, without its head
    cdef size_t left                    # bytes of it that are still to come
    cdef RecordSizes sizes
    cdef bytes hello                    # the records with the ClientHello that the successor is given

    def __cinit__(self):
        ptls_buffer_init(&self.c_plain, b"", 0)
        self.alert = -1

    def __dealloc__(self):
        ptls_buffer_dispose(&self.c_plain)
        if self.c_tls is not NULL:
            ptls_free(self.c_tls)
            self.context.live -= 1

    cdef tuple describe(self):
        return self.certificate.pem, ptls_get_protocol_version(self.c_tls), ptls_get_cipher(self.c_tls).id, self.client

    cdef int choose(self, ptls_on_client_hello_parameters_t *params, bytes protocol) except? -1:
        cdef int code
        # The name is told whether there is a certificate for it or not.
        self.certificate = self.context.certificates.choose(params.server_name, params.signature_algorithms.list, params.signature_algorithms.count)
        # picotls would look only when it has changed keys, and leave its ServerHello away: no client could open that alert.
        if not params.psk_identities.count and not self.certificate.suits(params.signature_algorithms.list, params.signature_algorithms.count):
            return PTLS_ALERT_HANDSHAKE_FAILURE if params.signature_algorithms.count else PTLS_ALERT_MISSING_EXTENSION
        ptls_set_context(self.c_tls, &self.certificate.c_context)
        self.http2 = protocol == b"h2"
        code = ptls_set_negotiated_protocol(self.c_tls, protocol, len(protocol)) if protocol else 0
        if code == 0 and params.server_name.len:
            code = ptls_set_server_name(self.c_tls, <char *>params.server_name.base, params.server_name.len)
        return code

    cdef int hand_over(self, ptls_on_client_hello_parameters_t *params, bytes protocol) except? -1:
        """Have an older version spoken. What is returned, the refusal that picotls makes of it, is not sent."""
        cdef bytes name = (<char *>params.server_name.base)[:params.server_name.len] if params.server_name.len else b""
        self.hello = _records_of((<char *>params.raw_message.base)[:params.raw_message.len])
        self.successor = self.context.older.layer(self.context, name, protocol)
        self.successor.http2 = protocol == b"h2"
        return 0

    cdef int judge(self, int code, int reason, X509 *certificate, X509s *chain) except? -1:
        """What becomes of the client's certificate, which OpenSSL has looked at."""
        if code == 0:
            self.client = client_of(certificate, chain)
        elif certificate is NULL and not self.certificate.clients.required:
            return 0
        elif reason:
            self.doubt = X509_verify_cert_error_string(reason).decode()
        return code

    cdef Unwrapped unwrap(self, OutPool pool, const char *data, size_t size) except UNWRAP_ERROR:
        cdef ptls_buffer_t answer
        cdef size_t rest = 0
        cdef int code = 0
        ptls_buffer_init(&answer, b"", 0)
        try:
            if not self.ended:
                code = self._read(&answer, data, size, &rest)
            if self.successor is not None:
                return self._succeed(pool, data + (size - rest), rest)
            if code == PTLS_ERROR_NO_MEMORY:
                raise MemoryError()
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
        self.reason = _described(code) + (f": {self.doubt}" if self.doubt is not None else "")
        if PTLS_ERROR_GET_CLASS(code) in (PTLS_ERROR_CLASS_SELF_ALERT, PTLS_ERROR_CLASS_PEER_ALERT):
            self.alert = PTLS_ERROR_TO_ALERT(code)
        return UNWRAP_FAILED

    cdef int _read(self, ptls_buffer_t *answer, const char *data, size_t size, size_t *rest) noexcept:
        """Take in bytes, a record at a time, since what may come depends on those before it. 0, or picotls' code of what went wrong, behind
        which there is the rest.
        """
        cdef size_t piece
        cdef int code = 0
        while size and code == 0:
            if self.left == 0 and (self.head_size or size < RECORD_HEAD):
                piece = min(<size_t>RECORD_HEAD - self.head_size, size)
                memcpy(self.c_head + self.head_size, data, piece)
                self.head_size += <uint8_t>piece
                code = self._judge(answer, self.c_head, self.head_size)
                if code == 0 and self.head_size == RECORD_HEAD:
                    self.head_size, self.left = 0, self.record_size
                    code = self._take(answer, <const char *>self.c_head, RECORD_HEAD)
            else:
                if self.left == 0:
                    code = self._judge(answer, <const uint8_t *>data, RECORD_HEAD)
                    self.left = <size_t>RECORD_HEAD + self.record_size
                piece = min(self.left, size)
                self.left -= piece
                if code == 0:
                    code = self._take(answer, data, piece)
            data += piece
            size -= piece
        rest[0] = size
        return code

    cdef int _judge(self, ptls_buffer_t *answer, const uint8_t *head, size_t size) noexcept:
        """Whether a record may come that begins so: picotls takes alerts in plain text at any time, and is lenient about sizes.

        Before it has shown that it has the keys, a client may not be able to send an alert in any other way.
        """
        cdef size_t epoch = ptls_get_read_epoch(self.c_tls)
        cdef uint8_t kind = head[0]
        cdef int alert = 0
        if not KIND_FIRST <= kind <= KIND_DATA or epoch == EPOCH_DATA and kind != KIND_DATA or epoch == EPOCH_HANDSHAKE and kind == KIND_HANDSHAKE:
            alert = PTLS_ALERT_UNEXPECTED_MESSAGE
        elif size == RECORD_HEAD:
            self.record_size = <uint16_t>(head[3] << 8 | head[4])
            if self.record_size > (SEALED_SIZE if kind == KIND_DATA else RECORD_SIZE):
                alert = ALERT_RECORD_OVERFLOW
        if alert:
            ptls_send_alert(self.c_tls, answer, PTLS_ALERT_LEVEL_FATAL, <uint8_t>alert)
        return alert

    cdef int _take(self, ptls_buffer_t *answer, const char *data, size_t size) noexcept:
        """Hand picotls a record, or a part of one."""
        cdef int code
        if not self.established:
            code = ptls_handshake(self.c_tls, answer, data, &size, NULL)
            self.established = code == 0
        else:
            code = ptls_receive(self.c_tls, &self.c_plain, data, &size)
            if code == PTLS_ALERT_HANDSHAKE_FAILURE and not self.complete:
                code = self._unfinished()
            if code and PTLS_ERROR_GET_CLASS(code) == PTLS_ERROR_CLASS_SELF_ALERT:
                ptls_send_alert(self.c_tls, answer, PTLS_ALERT_LEVEL_FATAL, <uint8_t>PTLS_ERROR_TO_ALERT(code))
        if not self.complete:
            self.complete = ptls_handshake_is_complete(self.c_tls)
        if code == PTLS_ERROR_IN_PROGRESS or code == PTLS_ALERT_TO_PEER_ERROR(ALERT_USER_CANCELED):
            return 0                    # RFC 8446, 6.1: what user_canceled announces is close_notify
        return code

    cdef int _unfinished(self) noexcept:
        """The alert for a Finished that is wrong, by its size, or for what came in its place: picotls has one alert for both."""
        cdef uint16_t digest = 48 if ptls_get_cipher(self.c_tls).id == PTLS_CIPHER_SUITE_AES_256_GCM_SHA384 else 32
        return PTLS_ALERT_DECRYPT_ERROR if self.record_size == digest + FINISHED_BESIDES else PTLS_ALERT_UNEXPECTED_MESSAGE

    cdef Unwrapped _succeed(self, OutPool pool, const char *data, size_t size) except UNWRAP_ERROR:
        """Give the successor the ClientHello, and what has come behind it."""
        cdef SecureLayer successor = self.successor
        cdef Unwrapped outcome
        try:
            outcome = successor.unwrap(pool, self.hello, len(self.hello))
            return successor.unwrap(pool, data, size) if outcome == UNWRAP_OK and size else outcome
        except BaseException:
            pool.clear(&successor.wire)     # nobody will ever ask for it
            raise

    cdef int release(self) noexcept:
        ptls_buffer_dispose(&self.c_plain)
        ptls_buffer_init(&self.c_plain, b"", 0)
        self.plain = NULL
        self.plain_size = 0
        return 0

    cdef int wrap(self, OutPool pool, const void *data, size_t size) except -1:
        cdef ptls_buffer_t records
        cdef int code = 0
        cdef size_t piece
        cdef size_t room
        cdef char *place
        room = records_room(&self.sizes, size)
        place = out_reserve(pool, &self.wire, room)
        ptls_buffer_init(&records, place, room)
        # fusion writes whole cache lines, the first one with the bytes that are there: an OutBuf's own, here as in memory that is aligned.
        records.align_bits = 6
        while size and code == 0:
            piece = record_piece(&self.sizes, size)
            code = ptls_send(self.c_tls, &records, data, piece)
            data = <const char *>data + piece
            size -= piece
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


cdef bytes _records_of(bytes message):
    """A message of the handshake, in records as it came in."""
    pieces = [message[at:at + RECORD_SIZE] for at in range(0, len(message), RECORD_SIZE)]
    return b"".join([b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces])


cdef str _described(int code):
    if PTLS_ERROR_GET_CLASS(code) == PTLS_ERROR_CLASS_PEER_ALERT or PTLS_ERROR_GET_CLASS(code) == PTLS_ERROR_CLASS_SELF_ALERT:
        return told(PTLS_ERROR_TO_ALERT(code), PTLS_ERROR_GET_CLASS(code) == PTLS_ERROR_CLASS_PEER_ALERT)
    return f"error {code} of picotls"


cdef str told(int alert, bint by_client):
    """How a log line names an alert."""
    return f"{'the client sent the ' if by_client else ''}alert {alert} ({_ALERTS.get(alert, 'unknown')})"
