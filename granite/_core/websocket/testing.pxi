# For the tests: a codec between bytes and events, without a connection.

cdef class _Memory(Transport):
    """Keeps what is written."""

    def __cinit__(self):
        self.pool = OutPool()

    cdef bytes take(self):
        cdef OutBuf *buf = self.out.head
        cdef uint32_t i
        cdef list pieces = []
        while buf is not NULL:
            for i in range(buf.vectors):
                pieces.append(PyBytes_FromStringAndSize(<char *>buf.vector[i].iov_base, buf.vector[i].iov_len))
            buf = buf.next
        self.pool.clear(&self.out)
        return b"".join(pieces)


cdef class Codec(FrameReader):
    """Bytes in, events out, and messages in, bytes out.

    Parameters:
        context: the limits, and what is compressed how.
        parameters: what was agreed on: server_takeover, client_takeover, server_bits, client_bits; None: nothing is compressed.
        pause: read no further than to a message, until receive() is called again.
    """

    cdef list events
    cdef bint pause
    cdef bint paused
    cdef bint over

    def __init__(self, WebSocketContext context not None, tuple parameters=None, bint pause=False):
        self.context = context
        self.transport = _Memory.__new__(_Memory)
        self.events = []
        self.pause = pause
        if parameters is not None:
            self.deflate.on = True
            self.deflate.server_takeover, self.deflate.client_takeover, self.deflate.server_bits, self.deflate.client_bits = parameters

    def receive(self, bytes data not None):
        """Return how many bytes were read, and the events."""
        self.paused = False
        events, self.events = self.events, []
        del events
        count = self.read(data, len(data))
        return count, self.events

    def message(self, message):
        self.write_message(message)
        return (<_Memory>self.transport).take()

    def control(self, int opcode, bytes payload not None):
        self.write_control(<Opcode>opcode, payload, len(payload))
        return (<_Memory>self.transport).take()

    def holds(self):
        """Whether there is any memory that a WebSocket without a message does not need."""
        return self.c_message is not NULL or self.c_control is not NULL or self.c_inflater is not NULL or self.c_deflater is not NULL

    cdef bint wants_more(self) noexcept:
        return not self.over and not self.paused

    cdef int on_message(self, object message) except -1:
        self.events.append(("message", message))
        self.paused = self.pause
        return 0

    cdef int on_ping(self, const char *payload, size_t size) except -1:
        self.events.append(("ping", PyBytes_FromStringAndSize(payload, size)))
        return 0

    cdef int on_pong(self, const char *payload, size_t size) except -1:
        self.events.append(("pong", PyBytes_FromStringAndSize(payload, size)))
        return 0

    cdef int on_close(self, int code, str reason) except -1:
        self.over = True
        self.events.append(("close", code, reason))
        return 0

    cdef int on_violation(self, int code, str why) except -1:
        self.events.append(("violation", code, why))
        return 0


def check_text(*pieces):
    """Whether pieces make a text of UTF-8 so far, and whether it may end there."""
    cdef Utf8 text
    cdef bytes piece
    text.missing = 0
    for piece in pieces:
        if not granite_utf8_goes_on(&text, piece, len(piece)):
            return False, False
    return True, text.missing == 0


def unmask(bytes data not None, bytes mask not None, size_t before=0):
    """The octets, unmasked, and whether one of them is above 127."""
    cdef bytes found = PyBytes_FromStringAndSize(NULL, len(data))
    cdef bint high = granite_unmask(PyBytes_AS_STRING(<PyObject *>found), data, len(data), <const unsigned char *><char *>mask, before)
    return found, high


def sha1(bytes data not None):
    cdef unsigned char digest[20]
    granite_sha1(data, len(data), digest)
    return PyBytes_FromStringAndSize(<char *>digest, 20)
