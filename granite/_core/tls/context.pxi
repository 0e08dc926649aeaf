# What connections have in common, and the certificates among which each finds its own.

cdef int _cb_client_hello(ptls_on_client_hello_t *self, ptls_t *tls, ptls_on_client_hello_parameters_t *params) noexcept:
    cdef TlsLayer layer = <TlsLayer>ptls_get_data_ptr(tls)[0]
    cdef bytes protocol = b""
    if params.incompatible_version and layer.context.older is None:
        return 0                        # whereupon picotls refuses it
    if params.negotiated_protocols.count:
        protocol = _protocol_of(layer.context, params)
        if protocol is None:
            return PTLS_ALERT_NO_APPLICATION_PROTOCOL
    try:
        return layer.hand_over(params, protocol) if params.incompatible_version else layer.choose(params, protocol)
    except Exception:
        return PTLS_ERROR_NO_MEMORY


cdef bytes _protocol_of(TlsContext context, ptls_on_client_hello_parameters_t *params):
    """What is spoken with a client that names protocols; None: none of them (RFC 7301, 3.2: it is told so)."""
    if context.speaks_http2 and _offers(params, b"h2", 2):
        return b"h2"
    return b"http/1.1" if context.speaks_http1 and _offers(params, b"http/1.1", 8) else None


cdef class OlderVersions:
    """What speaks versions before TLS 1.3, for contexts that let clients do so."""

    cdef int renew(self, Certificates certificates, ClientCheck clients, Tickets tickets) except -1:
        """Show these certificates from now on, judge clients' so, and have sessions resumed by such tickets, if by any."""
        raise NotImplementedError

    cdef SecureLayer layer(self, SecureContext owner, bytes name, bytes protocol):
        """A layer for a connection of `owner`, in whose `live` it counts; for a client that wants this name, if it is not empty, and
        speaks this protocol, if it has named any. It is given the ClientHello first.
        """
        raise NotImplementedError


cdef bint _offers(ptls_on_client_hello_parameters_t *params, const char *name, size_t size) noexcept:
    """Whether a client speaks a protocol."""
    cdef size_t i
    for i in range(params.negotiated_protocols.count):
        if params.negotiated_protocols.list[i].len == size and memcmp(params.negotiated_protocols.list[i].base, name, size) == 0:
            return True
    return False


@cython.final
cdef class TlsContext(SecureContext):
    """Certificates, and what all connections that show one of them share.

    Parameters:
        certificates: which are this context's from now on. A client that asks for a name gets one for this name, in default of it one for
            a wildcard, or else any: the first whose signatures it can verify.
        clients: how clients' certificates are judged; None: they are not asked for any.
        engine: one of engines(); None: the best.
        older: what serves clients that know no TLS 1.3; None: they are refused.
        http: the versions of HTTP to speak, as the setting has them.
    """

    cdef ptls_context_t c_context       # of a connection that has not said whom it wants
    cdef ptls_on_client_hello_t c_on_client_hello
    cdef Certificates certificates
    cdef ClientCheck clients
    cdef bint speaks_http1
    cdef bint speaks_http2
    cdef TicketCallback c_ticket
    cdef Tickets tickets                # borrowed by c_ticket
    cdef OlderVersions older

    def __cinit__(
        self, list certificates not None, ClientCheck clients=None, str engine=None, OlderVersions older=None, str http="1"
    ):
        memset(&self.c_context, 0, sizeof(self.c_context))
        _use_ciphers(&self.c_context, engine)
        self.c_on_client_hello.cb = _cb_client_hello
        self.speaks_http1 = http != "2"
        self.speaks_http2 = http != "1"
        self.c_context.random_bytes = ptls_openssl_random_bytes
        self.c_context.get_time = &ptls_get_time
        self.c_context.on_client_hello = &self.c_on_client_hello
        self.c_context.max_buffer_size = MOST_HANDSHAKE
        self.older = older
        self.renew(certificates, clients)

    def renew(self, list certificates not None, ClientCheck clients=None):
        """Show these certificates from now on, and judge clients' so. Connections whose handshake has begun go on as they were."""
        cdef Certificate certificate
        cdef Certificates renewed = Certificates(certificates)
        if self.older is not None:
            self.older.renew(renewed, clients, self.tickets)
        self.c_context.require_client_authentication = clients is not None
        self.c_context.verify_certificate = NULL
        self.c_context.client_ca_names.count = 0
        if clients is not None:
            clients.join(&self.c_context)
        self.clients = clients
        for certificate in certificates:
            certificate.join(&self.c_context, clients)
        self.certificates = renewed

    def use_tickets(self, Tickets tickets not None):
        """Have sessions resumed by tickets."""
        self.tickets = tickets
        _use_tickets(&self.c_context, &self.c_ticket, tickets)
        self.renew(self.certificates.all, self.clients)

    cdef SecureLayer layer(self):
        cdef TlsLayer layer = TlsLayer.__new__(TlsLayer)
        layer.c_tls = ptls_server_new(&self.c_context)
        if layer.c_tls is NULL:
            raise MemoryError()
        ptls_get_data_ptr(layer.c_tls)[0] = <void *>layer
        layer.context = self
        self.live += 1
        return layer
