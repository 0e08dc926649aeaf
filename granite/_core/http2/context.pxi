# What all sessions of a server share.

cdef enum:
    MOST_SETTINGS = 32                  # entries of one SETTINGS frame
    MOST_ACKS = 1024                    # answers to PING and SETTINGS that wait for a client which does not read
    MOST_HEAD = 1048576                 # bytes of a response's fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts them


cdef class Http2Context(Version):
    """What is HTTP/2's own of a server, and its spare streams.

    Parameters:
        http: what is shared with other versions.
        config: has the section "HTTP".
    """

    def __init__(self, HttpContext http, config):
        cdef int kind
        self.http = http
        self.offenders = Offenders.__new__(Offenders)
        self.connection_window = config.http2_initial_connection_window_size
        self.stream_window = config.http2_initial_stream_window_size
        self.max_streams = config.http2_max_concurrent_streams
        self.max_frame_size = config.http2_max_frame_size
        self.max_head_size = min(config.http2_max_headers_size, config.max_head_size)
        self.max_path = min(config.max_request_line or config.max_head_size, config.max_head_size)
        self.ping_interval = milliseconds(config.http2_keep_alive_interval)
        self.ping_timeout = milliseconds(config.http2_keep_alive_timeout)
        self.adaptive = config.http2_adaptive_window
        self.high_water = config.http2_max_send_buffer_size
        if sysconf(_SC_PAGESIZE) == PAGE:
            self.slots = Slots.__new__(Slots)
        if nghttp2.nghttp2_session_callbacks_new(&self.c_callbacks) or nghttp2.nghttp2_option_new(&self.c_option):
            raise MemoryError()
        nghttp2.nghttp2_session_callbacks_set_on_begin_headers_callback(self.c_callbacks, _cb_nghttp2_begin_headers)
        nghttp2.nghttp2_session_callbacks_set_on_begin_frame_callback(self.c_callbacks, _cb_nghttp2_begin_frame)
        nghttp2.nghttp2_session_callbacks_set_unpack_extension_callback(self.c_callbacks, _cb_nghttp2_unpack_extension)
        nghttp2.nghttp2_session_callbacks_set_on_header_callback2(self.c_callbacks, _cb_nghttp2_header)
        nghttp2.nghttp2_session_callbacks_set_on_invalid_header_callback2(self.c_callbacks, _cb_nghttp2_invalid_header)
        nghttp2.nghttp2_session_callbacks_set_on_frame_recv_callback(self.c_callbacks, _cb_nghttp2_frame_recv)
        nghttp2.nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(self.c_callbacks, _cb_nghttp2_invalid_frame)
        nghttp2.nghttp2_session_callbacks_set_on_data_chunk_recv_callback(self.c_callbacks, _cb_nghttp2_data_chunk)
        nghttp2.nghttp2_session_callbacks_set_on_frame_send_callback(self.c_callbacks, _cb_nghttp2_frame_send)
        nghttp2.nghttp2_session_callbacks_set_send_data_callback(self.c_callbacks, _cb_nghttp2_send_data)
        nghttp2.nghttp2_session_callbacks_set_on_stream_close_callback(self.c_callbacks, _cb_nghttp2_stream_close)
        nghttp2.nghttp2_option_set_no_auto_window_update(self.c_option, 1)
        nghttp2.nghttp2_option_set_no_closed_streams(self.c_option, 1)
        nghttp2.nghttp2_option_set_max_settings(self.c_option, MOST_SETTINGS)
        nghttp2.nghttp2_option_set_max_outbound_ack(self.c_option, MOST_ACKS)
        nghttp2.nghttp2_option_set_max_send_header_block_length(self.c_option, 2 * MOST_HEAD)      # with the server's own fields
        nghttp2.granite_allow_continuations(self.c_option)      # it counts them by the pieces in which they are read; see http2/frames.pxi
        nghttp2.nghttp2_option_set_builtin_recv_extension_type(self.c_option, nghttp2.NGHTTP2_PRIORITY_UPDATE)
        for kind in range(nghttp2.NGHTTP2_CONTINUATION + 1, 256):
            if kind != nghttp2.NGHTTP2_PRIORITY_UPDATE:     # of others it would not tell
                nghttp2.nghttp2_option_set_user_recv_extension_type(self.c_option, kind)

    def __dealloc__(self):
        if self.c_callbacks is not NULL:
            nghttp2.nghttp2_session_callbacks_del(self.c_callbacks)
        if self.c_option is not NULL:
            nghttp2.nghttp2_option_del(self.c_option)

    def memory(self):
        """Of slots: how many sessions use, how many keep their pages for others, and how many pages are in memory; None: there are none."""
        return self.slots.figures() if self.slots is not None else None

    cdef Session session(self, Transport transport):
        cdef Http2Session session = Http2Session.__new__(Http2Session)
        session._open(self, transport)
        self.live += 1
        return session

    cdef int export(self, int64_t *snapshot) noexcept:
        export_responses(self.responses, &snapshot[RESPONSES_HTTP2])
        return 0

    cdef Http2Stream stream(self, Http2Session session, int32_t id):
        """A stream on which a request begins."""
        cdef Http2Stream stream = self.spare
        if stream is not None:
            self.spare = stream.next_spare
            stream.next_spare = None
            self.spares -= 1
        else:
            stream = Http2Stream.__new__(Http2Stream)
            stream.context = self
            stream.http = self.http
            stream.owners = []
        stream._begin(session, id)
        self.live += 1
        return stream

    cdef int give_back(self, Http2Stream stream) except -1:
        """Take a stream back that has ended."""
        stream._end()
        self.live -= 1
        if self.spares < SPARE_STREAMS and not GRANITE_IS_SANITIZED:
            stream.next_spare = self.spare
            self.spare = stream
            self.spares += 1
        return 0
