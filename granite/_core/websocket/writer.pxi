# The way out: messages as frames, in the transport's queue.

cdef class FrameWriter(Session):
    """Writes frames of one WebSocket."""

    cdef int write_message(self, object message) except -1:
        """Append a message, a str of the very type or bytes. UnicodeEncodeError: it has surrogates, which no UTF-8 has."""
        cdef const char *base
        cdef Py_ssize_t size
        cdef bytes body
        cdef Opcode opcode = OP_BINARY
        if PyUnicode_CheckExact(<PyObject *>message):
            base = PyUnicode_AsUTF8AndSize(message, &size)
            opcode = OP_TEXT
        elif isinstance(message, bytes):
            base = PyBytes_AS_STRING(<PyObject *>message)
            size = PyBytes_GET_SIZE(<PyObject *>message)
        else:
            raise TypeError(f"expected a str or bytes, got {type(message).__name__}")
        # Of nothing there is no shorter form: behind a message with the same window zlib would even make no block.
        if self.deflate.on and size and <size_t>size >= self.context.threshold:
            body = self._compress(message, base, size)
            if body is not None:
                return self._write_data(opcode, True, body, PyBytes_AS_STRING(<PyObject *>body), PyBytes_GET_SIZE(<PyObject *>body))
        return self._write_data(opcode, False, message, base, size)

    cdef bytes _compress(self, object message, const char *base, size_t size):
        """The compressed message; None if it is not smaller.

        A connection whose window stays compresses with it, unless the message goes to others as well: for them it is compressed once,
        without a window, which whoever has one can read. Its own is begun anew then, as the other end knows more than it.
        """
        cdef WebSocketContext context = self.context
        cdef bytes body
        if not self.deflate.server_takeover:
            body = context.compress_alone(message, base, size, self.deflate.server_bits)
            return body if <size_t>PyBytes_GET_SIZE(<PyObject *>body) < size else None
        if _is_same(context.shared, message):
            if self.c_deflater is not NULL:
                zlib.deflateReset(&self.c_deflater.z)
            return context.compress_alone(message, base, size, self.deflate.server_bits)
        if size <= SHARED_LIMIT:
            context.shared = message
            context.shared_body = None
        if self.c_deflater is NULL:
            self.c_deflater = context.new_deflater(self.deflate.server_bits)
        context.deflated += 1
        return _deflate(self.c_deflater, base, size)

    cdef int _write_data(self, Opcode opcode, bint compressed, object owner, const char *base, size_t size) except -1:
        cdef size_t most = self.context.fragment_size
        cdef int first = <int>opcode | (0x40 if compressed else 0)
        while most and size > most:
            self._write_frame(first, owner, base, most)
            first = OP_CONTINUATION
            base += most
            size -= most
        return self._write_frame(first | 0x80, owner, base, size)

    cdef int write_control(self, Opcode opcode, const char *base, size_t size) except -1:
        """Append a control frame, whose payload has at most 125 bytes."""
        return self._write_frame(0x80 | <int>opcode, None, base, size)

    cdef int _write_frame(self, int first, object owner, const char *base, size_t size) except -1:
        cdef Transport transport = self.transport
        cdef bint copied = size <= OUT_COPY_LIMIT
        cdef unsigned char *place = <unsigned char *>out_reserve(transport.pool, &transport.out, 10 + (size if copied else 0))
        cdef size_t head = 2
        cdef int i
        place[0] = <unsigned char>first
        if size < 126:
            place[1] = <unsigned char>size
        elif size < 65536:
            place[1] = 126
            place[2] = <unsigned char>(size >> 8)
            place[3] = <unsigned char>size
            head = 4
        else:
            place[1] = 127
            for i in range(8):
                place[2 + i] = <unsigned char>(<uint64_t>size >> (56 - 8 * i))
            head = 10
        if copied:
            memcpy(place + head, base, size)
            out_commit(&transport.out, head + size)
            return 0
        out_commit(&transport.out, head)
        return transport.pool.reference(&transport.out, owner, base, size)
