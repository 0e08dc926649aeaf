# What clients may do so often, and what is asked of them meanwhile.

cdef extern from *:
    """
    /* For each kind of abuse: how often at once, and how often a second in the long run. */
    static const unsigned granite_abuses[][2] = {
        {1000, 33},     /* streams that are reset, by either side, before they are complete */
        {1000, 100},    /* PING */
        {100, 5},       /* SETTINGS */
        {100, 10},      /* DATA without a byte, and without an end */
        {1000, 100},    /* fields that are none */
        {1000, 100},    /* WINDOW_UPDATE by nearly nothing */
        {1000, 100},    /* PRIORITY, PRIORITY_UPDATE, frames of unknown types in a row */
    };
    """
    const unsigned int granite_abuses[][2]

cdef enum:
    MOST_QUEUED = 4096                  # frames that wait in nghttp2 for a client that does not read
    SMALL_INCREMENT = 256               # octets of a WINDOW_UPDATE below which it is of no use to anybody
    BEHIND_A_STREAM = 16384             # bytes of frames, but of DATA, that may come of a stream when it has ended
    OF_WINDOW = 10                      # bytes on the wire for one of a window, at worst: with the head of a frame
    READ_BY = 64                        # bytes of a response for which a client may say one: a WINDOW_UPDATE of 13 for each 832
    BOMB = 4                            # times http2_max_headers_size, beyond which fields are no mistake
    OFFENDERS_SHARE = 16                # the part of what is allowed at once that is left to offenders
    DRAIN_PATIENCE = 1000               # ms that the answer to the PING behind a first GOAWAY may take
    MOST_WINDOW = 16777216              # bytes up to which a window adapts
    LAST_STREAM = 0x7FFFFFFF            # RFC 9113, 5.1.1

cdef tuple _ABUSES = (
    "too many streams were reset", "too many PING frames", "too many SETTINGS frames", "too many empty frames", "too many fields that are none",
    "too many WINDOW_UPDATE frames by nearly nothing", "too many frames that carry nothing",
)

# What the PING frames of the server's own say, by which their answers are told apart.
cdef bytes _PING_ALIVE = b"granite?"
cdef bytes _PING_DRAIN = b"granite."
cdef bytes _PING_SAMPLE = b"granite#"


cdef int _cb_nghttp2_begin_frame(nghttp2.nghttp2_session *session, const nghttp2.nghttp2_frame_hd *head, void *user) except -902:
    (<LimitedSession>user)._on_begin_frame(head)
    return _verdict(user)


cdef int _cb_nghttp2_unpack_extension(
    nghttp2.nghttp2_session *session, void **payload, const nghttp2.nghttp2_frame_hd *head, void *user
) except -902:
    return nghttp2.NGHTTP2_ERR_CANCEL   # RFC 9113, 5.5: it is ignored


cdef inline int _verdict(void *session) noexcept:
    """What a callback answers that may have found the client at fault: nghttp2 stops at once then."""
    return nghttp2.NGHTTP2_ERR_CALLBACK_FAILURE if (<LimitedSession>session).fault else 0


cdef class LimitedSession(Session):
    """Keeps the accounts of a connection's client, drains, and asks whether the client is still there.

    Frames are looked at as soon as their heads are known, whatever nghttp2 makes of them.
    """

    cdef int _check(self, int code) except -1:
        """What nghttp2 has answered to a call that has no reason to fail."""
        if code == 0:
            return 0
        if code == nghttp2.NGHTTP2_ERR_NOMEM:
            raise MemoryError()
        raise RuntimeError(f"nghttp2: {nghttp2.nghttp2_strerror(code).decode('ascii')}")

    cdef int _end(self, uint32_t code, Rejection reason, str why) except -1:
        """End the connection, by the client's fault."""
        if self.ending:
            return 0
        self.ending = True
        self.head_until = 0
        if self.http.rejections.note(reason):
            _log.info("%s: HTTP/2: %s", name_of(self.transport.client()), why)
        if self.busy:
            self.fault = code           # of which _on_broken() tells the client, whatever else came with it
            return 0
        self._note_offence(code)
        return self._terminate(code)

    cdef int _terminate(self, uint32_t code) except -1:
        return self._check(nghttp2.nghttp2_session_terminate_session2(self.c_session, self._last_begun(), code))

    cdef int32_t _last_begun(self) noexcept:
        """What a GOAWAY names: nghttp2 counts the streams as well that were refused behind the last one."""
        return min(nghttp2.nghttp2_session_get_last_proc_stream_id(self.c_session), self.last_told)

    cdef int _note_offence(self, uint32_t code) noexcept:
        """The connection ends with this error, and nothing is read before the client can know. Who is to calm down is remembered, and not waited for
        when it pours on."""
        self.transport.pause_reading()  # shut() reads on, when the GOAWAY has left
        if code == nghttp2.NGHTTP2_ENHANCE_YOUR_CALM:
            self.context.offenders.note(self.transport)
            self.transport.suspect = True
        return 0

    cdef int _open_accounts(self) noexcept:
        """Of what is due, little is left to a client that was here before, and flooded the server."""
        cdef bint known = self.context.offenders.know(self.transport)
        cdef int kind
        for kind in range(<int>ABUSE_KINDS):
            self.accounts[kind].at = self.transport.now()
            if known:
                self.accounts[kind].count = granite_abuses[kind][0] - granite_abuses[kind][0] // OFFENDERS_SHARE
        return 0

    cdef int _account(self, Abuse kind) except -1:
        """Note something that nobody needs to do often."""
        cdef Account *account = &self.accounts[<int>kind]
        cdef uint64_t now
        cdef uint64_t forgiven
        account.count += 1
        if account.count <= granite_abuses[<int>kind][0]:
            return 0
        now = self.transport.now()
        forgiven = min((now - account.at) * granite_abuses[<int>kind][1] // 1000, <uint64_t>account.count)
        if forgiven:
            account.count -= <uint32_t>forgiven
            account.at = now
        if account.count <= granite_abuses[<int>kind][0]:
            return 0
        return self._end(nghttp2.NGHTTP2_ENHANCE_YOUR_CALM, <Rejection>(<int>REJECTED_HTTP2_RESETS + <int>kind), _ABUSES[<int>kind])

    cdef int _on_begin_frame(self, const nghttp2.nghttp2_frame_hd *head) except -902:
        cdef int kind = head.type
        cdef int before = self.last_kind
        self.last_kind = kind
        if kind == nghttp2.NGHTTP2_HEADERS or kind == nghttp2.NGHTTP2_CONTINUATION:
            self.head_ends = head.flags & nghttp2.NGHTTP2_FLAG_END_HEADERS != 0
        if kind == nghttp2.NGHTTP2_HEADERS:
            self._on_id(head.stream_id)
        elif kind == nghttp2.NGHTTP2_DATA:
            if head.length == 0 and not head.flags & nghttp2.NGHTTP2_FLAG_END_STREAM:
                self._account(ABUSE_EMPTY_FRAMES)
        elif kind == nghttp2.NGHTTP2_PING:
            if not head.flags & nghttp2.NGHTTP2_FLAG_ACK:
                self._account(ABUSE_PINGS)
        elif kind == nghttp2.NGHTTP2_SETTINGS:
            if not head.flags & nghttp2.NGHTTP2_FLAG_ACK:
                self._account(ABUSE_SETTINGS)
        elif kind == nghttp2.NGHTTP2_PRIORITY or kind == nghttp2.NGHTTP2_PRIORITY_UPDATE:
            self.in_vain -= FRAME_HEAD + head.length
            self._account(ABUSE_FLOOD)
        elif kind > nghttp2.NGHTTP2_CONTINUATION:
            self.in_vain -= FRAME_HEAD + head.length
            if before > nghttp2.NGHTTP2_CONTINUATION:
                # Clients may have one of a reserved type before each frame that means something, lest servers forget to ignore it.
                self._account(ABUSE_FLOOD)
        return 0

    cdef int _refuse_frame(self) except -1:
        """Neither the frame on which there is a verdict nor what follows is for nghttp2."""
        if self.ending:
            return 0
        if self._has_terminated():
            return self.transport.pause_reading()
        if self.scan.verdict == FRAME_OF_ENDED_STREAM:
            self._end(nghttp2.NGHTTP2_STREAM_CLOSED, REJECTED_HTTP2_PROTOCOL, "more came of a stream that the client had ended")
        elif self.scan.verdict == FRAME_OF_BAD_PRIORITY:
            self._end(nghttp2.NGHTTP2_PROTOCOL_ERROR, REJECTED_HTTP2_PROTOCOL, "a PRIORITY frame was of no stream, or had one depend on itself")
        else:
            self._end(nghttp2.NGHTTP2_ENHANCE_YOUR_CALM, REJECTED_HTTP2_CONTINUATIONS, "too many CONTINUATION frames")
        return 0

    cdef bint _has_terminated(self) except -1:
        """Whether nghttp2 has ended the connection by what came ahead, which it tells only when the GOAWAY leaves; if not, it does now, in silence."""
        cdef size_t queued = nghttp2.nghttp2_session_get_outbound_queue_size(self.c_session)
        self._terminate(nghttp2.NGHTTP2_NO_ERROR)
        return nghttp2.nghttp2_session_get_outbound_queue_size(self.c_session) == queued

    cdef int _on_late_frames(self) except -1:
        """RFC 9113, 5.1: nghttp2 has passed over frames of streams that the client had reset."""
        cdef uint32_t id = _next_late(&self.scan)
        while id:
            self._check(nghttp2.nghttp2_submit_rst_stream(self.c_session, nghttp2.NGHTTP2_FLAG_NONE, <int32_t>id, nghttp2.NGHTTP2_STREAM_CLOSED))
            id = _next_late(&self.scan)
        return 0

    cdef int _on_taken(self, ssize_t size) except? -902:
        """nghttp2 has read so much, and has passed over what was of streams that have ended. Returns what a callback does.

        One window of the connection may have been on its way: the client learns that a stream has ended before it gets another. What each stream
        is allowed does not expire, so it is bytes for a request that have a bound.
        """
        self.in_vain += size
        if self.scan.verdict != FRAME_SOUND:
            self._refuse_frame()
        elif self.in_vain > <int64_t>(OF_WINDOW * self.window + 16 * self.context.max_frame_size):
            self._end(nghttp2.NGHTTP2_ENHANCE_YOUR_CALM, REJECTED_HTTP2_FLOOD, "too many frames of streams that have ended")
        elif nghttp2.nghttp2_session_get_outbound_queue_size(self.c_session) > MOST_QUEUED:
            self._end(nghttp2.NGHTTP2_ENHANCE_YOUR_CALM, REJECTED_HTTP2_FLOOD, "too much waits for a client that does not read")
        elif self.scan.late:
            self._on_late_frames()
        return _verdict(<void *>self)

    cdef int _on_id(self, int32_t id) except -1:
        """RFC 9113, 5.1.1: ids only grow. nghttp2 takes whatever comes on a lower one for what is left of a stream that was open."""
        if id > self.last_id:
            if id > self.last_id + 2:
                self.gap, self.gap_end = self.last_id, id
            self.last_id = id
        elif self.gap < id < self.gap_end:
            self._end(nghttp2.NGHTTP2_PROTOCOL_ERROR, REJECTED_HTTP2_PROTOCOL, "a stream was opened with a lower number than one before")
        return 0

    # PING

    cdef int _ping(self, bytes data) except -1:
        return self._check(nghttp2.nghttp2_submit_ping(self.c_session, nghttp2.NGHTTP2_FLAG_NONE, <const uint8_t *>PyBytes_AS_STRING(<PyObject *>data)))

    cdef int _on_pong(self, const uint8_t *data) except -1:
        self.pong_until = 0
        if memcmp(data, <const char *>_PING_DRAIN, 8) == 0:
            if self.drain_at:
                self._last_goaway()
        elif memcmp(data, <const char *>_PING_SAMPLE, 8) == 0:
            self._adapt()
        return 0

    cdef int _on_silence(self, uint64_t now) except -1:
        """Nothing has come for a while, or no answer to what was asked then. Of a client that does not read `write_timeout` judges."""
        cdef Transport transport = self.transport
        if self.pong_until == 0:
            self.ping_at = 0
            return self._ping(_PING_ALIVE)
        if transport.unsent() or 0 < transport.unacknowledged() < self.pong_behind:
            return self._await_pong()   # perhaps the client has not come to the PING
        self.pong_until = 0
        return self._end(nghttp2.NGHTTP2_NO_ERROR, REJECTED_HTTP2_NO_PONG, "a PING was not answered")

    cdef int _on_ping_sent(self, const uint8_t *data) except -1:
        return self._await_pong() if memcmp(data, <const char *>_PING_ALIVE, 8) == 0 else 0

    cdef int _await_pong(self) except -1:
        cdef Transport transport = self.transport
        self.pong_until = transport.now() + self.context.ping_timeout
        self.pong_behind = transport.unsent() + transport.unacknowledged()
        return transport.rearm()

    # draining

    cdef int drain(self) except -1:
        """RFC 9113, 6.8: say that no further streams are wanted, and only after a round trip which is the last that counts."""
        if self.draining:
            return 0
        self.draining = True
        self.drain_at = self.transport.now() + DRAIN_PATIENCE
        self._check(nghttp2.nghttp2_submit_shutdown_notice(self.c_session))
        self.transport.rearm()
        return self._soon()

    cdef int _on_goaway_sent(self) except -1:
        """The PING has to come behind the first GOAWAY, so that whoever answers has read that; nghttp2 sends it ahead of all that waits."""
        return self._ping(_PING_DRAIN) if self.drain_at else 0

    cdef int _last_goaway(self) except -1:
        """From now on no stream begins, even if it takes long to leave: nghttp2 would end those that run above its number when it does."""
        self.drain_at = 0
        self.last_told = self._last_begun()
        return self._check(nghttp2.nghttp2_submit_goaway(
            self.c_session, nghttp2.NGHTTP2_FLAG_NONE, self.last_told, nghttp2.NGHTTP2_NO_ERROR, NULL, 0
        ))

    # windows that adapt: a PING tells how long a round trip is, and the bytes that come until it is answered how much fits into one

    cdef int _sample(self, size_t size) except -1:
        if self.sampling:
            self.sampled += size
        elif self.window < MOST_WINDOW:
            self.sampling = True
            self.sampled = size
            self._ping(_PING_SAMPLE)
        return 0

    cdef int _adapt(self) except -1:
        cdef nghttp2.nghttp2_settings_entry entry
        self.sampling = False
        if self.sampled < self.window * 2 // 3:
            return 0
        self.window = self.stream_window = min(2 * self.sampled, <size_t>MOST_WINDOW)
        entry.settings_id = nghttp2.NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        entry.value = <uint32_t>self.window
        self._check(nghttp2.nghttp2_submit_settings(self.c_session, nghttp2.NGHTTP2_FLAG_NONE, &entry, 1))
        return self._check(nghttp2.nghttp2_session_set_local_window_size(
            self.c_session, nghttp2.NGHTTP2_FLAG_NONE, 0, <int32_t>self.window
        ))

    cdef int _soon(self) except -1:
        raise NotImplementedError
