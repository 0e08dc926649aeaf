# An accepted stream: what lies between a socket and the bytes of requests. Where addresses are limited its own is counted, a proxy may
# introduce its client, and TLS is taken off.


@cython.no_gc
cdef class AcceptedStream(StreamHandle):
    """A client's socket, up to plain bytes of a client that is known."""

    # who the client is

    cdef int _turn_away(self, ConnectionHost host, int fd) except -1:
        """Its address has too many already: answer without a look at what it wants, and without waiting for its end."""
        cdef bytes answer = b""
        if host.secure is None or self.redirects:
            answer = host.http1.turned_away()
        turn_away(fd, answer, len(answer))
        return self._note_turned_away(host)

    cdef int _send_away(self) except -1:
        """The same, for one that is known only since its proxy has introduced it."""
        cdef bytes answer
        self._note_turned_away(self.host)
        if self.layer is not None:
            self._close()
            return 0
        answer = self.host.http1.turned_away()
        out_copy(self.pool, &self.out, answer, len(answer))
        return self.shut(True)

    cdef int _note_turned_away(self, ConnectionHost host) except -1:
        if host.rejections.note(REJECTED_CONNECTIONS_PER_IP):
            _log.info("%s: 429, more connections than max_connections_per_ip", name_of((host.reactor.host_of(&self.peer), self.peer.port)))
        return 0

    cdef int must_wait(self, const Address *client) noexcept:
        return self.host.peers.take(self.place) if client is &self.peer else self.host.peers.take_of(client)

    cdef int _on_introduction(self, const char *data, size_t size) except -1:
        """The first bytes of a connection where proxies introduce their clients."""
        cdef ProxyHeader header
        cdef HeaderState outcome
        cdef bytes joined
        if self.introduction == INTRODUCTION_REFUSED:
            self.introduction = INTRODUCED
            if is_header(data, size) and self.host.rejections.note(REJECTED_PROXY_HEADER):
                _log.info("%s: a PROXY header, from an address that is not in proxy_protocol_allow_ips", name_of(self.client()))
            return self._on_read(data, size)    # whose protocol refuses it
        joined = self.host.introductions.pop(self, None)
        if joined is not None:
            joined += data[:size]
            data, size = joined, len(joined)
        outcome = read_header(data, size, self.host.proxy_versions, &header)
        if outcome == HEADER_PART:
            self.host.introductions[self] = data[:size] if joined is None else joined
            return 0
        if outcome == HEADER_WRONG:
            if self.host.rejections.note(REJECTED_PROXY_HEADER):
                _log.info("%s: PROXY protocol: %s", name_of(self.client()), (<bytes>header.wrong).decode("ascii"))
            self._close()
            return 0
        self.introduction = INTRODUCED
        self._introduced(&header)
        if header.client.family and header.client.family != FAMILY_UNIX and not self.trusted and self.host.peers is not None:
            self.place = self.host.peers.enter(&self.peer)
            if self.place == PEER_TURNED_AWAY:
                self.place = PEER_NONE
                return self._send_away()
        return self._on_read(data + header.size, size - header.size) if size > header.size else 0

    cdef int _introduced(self, const ProxyHeader *header) except -1:
        """From now on it is known who the client is: the peer, or whom the peer speaks for."""
        if header is not NULL:
            if header.client.family:
                self.peer = header.client
            if header.server.family:
                self.set_server(&header.server)
            self.secured = header.secured
        # A client of a proxy that has no address is not one that comes over a Unix socket here.
        self.trusted = self.host.proxies.contain(&self.peer) and (self.is_pipe or self.peer.family != FAMILY_UNIX)
        return 0

    # bytes

    cdef int _on_read(self, const char *data, size_t size) except -1:
        if self.introduction != INTRODUCED:
            return self._on_introduction(data, size)
        return self._on_bytes(data, size) if self.layer is None else self._on_records(data, size)

    cdef int _on_records(self, const char *data, size_t size) except -1:
        cdef SecureLayer layer = self.layer     # closing drops it
        cdef Unwrapped outcome
        cdef bint is_tls = self.handshake != HANDSHAKE_NONE or data[0] == 22
        if self.handshake == HANDSHAKE_NONE:
            if b"A" <= data[0] <= b"Z":  # the method of a request; records begin otherwise
                return self._on_plain_http()
            self.handshake = HANDSHAKE_BEGUN
        outcome = layer.unwrap(self.pool, data, size)
        if layer.successor is not None:
            layer = self.layer = layer.successor
        if layer.complete and self.handshake == HANDSHAKE_BEGUN:
            self.handshake = HANDSHAKE_DONE
            self.host.handshakes += 1
            self._on_secured()
        try:
            if layer.plain_size and not self.shutting:
                self._on_bytes(layer.plain, layer.plain_size)
            elif layer.wire.head is not NULL:
                self.flush()
        finally:
            layer.release()
        if outcome == UNWRAP_OK or self.state != HANDLE_OPEN or self.lingering:
            return 0
        if outcome == UNWRAP_ENDED:
            self.pause_reading()
            self.read_ended = True
            return self._on_read_ended()
        if self.handshake == HANDSHAKE_BEGUN:
            self._fail_handshake(
                _failure_of(layer.alert) if is_tls else HANDSHAKE_NOT_TLS, layer.reason if is_tls else "what came is none"
            )
        elif self.host.rejections.note(REJECTED_TLS):
            _log.info("%s: TLS: %s", name_of(self.client()), layer.reason)
        return self._on_insecure()

    cdef int _on_plain_http(self) except -1:
        """A request came where a handshake was to come: tell the client in its own language."""
        cdef bytes answer = self.host.http1.no_tls()
        self._fail_handshake(HANDSHAKE_PLAIN_HTTP, "a request of plain HTTP came")
        out_copy(self.pool, &self.layer.wire, answer, len(answer))
        self.layer.closed = True
        return self._on_insecure()

    cdef int _fail_handshake(self, HandshakeFailure failure, str why) except -1:
        self.handshake = HANDSHAKE_FAILED
        self.host.handshakes_failed[<int>failure] += 1
        if self.host.rejections.note(REJECTED_TLS):
            _log.info("%s: TLS: %s", name_of(self.client()), why)
        return 0

    # for the connection to fill in

    cdef int _on_bytes(self, const char *data, size_t size) except -1:
        raise NotImplementedError

    cdef int _on_secured(self) except -1:
        """The handshake is complete."""
        raise NotImplementedError

    cdef int _on_insecure(self) except -1:
        """TLS has failed: nothing that comes can be read."""
        raise NotImplementedError


cdef HandshakeFailure _failure_of(int alert) noexcept:
    cdef int i
    for i in range(ALERTS):
        if granite_alerts[i] == alert:
            return <HandshakeFailure>(HANDSHAKE_ALERTS + i)
    return HANDSHAKE_OTHER
