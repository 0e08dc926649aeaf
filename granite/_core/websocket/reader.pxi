# The way in: frames as they come, and what they are about.

cdef class FrameReader(FrameWriter):
    """Reads the frames of one WebSocket. What a client may not send ends the reading, by on_violation()."""

    def __dealloc__(self):
        self.forget()

    cdef void forget(self) noexcept:
        """Let go of everything that reading and writing hold."""
        PyMem_RawFree(self.c_control)
        self.c_control = NULL
        Py_XDECREF(self.c_message)
        self.c_message = NULL
        if self.c_inflater is not NULL:
            self.context.give_back(self.c_inflater)
            self.c_inflater = NULL
        if self.c_deflater is not NULL:
            self.context.drop_deflater(self.c_deflater)
            self.c_deflater = NULL

    cdef Py_ssize_t read(self, const char *base, size_t size) except -1:
        """Read frames as long as wants_more(); how many bytes were read."""
        cdef const char *place = base
        cdef const char *end = base + size
        while place < end and not self.failed and self.wants_more():
            if self.in_payload:
                place = self._read_payload(place, end)
            else:
                place = self._read_head(place, end)
        return place - base

    # heads

    cdef const char *_read_head(self, const char *place, const char *end) except NULL:
        """Read on in a frame's head; where its payload begins, if all of it has come."""
        cdef const unsigned char *head = <const unsigned char *>place
        cdef size_t had = self.head_size
        cdef size_t have = end - place
        cdef size_t need
        if had or have < MOST_HEAD:
            # A read's end may lie in it: so it is put together here.
            have = min(have, <size_t>MOST_HEAD - had)
            memcpy(self.head + had, place, have)
            head = self.head
            have += had
        if have < 2:
            need = 2
        elif not head[1] & 0x80:
            self._fail(CLOSE_PROTOCOL_ERROR, "a frame is not masked")    # RFC 6455, 5.1
            return end
        else:
            need = 6 + (0 if head[1] & 127 < 126 else 2 if head[1] & 127 == 126 else 8)
        if have < need:
            self.head_size = <uint8_t>have
            return end
        self.head_size = 0
        self._begin_frame(head)
        memcpy(self.mask, head + need - 4, 4)
        return place + (need - had)

    cdef int _begin_frame(self, const unsigned char *head) except -1:
        cdef int first = head[0]
        cdef uint64_t size = head[1] & 127
        cdef int i
        self.opcode = first & 15
        self.final = first & 0x80 != 0
        if size == 126:
            size = <uint64_t>head[2] << 8 | head[3]
            if size < 126:
                return self._fail(CLOSE_PROTOCOL_ERROR, "a frame's length takes more octets than it needs")
        elif size == 127:
            size = 0
            for i in range(8):
                size = size << 8 | head[2 + i]
            if size < 65536 or size >> 63:
                return self._fail(CLOSE_PROTOCOL_ERROR, "a frame's length is not written as lengths are")
        self.frame_size = self.left = size
        if self.opcode & 8:
            if self.opcode > OP_PONG:
                return self._fail(CLOSE_PROTOCOL_ERROR, "a frame's opcode is not known")
            if first & 0x70:
                return self._fail(CLOSE_PROTOCOL_ERROR, "a control frame has a reserved bit")
            if not self.final or size > MOST_CONTROL:
                return self._fail(CLOSE_PROTOCOL_ERROR, "a control frame is in pieces, or too large")
        elif self._begin_data(first):
            return 0
        self.in_payload = True
        return self._end_frame() if size == 0 else 0

    cdef int _begin_data(self, int first) except -1:
        """Judge a data frame's head; 1 if it may not be."""
        cdef WebSocketContext context = self.context
        cdef uint64_t size = self.frame_size
        if self.opcode > OP_BINARY:
            self._fail(CLOSE_PROTOCOL_ERROR, "a frame's opcode is not known")
            return 1
        if first & (0x30 if self.deflate.on and self.opcode != OP_CONTINUATION else 0x70):
            self._fail(CLOSE_PROTOCOL_ERROR, "a frame has a reserved bit")
            return 1
        if (self.opcode == OP_CONTINUATION) != (self.kind != 0):
            self._fail(CLOSE_PROTOCOL_ERROR, "a message begins inside of another" if self.kind else "a message goes on that has not begun")
            return 1
        if self.opcode != OP_CONTINUATION:
            self.kind = self.opcode
            self.compressed = first & 0x40 != 0
            self.fragments = 0
            self.message_size = 0
            self.utf8.missing = 0
        self.fragments += 1
        if context.max_frame and size > context.max_frame:
            self._fail(CLOSE_TOO_BIG, "a frame is larger than ws_max_frame_size")
            return 1
        if context.max_fragments and self.fragments > context.max_fragments:
            self._fail(CLOSE_TOO_BIG, "a message has more frames than ws_max_fragments")
            return 1
        # What is compressed is judged as it is inflated.
        if context.max_message and not self.compressed and size > context.max_message - self.message_size:
            self._fail(CLOSE_TOO_BIG, "a message is larger than ws_max_message_size")
            return 1
        return 0

    # payloads

    cdef const char *_read_payload(self, const char *place, const char *end) except NULL:
        cdef size_t size = min(<uint64_t>(end - place), self.left)
        if self.opcode & 8:
            self._take_control(place, size)
        elif size == self.frame_size and self.final and self.opcode != OP_CONTINUATION and not self.compressed:
            self._take_whole(place)
        else:
            self._take_data(place, size)
        return place + size

    cdef int _take_control(self, const char *place, size_t size) except -1:
        cdef char payload[MOST_CONTROL]
        cdef size_t before = self.frame_size - self.left
        if size == self.frame_size:
            granite_unmask(payload, place, size, self.mask, 0)
            return self._end_control(payload, size)
        if self.c_control is NULL:
            self.c_control = <char *>PyMem_RawMalloc(MOST_CONTROL)
            if self.c_control is NULL:
                raise MemoryError()
        granite_unmask(self.c_control + before, place, size, self.mask, before)
        self.left -= size
        if self.left:
            return 0
        memcpy(payload, self.c_control, self.frame_size)
        PyMem_RawFree(self.c_control)
        self.c_control = NULL
        return self._end_control(payload, self.frame_size)

    cdef int _take_whole(self, const char *place) except -1:
        """A message that lies here in one piece."""
        cdef Py_ssize_t size = self.frame_size
        cdef bint is_text = self.kind == OP_TEXT
        self.in_payload = False
        self.kind = 0
        if not is_text:
            message = PyBytes_FromStringAndSize(NULL, size)
            granite_unmask(PyBytes_AS_STRING(<PyObject *>message), place, size, self.mask, 0)
            return self.on_message(message)
        message = PyUnicode_New(size, 127)
        if granite_unmask(<char *>PyUnicode_DATA(<PyObject *>message), place, size, self.mask, 0):
            # It is no ASCII: what was made is only the place where its octets lie.
            try:
                message = PyUnicode_DecodeUTF8(<char *>PyUnicode_DATA(<PyObject *>message), size, NULL)
            except UnicodeDecodeError:
                return self._fail(CLOSE_INVALID_DATA, "a text is no UTF-8")
        return self.on_message(message)

    cdef int _take_data(self, const char *place, size_t size) except -1:
        """A piece of a message."""
        cdef size_t before = self.frame_size - self.left
        cdef size_t piece
        cdef char *scratch
        if not self.compressed:
            self._grow(size)
            granite_unmask(PyBytes_AS_STRING(self.c_message) + self.message_size, place, size, self.mask, before)
            self._grown(size)
        else:
            scratch = self.context.scratch()
            while size and self.in_payload:
                piece = min(size, <size_t>SCRATCH_SIZE)
                granite_unmask(scratch, place, piece, self.mask, before)
                self._inflate(scratch, piece)
                place += piece
                before += piece
                size -= piece
        if not self.in_payload:
            return 0                    # it was no good
        self.left = self.frame_size - (before if self.compressed else before + size)
        return self._end_frame() if self.left == 0 else 0

    cdef int _grow(self, size_t size) except -1:
        """Make room for so many bytes of the message, and never for more than twice of what has come: a length is only a promise."""
        cdef size_t room
        if self.c_message is NULL:
            self.c_message = PyBytes_New(NULL, max(size, <size_t>FIRST_PIECE))
            return 0
        room = PyBytes_GET_SIZE(self.c_message)
        if room - self.message_size < size:
            room *= 2
            if self.final and not self.compressed:
                room = min(room, self.message_size + self.left)     # no more comes
            _PyBytes_Resize(&self.c_message, max(self.message_size + size, room))
        return 0

    cdef int _grown(self, size_t size) except -1:
        """So many bytes have been added to the message."""
        cdef char *place = PyBytes_AS_STRING(self.c_message) + self.message_size
        self.message_size += size
        if self.kind == OP_TEXT and not granite_utf8_goes_on(&self.utf8, place, size):
            return self._fail(CLOSE_INVALID_DATA, "a text is no UTF-8")
        return 0

    cdef int _inflate(self, const char *base, size_t size) except -1:
        """Add to the message what these bytes are the compressed form of."""
        cdef size_t most = self.context.max_message
        cdef z_stream *z
        cdef size_t room
        cdef int code
        if self.c_inflater is NULL:
            self.c_inflater = self.context.borrow_inflater(self.deflate.client_bits)
        z = &self.c_inflater.z
        z.next_in = <const unsigned char *>base
        z.avail_in = <unsigned int>size
        while self.in_payload:
            self._grow(1)
            room = min(PyBytes_GET_SIZE(self.c_message) - self.message_size, <size_t>1 << 30)
            z.next_out = <unsigned char *>PyBytes_AS_STRING(self.c_message) + self.message_size
            z.avail_out = <unsigned int>room
            code = zlib.inflate(z, zlib.Z_SYNC_FLUSH)
            if most and room - z.avail_out > most - self.message_size:
                return self._fail(CLOSE_TOO_BIG, "a message is larger than ws_max_message_size")
            self._grown(room - z.avail_out)
            if not self.in_payload:
                return 0                    # it was no good
            if code == zlib.Z_STREAM_END:
                zlib.inflateResetKeep(z)        # RFC 7692, 7.2.3.5: the last block of a stream is none of the message
            elif code == zlib.Z_MEM_ERROR:
                raise MemoryError()
            elif code != zlib.Z_OK and code != zlib.Z_BUF_ERROR:
                return self._fail(CLOSE_INVALID_DATA, "a message is not compressed as it should be")
            if z.avail_in == 0 and z.avail_out:
                return 0
        return 0

    # ends

    cdef int _end_frame(self) except -1:
        if self.opcode & 8:
            return self._end_control(b"", 0)
        if self.final and self.compressed:
            self._end_blocks()
            if not self.in_payload:
                return 0
        self.in_payload = False
        return self._end_message() if self.final else 0

    cdef int _end_blocks(self) except -1:
        """All octets of a compressed message have come: those that its sender left out (RFC 7692, 7.2.2) end the last block, which is empty.

        There are senders that make nothing of an empty message, as zlib makes no empty block behind another; and with the last block of a
        stream (7.2.3.5) some leave out nothing.
        """
        cdef size_t size = self.message_size
        if self.c_message is NULL or self.c_inflater.z.total_in == 0:
            return 0
        self._inflate(b"\0\0\xff\xff", 4)
        if self.in_payload and (self.message_size != size or not self.c_inflater.z.data_type & BETWEEN_BLOCKS):
            return self._fail(CLOSE_INVALID_DATA, "a compressed message is not complete")
        return 0

    cdef int _end_message(self) except -1:
        cdef Py_ssize_t size = self.message_size
        cdef bint is_text = self.kind == OP_TEXT
        cdef object message
        if self.c_inflater is not NULL and not self.deflate.client_takeover:
            self.context.give_back(self.c_inflater)
            self.c_inflater = NULL
        self.kind = 0
        if self.utf8.missing:
            return self._fail(CLOSE_INVALID_DATA, "a text ends inside of a character")
        if self.c_message is NULL:
            return self.on_message("" if is_text else b"")
        if is_text:
            message = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(self.c_message), size, NULL)
        else:
            if PyBytes_GET_SIZE(self.c_message) != size:
                _PyBytes_Resize(&self.c_message, size)
            message = <object>self.c_message
        Py_XDECREF(self.c_message)
        self.c_message = NULL
        return self.on_message(message)

    cdef int _end_control(self, const char *payload, size_t size) except -1:
        cdef int code
        self.in_payload = False
        if self.opcode == OP_PING:
            return self.on_ping(payload, size)
        if self.opcode == OP_PONG:
            return self.on_pong(payload, size)
        if size == 0:
            return self.on_close(CLOSE_NO_STATUS, "")
        if size == 1:
            return self._fail(CLOSE_PROTOCOL_ERROR, "a close frame has half a code")
        code = <int>(<unsigned char>payload[0]) << 8 | <unsigned char>payload[1]
        if not is_close_code(code):
            return self._fail(CLOSE_PROTOCOL_ERROR, "a close frame has a code that none may have")
        try:
            reason = PyUnicode_DecodeUTF8(payload + 2, size - 2, NULL)
        except UnicodeDecodeError:
            return self._fail(CLOSE_INVALID_DATA, "the reason in a close frame is no UTF-8")
        return self.on_close(code, reason)

    cdef int _fail(self, int code, str why) except -1:
        self.failed = True
        self.in_payload = False
        return self.on_violation(code, why)

    # for the session to fill in

    cdef bint wants_more(self) noexcept:
        """Whether a further frame, or a part of one, is to be read."""
        return True

    cdef int on_message(self, object message) except -1:
        """A message has come: str or bytes."""
        raise NotImplementedError

    cdef int on_ping(self, const char *payload, size_t size) except -1:
        raise NotImplementedError

    cdef int on_pong(self, const char *payload, size_t size) except -1:
        raise NotImplementedError

    cdef int on_close(self, int code, str reason) except -1:
        """The client has begun the closing handshake, or ends it: nothing comes behind it."""
        raise NotImplementedError

    cdef int on_violation(self, int code, str why) except -1:
        """The client has done what it may not. Nothing is read any more."""
        raise NotImplementedError
