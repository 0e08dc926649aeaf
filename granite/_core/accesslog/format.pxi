# What a line consists of: a format's operations, and where their values are found.

cdef enum Atom:
    ATOM_LITERAL
    # text
    ATOM_CLIENT
    ATOM_ADDR
    ATOM_SERVER
    ATOM_SCHEME
    ATOM_METHOD
    ATOM_TARGET
    ATOM_PATH
    ATOM_QUERY_STRING
    ATOM_PROTOCOL
    ATOM_HTTP_VERSION
    ATOM_REQUEST_LINE
    ATOM_REFERER
    ATOM_USER_AGENT
    ATOM_USER
    ATOM_LOGNAME
    ATOM_STAMP
    ATOM_TIME
    ATOM_CLF_TIME
    ATOM_ISO_TIME
    ATOM_REQUEST_ID
    ATOM_CLF_PID
    ATOM_MARK
    ATOM_REQUEST_FIELD
    ATOM_RESPONSE_FIELD
    # true or false
    ATOM_TLS
    ATOM_ABORTED
    # numbers
    ATOM_CLIENT_PORT
    ATOM_STATUS
    ATOM_BYTES_IN
    ATOM_BYTES_OUT
    ATOM_BODY_BYTES
    ATOM_CLF_BYTES
    ATOM_PID
    ATOM_WORKER
    # durations, in nanoseconds
    ATOM_FIRST_BYTE_US
    ATOM_TOTAL_US
    ATOM_TOTAL_MS
    ATOM_TOTAL_S
    ATOM_DT_MS
    ATOM_DT_S

cdef enum:
    USER_LIMIT = 256                    # bytes of a user name

cdef dict _ATOMS = {
    "client": ATOM_CLIENT, "addr": ATOM_ADDR, "client_port": ATOM_CLIENT_PORT, "server": ATOM_SERVER, "scheme": ATOM_SCHEME,
    "tls": ATOM_TLS, "method": ATOM_METHOD, "target": ATOM_TARGET, "path": ATOM_PATH, "query_string": ATOM_QUERY_STRING,
    "protocol": ATOM_PROTOCOL, "http_version": ATOM_HTTP_VERSION, "request_line": ATOM_REQUEST_LINE, "status": ATOM_STATUS,
    "referer": ATOM_REFERER, "user_agent": ATOM_USER_AGENT, "user": ATOM_USER, "logname": ATOM_LOGNAME, "stamp": ATOM_STAMP,
    "time": ATOM_TIME, "clf_time": ATOM_CLF_TIME, "iso_time": ATOM_ISO_TIME, "total_us": ATOM_TOTAL_US, "total_ms": ATOM_TOTAL_MS,
    "total_s": ATOM_TOTAL_S, "dt_ms": ATOM_DT_MS, "dt_s": ATOM_DT_S, "first_byte_us": ATOM_FIRST_BYTE_US, "bytes_in": ATOM_BYTES_IN,
    "bytes_out": ATOM_BYTES_OUT, "body_bytes": ATOM_BODY_BYTES, "clf_bytes": ATOM_CLF_BYTES, "request_id": ATOM_REQUEST_ID,
    "pid": ATOM_PID, "clf_pid": ATOM_CLF_PID, "worker": ATOM_WORKER, "aborted": ATOM_ABORTED, "mark": ATOM_MARK,
    "request_field": ATOM_REQUEST_FIELD, "response_field": ATOM_RESPONSE_FIELD,
}
cdef dict _FORMS = {"s": FORM_TEXT, "d": FORM_INTEGER, "f": FORM_DECIMAL, "j": FORM_JSON}

cdef extern from *:
    """
    /* Of each duration: where the point lies in its nanoseconds, and how many digits are shown behind it unless the format says so. */
    static const int granite_points[] = {3, 3, 6, 9, 6, 9};
    static const int granite_digits[] = {0, 0, 0, 0, 3, 6};
    static const long long granite_units[] = {1000, 1000, 1000000, 1000000000, 1000000, 1000000000};
    """
    const int granite_points[]
    const int granite_digits[]
    const long long granite_units[]

# Told by identity, as protocols intern theirs.
cdef str _HTTP11 = sys.intern("1.1")
cdef const char *_MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"


cdef class LineFormat:
    """What a line consists of.

    Parameters:
        operations: in their order, a str for a literal, or a tuple of the atom's name, a field's name, the conversion (s, d, f, or j for
            JSON), whether it is aligned to the left, whether it is filled up with zeros, its width, and its precision (-1: none).
        worker: the number of this worker's slot.
    """

    def __cinit__(self, operations, int64_t worker):
        cdef Operation *op
        self.c_operations = <Operation *>PyMem_RawMalloc((len(operations) + 1) * sizeof(Operation))
        if self.c_operations is NULL:
            raise MemoryError()
        memset(self.c_operations, 0, (len(operations) + 1) * sizeof(Operation))
        self.texts = []
        self.pid = getpid()
        self.worker = worker
        self.second = -1
        for given in operations:
            op = &self.c_operations[self.count]
            if isinstance(given, str):
                text = given.encode("utf-8", "surrogateescape")
            else:
                name, argument, form, op.left, op.zeros, op.width, op.precision = given
                op.atom = _ATOMS[name]
                op.form = _FORMS[form]
                text = argument.encode("ascii")
                if op.atom == ATOM_PID or op.atom == ATOM_CLF_PID or op.atom == ATOM_WORKER or op.atom == ATOM_LOGNAME:
                    text = self._constant(op)
            if op.atom == ATOM_LITERAL and self.count and self.c_operations[self.count - 1].atom == ATOM_LITERAL:
                text = self.texts.pop() + text
                self.count -= 1
                op = &self.c_operations[self.count]
            self.texts.append(text)
            op.base = PyBytes_AS_STRING(<PyObject *>text)
            op.size = PyBytes_GET_SIZE(<PyObject *>text)
            self.timed = self.timed or op.atom >= ATOM_FIRST_BYTE_US
            self.wants_first_byte = self.wants_first_byte or op.atom == ATOM_FIRST_BYTE_US
            self.wants_fields = self.wants_fields or op.atom == ATOM_RESPONSE_FIELD
            self.count += 1

    def __dealloc__(self):
        PyMem_RawFree(self.c_operations)

    cdef bytes _constant(self, Operation *op):
        """Turn the operation of what never changes into a literal's; its text."""
        cdef Lines lines
        memset(&lines, 0, sizeof(lines))
        try:
            self._write_atom(&lines, op, None)
            return PyBytes_FromStringAndSize(lines.base, lines.size)
        finally:
            PyMem_RawFree(lines.base)
            memset(op, 0, sizeof(Operation))

    cdef int write(self, Lines *lines, Exchange exchange) except -1:
        """Append the line of a request that has ended."""
        cdef int i
        cdef Operation *op
        self._tell_time()
        for i in range(self.count):
            op = &self.c_operations[i]
            if op.atom == ATOM_LITERAL:
                _put(lines, op.base, op.size)
            else:
                self._write_atom(lines, op, exchange)
        return _put(lines, b"\n", 1)

    cdef int _tell_time(self) except -1:
        """Read the clocks; the parts of the time that are the same for a second are written once in it."""
        cdef timespec now
        cdef tm local
        cdef long minutes
        if self.timed:
            self.ended_at = clock()
        clock_gettime(CLOCK_REALTIME, &now)
        self.nanosecond = now.tv_nsec
        if now.tv_sec == self.second:
            return 0
        self.second = now.tv_sec
        localtime_r(&now.tv_sec, &local)
        minutes = local.tm_gmtoff // 60
        snprintf(
            self.offset, sizeof(self.offset), b"%s%02u:%02u", b"-" if minutes < 0 else b"+",
            <unsigned int>(labs(minutes) // 60) % 100, <unsigned int>(labs(minutes) % 60),
        )
        snprintf(
            self.stamp, sizeof(self.stamp), b"%04u-%02u-%02u %02u:%02u:%02u", <unsigned int>(local.tm_year + 1900) % 10000,
            <unsigned int>(local.tm_mon + 1) % 100, <unsigned int>local.tm_mday % 100, <unsigned int>local.tm_hour % 100,
            <unsigned int>local.tm_min % 100, <unsigned int>local.tm_sec % 100,
        )
        snprintf(
            self.clf_time, sizeof(self.clf_time), b"[%.2s/%.3s/%.4s:%.8s %.3s%.2s]", &self.stamp[8], _MONTHS + 3 * local.tm_mon,
            &self.stamp[0], &self.stamp[11], &self.offset[0], &self.offset[4],
        )
        return 0

    cdef int _write_atom(self, Lines *lines, Operation *op, Exchange exchange) except -1:
        cdef size_t start = lines.size
        cdef bint json = op.form == FORM_JSON
        cdef bint known = True
        cdef int64_t number = 0
        lines.room = op.precision if op.precision >= 0 and op.form == FORM_TEXT else <size_t>-1
        if op.atom < ATOM_TLS:
            if json:
                _put_octet(lines, 34)
            known = self._write_text(lines, op, exchange)
            if not known:
                lines.size = start
            elif json:
                _put_octet(lines, 34)
        elif op.atom == ATOM_TLS:
            _put_truth(lines, exchange.secure, b"yes", b"no", json)
        elif op.atom == ATOM_ABORTED:
            _put_truth(lines, exchange.aborted, b"aborted", b"-", json)
        else:
            known = self._number(op.atom, exchange, &number)
            # What is unknown has no number to be written where one was asked for.
            if known or op.form == FORM_INTEGER or op.form == FORM_DECIMAL:
                _put_number(lines, op, number if known else 0)
                known = True
        if not known:
            _put(lines, b"null" if json else b"-", 4 if json else 1)
        if lines.size - start < op.width:
            _fill_up(lines, start, op)
        return 0

    cdef bint _write_text(self, Lines *lines, Operation *op, Exchange exchange) except -1:
        """Append a text, in JSON without its quotes; return whether it is known."""
        cdef int atom = op.atom
        cdef bint json = op.form == FORM_JSON
        if atom == ATOM_CLIENT:
            return _put_address(lines, exchange.client, json)
        elif atom == ATOM_REQUEST_LINE:
            return _put_request_line(lines, exchange, json)
        elif atom == ATOM_METHOD:
            return _put_known(lines, exchange.method, json)
        elif atom == ATOM_TARGET:
            return exchange.raw_path is not None and _put_target(lines, exchange, json)
        elif atom == ATOM_PATH:
            return exchange.raw_path is not None and _put_bytes(lines, exchange.raw_path, json) == 0
        elif atom == ATOM_QUERY_STRING:
            return exchange.query_string is not None and _put_bytes(lines, exchange.query_string, json) == 0
        elif atom == ATOM_PROTOCOL:
            return exchange.http_version is not None and _put_version(lines, exchange, json)
        elif atom == ATOM_HTTP_VERSION:
            return _put_known(lines, exchange.http_version, json)
        elif atom == ATOM_ADDR:
            return _put_known(lines, "unix" if exchange.client is None else exchange.client[0], json)
        elif atom == ATOM_REFERER:
            return _put_field(lines, exchange.headers, b"referer", 7, json)
        elif atom == ATOM_USER_AGENT:
            return _put_field(lines, exchange.headers, b"user-agent", 10, json)
        elif atom == ATOM_REQUEST_FIELD:
            return _put_field(lines, exchange.headers, op.base, op.size, json)
        elif atom == ATOM_RESPONSE_FIELD:
            return _put_field(lines, exchange.response_fields, op.base, op.size, json)
        elif atom == ATOM_SERVER:
            return exchange.server is not None and _put_address(lines, exchange.server, json)
        elif atom == ATOM_SCHEME:
            return _put_known(lines, exchange.scheme, json)
        elif atom == ATOM_USER:
            return _put_user(lines, exchange.headers, json)
        elif atom == ATOM_REQUEST_ID:
            return exchange.request_id is not None and _put_bytes(lines, exchange.request_id, json) == 0
        elif atom == ATOM_MARK:
            return _put(lines, b" aborted", 8 if exchange.aborted else 0) == 0
        elif atom == ATOM_CLF_PID:
            _put(lines, b"<", 1)
            _put_digits(lines, self.pid, 1)
            return _put(lines, b">", 1) == 0
        elif atom == ATOM_LOGNAME:
            return False
        return self._write_time(lines, atom) == 0

    cdef int _write_time(self, Lines *lines, int atom) except -1:
        if atom == ATOM_CLF_TIME:
            return _put(lines, self.clf_time, 28)
        if atom == ATOM_ISO_TIME:
            _put(lines, self.stamp, 10)
            _put(lines, b"T", 1)
            _put(lines, self.stamp + 11, 8)
            _put(lines, b".", 1)
            _put_digits(lines, self.nanosecond // 1000000, 3)
            return _put(lines, self.offset, 6)
        _put(lines, self.stamp, 19)
        if atom == ATOM_TIME:
            _put(lines, b" ", 1)
            _put(lines, self.offset, 3)
            _put(lines, self.offset + 4, 2)
        return 0

    cdef bint _number(self, int atom, Exchange exchange, int64_t *number) except -1:
        """Find a number; return whether it is known."""
        if atom == ATOM_STATUS:
            number[0] = exchange.status
            return exchange.status != 0
        if atom == ATOM_BYTES_IN:
            number[0] = exchange.bytes_in
        elif atom == ATOM_BYTES_OUT:
            number[0] = exchange.bytes_out
        elif atom == ATOM_BODY_BYTES or atom == ATOM_CLF_BYTES:
            number[0] = exchange.body_bytes()
            return atom == ATOM_BODY_BYTES or number[0] != 0
        elif atom == ATOM_PID:
            number[0] = self.pid
        elif atom == ATOM_WORKER:
            number[0] = self.worker
            return self.worker != 0
        elif atom == ATOM_CLIENT_PORT:
            if exchange.client is None:
                return False
            number[0] = exchange.client[1]
        elif atom == ATOM_FIRST_BYTE_US:
            number[0] = exchange.first_byte_at - exchange.began_at
            return exchange.first_byte_at != 0
        else:
            number[0] = self.ended_at - exchange.began_at
            return exchange.began_at != 0
        return True


cdef int _put_number(Lines *lines, Operation *op, int64_t number) except -1:
    cdef int i = op.atom - ATOM_FIRST_BYTE_US
    cdef int digits = 6 if op.form == FORM_DECIMAL else 0
    cdef int point = 0
    if i >= 0:
        if op.form != FORM_DECIMAL:
            digits = granite_digits[i]
        if op.form == FORM_INTEGER or digits == 0:
            return _put_digits(lines, number // granite_units[i], 1)
        point = granite_points[i]
    if op.precision >= 0:
        digits = op.precision if op.form != FORM_INTEGER else 0
    return _put_decimal(lines, number, point, digits)


cdef int _put_truth(Lines *lines, bint truth, const char *yes, const char *no, bint json) except -1:
    cdef const char *text = yes if truth else no
    if json:
        text = b"true" if truth else b"false"
    return _put(lines, text, strlen(text))


cdef bint _put_known(Lines *lines, object text, bint json) except -1:
    return text is not None and _put_str(lines, text, json) == 0


cdef bint _put_address(Lines *lines, object address, bint json) except -1:
    """Append (host, port) or (path, None); None is a client at a Unix socket."""
    if address is None:
        return _put(lines, b"unix", 4) == 0
    _put_str(lines, <object>PyTuple_GET_ITEM(<PyObject *>address, 0), json)
    port = <object>PyTuple_GET_ITEM(<PyObject *>address, 1)
    if port is not None:
        _put_octet(lines, 58)
        _put_digits(lines, <uint64_t>port, 1)
    return True


cdef bint _put_target(Lines *lines, Exchange exchange, bint json) except -1:
    _put_bytes(lines, exchange.raw_path, json)
    if exchange.query_string is not None and PyBytes_GET_SIZE(<PyObject *>exchange.query_string):
        _put_octet(lines, 63)
        _put_bytes(lines, exchange.query_string, json)
    return True


cdef bint _put_version(Lines *lines, Exchange exchange, bint json) except -1:
    if exchange.http_version is _HTTP11:
        return _put_text(lines, b"HTTP/1.1", 8, json) == 0
    _put_text(lines, b"HTTP/", 5, json)
    _put_str(lines, exchange.http_version, json)
    return exchange.http_version != "2" or _put_text(lines, b".0", 2, json) == 0


cdef bint _put_request_line(Lines *lines, Exchange exchange, bint json) except -1:
    """Append what is known of it, which is not all where the request was refused for it."""
    if exchange.method is None and exchange.raw_path is None:
        return False
    _put_str(lines, exchange.method if exchange.method is not None else "-", json)
    if exchange.raw_path is not None:
        _put_octet(lines, 32)
        _put_target(lines, exchange, json)
    if exchange.http_version is not None:
        _put_octet(lines, 32)
        _put_version(lines, exchange, json)
    return True


cdef object _find_field(object fields, const char *name, size_t size):
    """The value of a field, None without; of a response's fields nothing is certain."""
    cdef PyObject *pair
    cdef PyObject *found
    if fields is None:
        return None
    for field in fields:
        pair = <PyObject *>field
        if PyTuple_CheckExact(pair) and PyTuple_GET_SIZE(pair) == 2:
            found = PyTuple_GET_ITEM(pair, 0)
            pair = PyTuple_GET_ITEM(pair, 1)
        elif PyList_CheckExact(pair) and PyList_GET_SIZE(pair) == 2:
            found = PyList_GET_ITEM(pair, 0)
            pair = PyList_GET_ITEM(pair, 1)
        else:
            continue
        if PyBytes_CheckExact(found) and PyBytes_CheckExact(pair) and <size_t>PyBytes_GET_SIZE(found) == size \
                and strncasecmp(PyBytes_AS_STRING(found), name, size) == 0:
            return <object>pair
    return None


cdef bint _put_field(Lines *lines, object fields, const char *name, size_t size, bint json) except -1:
    value = _find_field(fields, name, size)
    return value is not None and _put_bytes(lines, value, json) == 0


cdef bint _put_user(Lines *lines, object fields, bint json) except -1:
    """Append the user name of `Authorization: Basic` (RFC 7617); no password is ever decoded."""
    cdef char user[USER_LIMIT]
    cdef size_t length = 0
    cdef unsigned int bits = 0
    cdef int count = 0
    cdef int digit
    cdef Py_ssize_t i = 6
    value = _find_field(fields, b"authorization", 13)
    if value is None or PyBytes_GET_SIZE(<PyObject *>value) < 7 or strncasecmp(PyBytes_AS_STRING(<PyObject *>value), b"basic ", 6) != 0:
        return False
    cdef const char *base = PyBytes_AS_STRING(<PyObject *>value)
    while i < PyBytes_GET_SIZE(<PyObject *>value) and length < USER_LIMIT:
        digit = _base64(base[i])
        i += 1
        if digit < 0:
            return False
        bits = bits << 6 | <unsigned int>digit
        count += 6
        if count >= 8:
            count -= 8
            user[length] = <char>(bits >> count & 255)
            if user[length] == 58:
                return length > 0 and _put_text(lines, user, length, json) == 0
            length += 1
    return False


cdef inline int _base64(unsigned char c) noexcept:
    if 65 <= c <= 90:
        return c - 65
    if 97 <= c <= 122:
        return c - 71
    if 48 <= c <= 57:
        return c + 4
    return 62 if c == 43 or c == 45 else (63 if c == 47 or c == 95 else -1)
