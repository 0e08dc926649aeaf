# Request ids: what the logs of several programs know a request by.

cdef enum:
    LONGEST_ID = 128

cdef uint64_t _STEP = 0x9E3779B97F4A7C15        # odd, so no number comes again before all have


cdef inline bint _is_id_octet(unsigned char c) noexcept:
    """What no log, shell or query language takes for anything of its own."""
    if 48 <= c <= 58 or 64 <= c <= 90 or 97 <= c <= 122:
        return True
    return c == 43 or c == 45 or c == 46 or c == 47 or c == 61 or c == 95 or c == 126


cdef class RequestIds:
    """Gives each request an id: that of a peer that may say so, else a new one.

    A new one has 128 bits in hexadecimal digits: a random number of this object's and a counter, whose numbers are scattered so that an id
    does not tell how many requests there were. Nothing about them is secret.

    Parameters:
        name: of the field that carries the id, in lower case.
        variable: the contextvars.ContextVar that has the id while the request is handled.
    """

    def __init__(self, str name, variable):
        self.name = name.encode("ascii")
        self.variable = variable
        self.random = int.from_bytes(os.urandom(8), "big")
        self.count = int.from_bytes(os.urandom(8), "big")

    cdef bytes fresh(self):
        cdef char digits[32]
        cdef uint64_t number
        cdef int i
        self.count += 1
        number = self.count * _STEP
        for i in range(16):
            digits[15 - i] = b"0123456789abcdef"[(self.random >> 4 * i) & 15]
            digits[31 - i] = b"0123456789abcdef"[(number >> 4 * i) & 15]
        return PyBytes_FromStringAndSize(digits, 32)

    cdef int give(self, Exchange exchange) except -1:
        """Give a request that begins its id. Its fields have it as well, in the place of what a stranger said."""
        cdef bytes given = None
        cdef list fields = exchange.headers
        cdef int count = 0
        for name, value in fields:
            if name == self.name:
                given = value
                count += 1
        if exchange.trusted and count == 1 and self._is_id(given):
            exchange.request_id = given
            return 0
        exchange.request_id = self.fresh()
        if count:
            fields[:] = [field for field in fields if field[0] != self.name]
        fields.append((self.name, exchange.request_id))
        return 0

    cdef int enter(self, Exchange exchange, object context) except -1:
        """Let what runs in this context know the id."""
        PyContext_Enter(context)
        try:
            PyContextVar_Set(self.variable, exchange.request_id.decode("ascii"))
        finally:
            PyContext_Exit(context)
        return 0

    cdef bint _is_id(self, bytes given) noexcept:
        cdef const char *base = PyBytes_AS_STRING(<PyObject *>given)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(<PyObject *>given)
        cdef Py_ssize_t i
        for i in range(size):
            if not _is_id_octet(base[i]):
                return False
        return 0 < size <= LONGEST_ID
