# wsgi.input: the request's body, as a file. It ends where the body ends, whatever Content-Length says or does not.

# The collector can do without clearing it: a cycle that it is part of has the environ.
@cython.no_gc_clear
@cython.freelist(64)
cdef class Input:
    """The request's body, read as it comes.

    Reading raises OSError (ClientDisconnected) if the body cannot come to its end.
    """

    cdef bint _fill(self) except -1:
        """Have a piece that has something in it; False at the body's end."""
        if self.piece is not None:
            return True
        if self.ended:
            return False
        if self.exchange.stage == STAGE_ENDED:
            raise self.exchange._gone() if self.exchange.disconnected else OSError("the body was not read before the application's call was over")
        self.piece = self.exchange._fetch()
        self.offset = 0
        if PyBytes_GET_SIZE(<PyObject *>self.piece) == 0:
            self.piece = None
            self.ended = True
        return not self.ended

    cdef bytes _take(self, Py_ssize_t size):
        """The next `size` bytes of the piece, or all of them."""
        cdef Py_ssize_t left = PyBytes_GET_SIZE(<PyObject *>self.piece) - self.offset
        cdef bytes taken
        if size < left:
            taken = PyBytes_FromStringAndSize(PyBytes_AS_STRING(<PyObject *>self.piece) + self.offset, size)
            self.offset += size
            return taken
        if self.offset == 0:
            taken = self.piece
        else:
            taken = PyBytes_FromStringAndSize(PyBytes_AS_STRING(<PyObject *>self.piece) + self.offset, left)
        self.piece = None
        return taken

    cdef bytes _read_all(self):
        cdef list pieces
        cdef bytes first
        if not self._fill():
            return b""
        first = self._take(sys.maxsize)
        if not self._fill():
            return first
        pieces = [first]
        while self._fill():
            pieces.append(self._take(sys.maxsize))
        return b"".join(pieces)

    cdef bytes _read(self, Py_ssize_t size):
        cdef list pieces
        cdef bytes taken
        if size <= 0 or not self._fill():
            return b""
        taken = self._take(size)
        size -= PyBytes_GET_SIZE(<PyObject *>taken)
        if size == 0:
            return taken
        pieces = [taken]
        while size and self._fill():
            taken = self._take(size)
            size -= PyBytes_GET_SIZE(<PyObject *>taken)
            pieces.append(taken)
        return b"".join(pieces)

    cdef bytes _read_line(self, Py_ssize_t limit):
        """Up to the next line end, with it, or `limit` bytes."""
        cdef list pieces = []
        cdef const char *base
        cdef const char *found
        cdef Py_ssize_t size
        while limit and self._fill():
            base = PyBytes_AS_STRING(<PyObject *>self.piece) + self.offset
            size = min(PyBytes_GET_SIZE(<PyObject *>self.piece) - self.offset, limit)
            found = <const char *>memchr(base, 10, size)
            if found is not NULL:
                size = limit = found + 1 - base
            limit -= size
            pieces.append(self._take(size))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def __call__(self, headers):
        """wsgi.early_hints: send a 103 with these headers. It is the same object, since each request has both and hardly any uses both."""
        self.exchange._hint(headers)

    def read(self, size=-1):
        """Return `size` bytes, fewer only at the end; all of them if it is negative or None."""
        if size is None or size < 0:
            return self._read_all()
        return self._read(size)

    def readline(self, size=-1):
        """Return the next line with its end, or `size` bytes of it; an empty string at the end of the body."""
        return self._read_line(sys.maxsize if size is None or size < 0 else size)

    def readlines(self, hint=-1):
        """Return the lines that are left; with a positive `hint`, no more once they have that many bytes."""
        cdef Py_ssize_t most = sys.maxsize if hint is None or hint <= 0 else hint
        cdef Py_ssize_t size = 0
        lines = []
        while size < most:
            line = self._read_line(sys.maxsize)
            if not line:
                break
            size += len(line)
            lines.append(line)
        return lines

    def __iter__(self):
        return self

    def __next__(self):
        line = self._read_line(sys.maxsize)
        if not line:
            raise StopIteration
        return line
