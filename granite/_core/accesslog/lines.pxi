# A buffer of lines, and how texts and numbers get into it: whatever a client sends, it ends no line, moves no cursor and closes no quotes.

cdef const char *_HEX_TEXT = b"0123456789ABCDEF"
cdef const char *_HEX_JSON = b"0123456789abcdef"


cdef int _grow(Lines *lines, size_t size) except -1:
    cdef size_t capacity = max(2 * lines.capacity, lines.size + size, <size_t>4096)
    cdef char *grown = <char *>PyMem_RawRealloc(lines.base, capacity)
    if grown is NULL:
        raise MemoryError()
    lines.base = grown
    lines.capacity = capacity
    return 0


cdef inline char *_reserve(Lines *lines, size_t size) except NULL:
    if lines.capacity - lines.size < size:
        _grow(lines, size)
    return lines.base + lines.size


cdef inline int _put(Lines *lines, const char *base, size_t size) except -1:
    """Append what needs no escape."""
    memcpy(_reserve(lines, size), base, size)
    lines.size += size
    return 0


cdef int _put_text(Lines *lines, const char *base, size_t size, bint json) except -1:
    """Append bytes of which nothing is known: in text as \\xHH what is no printable ASCII, in JSON as \\u00HH."""
    cdef size_t i = 0
    cdef size_t plain
    cdef unsigned char c
    cdef char *place
    if size > lines.room:
        size = lines.room
    lines.room -= size
    while True:
        plain = granite_copy_plain(_reserve(lines, size - i), base + i, size - i)
        lines.size += plain
        i += plain
        if i == size:
            return 0
        c = base[i]
        i += 1
        place = _reserve(lines, 6)
        place[0] = 92
        if json:
            memcpy(place + 1, b"u00", 3)
            place[4] = _HEX_JSON[c >> 4]
            place[5] = _HEX_JSON[c & 15]
            lines.size += 6
        else:
            place[1] = 120
            place[2] = _HEX_TEXT[c >> 4]
            place[3] = _HEX_TEXT[c & 15]
            lines.size += 4


cdef inline int _put_octet(Lines *lines, char octet) except -1:
    """Append one that needs no escape, if the text has room for it."""
    if lines.room:
        lines.room -= 1
        _reserve(lines, 1)[0] = octet
        lines.size += 1
    return 0


cdef int _put_str(Lines *lines, object text, bint json) except -1:
    """Append a str of Python."""
    cdef bytes encoded
    if PyUnicode_IS_COMPACT_ASCII(<PyObject *>text):
        return _put_text(lines, <const char *>PyUnicode_DATA(<PyObject *>text), PyUnicode_GET_LENGTH(<PyObject *>text), json)
    encoded = text.encode("utf-8", "surrogateescape")
    return _put_text(lines, PyBytes_AS_STRING(<PyObject *>encoded), PyBytes_GET_SIZE(<PyObject *>encoded), json)


cdef int _put_bytes(Lines *lines, object data, bint json) except -1:
    return _put_text(lines, PyBytes_AS_STRING(<PyObject *>data), PyBytes_GET_SIZE(<PyObject *>data), json)


cdef str _escaped(object text):
    """A str or bytes as they are in a line of text."""
    cdef Lines line
    memset(&line, 0, sizeof(line))
    line.room = <size_t>-1
    try:
        if isinstance(text, bytes):
            _put_bytes(&line, text, False)
        else:
            _put_str(&line, text, False)
        return PyUnicode_DecodeUTF8(line.base, line.size, NULL)
    finally:
        PyMem_RawFree(line.base)


cdef int _put_digits(Lines *lines, uint64_t number, int least) except -1:
    """Append a number with `least` digits or more."""
    cdef char *place = _reserve(lines, 24)
    cdef uint64_t rest = number
    cdef int count = 0
    while rest:
        rest //= 10
        count += 1
    count = max(count, least)
    lines.size += count
    while count:
        count -= 1
        place[count] = <char>(48 + number % 10)
        number //= 10
    return 0


cdef int _put_decimal(Lines *lines, int64_t number, int point, int precision) except -1:
    """Append number / 10**point with so many digits behind the point, rounded."""
    cdef uint64_t scale = 1
    cdef uint64_t value = number if number > 0 else 0
    cdef int shown = precision if precision < point else point
    cdef int i
    for i in range(point - shown):
        scale *= 10
    value = (value + scale // 2) // scale
    scale = 1
    for i in range(shown):
        scale *= 10
    _put_digits(lines, value // scale, 1)
    if precision > 0:
        _put(lines, b".", 1)
        _put_digits(lines, value % scale, shown)
        for i in range(precision - shown):
            _put(lines, b"0", 1)
    return 0


cdef int _fill_up(Lines *lines, size_t start, Operation *op) except -1:
    """Bring what was appended since `start` to its width."""
    cdef size_t size = lines.size - start
    cdef size_t missing = op.width - size
    cdef char *place
    _reserve(lines, missing)
    place = lines.base + start
    if op.left:
        memset(place + size, 32, missing)
    else:
        memmove(place + missing, place, size)
        memset(place, 48 if op.zeros and op.form != FORM_TEXT else 32, missing)
    lines.size += missing
    return 0
