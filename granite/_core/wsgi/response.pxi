# What an application begins its response with, and wsgi.file_wrapper.

cdef bytes _bytes(object piece):
    if PyBytes_CheckExact(<PyObject *>piece):
        return <bytes>piece
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"the response's body: expected bytes, got {type(piece).__name__}")


cdef class Fields:
    """Pairs of strings as pairs of bytes. Those that are constants of the application's code come again and again, and are known by their
    place in memory. Each thread has its own."""

    def __dealloc__(self):
        cdef int i
        for i in range(FIELD_SLOTS):
            Py_XDECREF(self.entries[i].given)
            Py_XDECREF(self.entries[i].field)

    cdef int code(self, object status) except -1:
        """The number of a status such as "200 OK"; its words are the `reason` then."""
        if status is self.last_status and status is not None:
            return self.last_code
        if not isinstance(status, str):
            raise TypeError(f"start_response(): expected the status to be a str such as '200 OK', got {status!r}")
        digits, _, words = PyUnicode_FromObject(status).partition(" ")
        if len(digits) != 3 or not digits.isascii() or not digits.isdigit() or digits < "200":
            raise ValueError(f"start_response(): expected a status from 200 to 999 and its reason, such as '200 OK', got {status!r}")
        reason = _latin_bytes(words)
        if not is_value(PyBytes_AS_STRING(<PyObject *>reason), PyBytes_GET_SIZE(<PyObject *>reason)):
            raise ValueError(f"start_response(): the status must not hold CR, LF or NUL, got {status!r}")
        self.last_status = status
        self.last_code = int(digits)
        self.reason = reason or None
        return self.last_code

    cdef list all(self, object headers, int64_t *length):
        """Headers as the protocol takes them; `length` is what they declare, or stays as it is."""
        cdef list given
        cdef list fields = []
        if not isinstance(headers, (list, tuple)):
            raise TypeError(f"expected the headers to be a list of pairs (name, value), got {headers!r}")
        given = <list>headers if PyList_CheckExact(<PyObject *>headers) else list(headers)
        for pair in given:
            fields.append(self.field(pair, length))
        return fields

    cdef object field(self, object given, int64_t *length):
        cdef FieldEntry *entry = &self.entries[_slot(<PyObject *>given, FIELD_SLOTS)]
        cdef int64_t declared
        cdef bint constant
        if entry.given is <PyObject *>given:
            if entry.length >= 0:
                length[0] = entry.length
            return <object>entry.field
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise TypeError(f"headers: expected pairs (name, value), got {given!r}")
        # The list and the caller have one each, and the code has a third.
        constant = PyTuple_CheckExact(<PyObject *>given) and Py_REFCNT(<PyObject *>given) > 2
        name, value = given
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers: expected names and values to be str, got {given!r}")
        field = (_latin_bytes(name), _latin_bytes(value))
        if not _is_field(field[0], field[1]):
            raise ValueError(f"headers: a name must be a token and a value must not hold CR, LF or NUL, got {given!r}")
        declared = _length_of(field[0], field[1])
        if declared >= 0:
            length[0] = declared
        if constant and PyUnicode_CheckExact(<PyObject *>name) and PyUnicode_CheckExact(<PyObject *>value):
            _replace(&entry.given, <PyObject *>given)
            _replace(&entry.field, <PyObject *>field)
            entry.length = declared
        return field


cdef int64_t _length_of(bytes name, bytes value) noexcept:
    """What a field says of the body's length, -1 if it says nothing; the protocol judges it."""
    if PyBytes_GET_SIZE(<PyObject *>name) != 14 or not equals_lower(PyBytes_AS_STRING(<PyObject *>name), b"content-length", 14):
        return -1
    return number_of(PyBytes_AS_STRING(<PyObject *>value), PyBytes_GET_SIZE(<PyObject *>value))


cdef bint _is_field(bytes name, bytes value) noexcept:
    return is_token(PyBytes_AS_STRING(<PyObject *>name), PyBytes_GET_SIZE(<PyObject *>name)) and is_value(
        PyBytes_AS_STRING(<PyObject *>value), PyBytes_GET_SIZE(<PyObject *>value))


cdef bytes _latin_bytes(object text):
    try:
        return PyUnicode_AsLatin1String(text)
    except UnicodeEncodeError:
        raise ValueError(f"expected characters of Latin-1, got {text!r}") from None


cdef class FileWrapper:
    """wsgi.file_wrapper: iterates over a file in blocks. One that the application returns as it is and that reads a regular file is sent
    without being read."""

    def __init__(self, filelike, blksize=8192):
        self.filelike = filelike
        self.blksize = blksize

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.blksize)
        if not data:
            raise StopIteration
        return data

    def close(self):
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()


cdef object regular_file(object filelike):
    """The file object of the standard library whose own read() `filelike` has, as itself or by a wrapper such as those of tempfile and Django,
    if that reads a descriptor and nothing else; or None. A wrapper that reads in another way may change what it reads."""
    read = getattr(filelike, "read", None)
    read = getattr(read, "__wrapped__", read)
    file = read.__self__ if isinstance(read, types.BuiltinMethodType) else None
    raw = file.raw if type(file) is io.BufferedReader or type(file) is io.BufferedRandom else file
    return file if type(raw) is io.FileIO else None
