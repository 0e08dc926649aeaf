# Where the lines go.

cdef enum:
    INFO = 20                           # the standard library's level
    RETRY_AFTER = 50                    # ms between two looks at a destination that is full


cdef class AccessLog(Deferred):
    """Collects the lines of requests and writes them.

    Parameters:
        operations: see LineFormat.
        sink: has `fileno()`, the descriptor that lines are written to, or -1; then they go to `write_lines(bytes)`.
        logger: takes a record for each line, in the sink's place.
        default: whether the lines have the default form; then a logger's records have the parts of it as their arguments.
        excluded: paths that are not logged; where the last character is `*`, whatever begins like the rest.
        worker: the number of this worker's slot, 0 for none.
    """

    def __init__(self, operations, *, sink=None, logger=None, bint default=True, excluded=(), worker=0):
        self.format = LineFormat(operations, worker)
        self.sink = sink
        self.logger = logger
        self.default = default
        self.fd = self.own_fd = -1
        self.excluded = [
            (path.removesuffix("*").encode("utf-8", "surrogateescape"), path.endswith("*")) for path in excluded
        ]
        self._open()

    def __dealloc__(self):
        PyMem_RawFree(self.lines.base)
        if self.own_fd >= 0:
            _close_fd(self.own_fd)

    cdef int attach(self, LoopTurn turn, object loop) except -1:
        """From now on lines wait for the end of the turn."""
        self.turn = turn
        self.loop = loop
        return 0

    # collecting

    cdef void append(self, Exchange exchange) noexcept:
        """Log a request that has ended. Nothing that goes wrong here is the request's business."""
        try:
            if not self.closed and not self._is_excluded(exchange):
                self._append(exchange)
        except Exception as exc:
            _log.error("the access log failed", exc_info=exc)

    cdef int _append(self, Exchange exchange) except -1:
        cdef size_t before = self.lines.size
        if self.destination == TO_LOGGER:
            return self._record(exchange)
        try:
            self.format.write(&self.lines, exchange)
        except BaseException:
            self.lines.size = before
            raise
        if self.lines.size - self.lines.start > MOST_KEPT:
            self.lines.size = before
            self.lost += 1
            return 0
        if self.lines.size - self.lines.start > BATCH and not self.waiting or self.turn is None:
            return self._deliver()
        if not self.deferred and not self.waiting:
            self.turn.at_end(self)
        return 0

    cdef bint _is_excluded(self, Exchange exchange) noexcept:
        cdef const char *path
        cdef Py_ssize_t size, length
        cdef PyObject *pattern
        if not self.excluded or exchange.raw_path is None:
            return False
        path = PyBytes_AS_STRING(<PyObject *>exchange.raw_path)
        size = PyBytes_GET_SIZE(<PyObject *>exchange.raw_path)
        for item in self.excluded:
            pattern = PyTuple_GET_ITEM(<PyObject *>item, 0)
            length = PyBytes_GET_SIZE(pattern)
            if (size == length or size > length and <object>PyTuple_GET_ITEM(<PyObject *>item, 1) is True) \
                    and memcmp(path, PyBytes_AS_STRING(pattern), length) == 0:
                return True
        return False

    cdef int _record(self, Exchange exchange) except -1:
        """Hand a record to the standard library's logging, while the request's context is the current one."""
        cdef Lines line
        if not self.logger.isEnabledFor(INFO):
            return 0
        if self.default:
            target = exchange.raw_path if exchange.raw_path is not None else b"-"
            if exchange.query_string:
                target += b"?" + exchange.query_string
            # Nobody knows what the logger's handlers make of what a client may have sent.
            self.logger.info(
                '%s - "%s %s HTTP/%s" %d aborted' if exchange.aborted else '%s - "%s %s HTTP/%s" %d', name_of(exchange.client),
                _escaped(exchange.method or "-"), _escaped(target), _escaped(exchange.http_version or "-"), exchange.status,
            )
            return 0
        memset(&line, 0, sizeof(line))
        try:
            self.format.write(&line, exchange)
            text = PyUnicode_DecodeUTF8(line.base, line.size - 1, "backslashreplace")
        finally:
            PyMem_RawFree(line.base)
        self.logger.info(text, extra=_COMPLETE)
        return 0

    # delivering

    cdef int turn_ended(self) except -1:
        return 0 if self.waiting else self._deliver()

    def flush(self):
        """Write what was collected, as far as the destination takes it."""
        self._deliver()

    def reopened(self):
        """The sink's descriptor stands for something else now."""
        if not self.closed:
            self._open()

    def close(self, double patience=1.0):
        """Write what was collected, waiting up to `patience` seconds for a destination that is full. Idempotent; what comes later is not
        written.
        """
        cdef pollfd full
        cdef int64_t deadline = clock() + <int64_t>(patience * 1e9)
        if self.closed:
            return
        if getpid() == self.format.pid:         # in a fork of the application's these are its parent's lines
            self._deliver()
            while self.waiting and clock() < deadline:
                full.fd = self.own_fd if self.own_fd >= 0 else self.fd
                full.events = POLLOUT
                poll(&full, 1, 10)
                self._deliver()
            if self.waiting:
                self._lose(EAGAIN)
        self.closed = True
        self.turn = self.loop = self.sink = None

    def _retry(self):
        if not self.closed:
            self._deliver()
            if self.waiting:
                self.loop.call_later(RETRY_AFTER / 1000.0, self._retry)

    cdef int _open(self) except -1:
        """Find out what takes the lines, and how it is written to."""
        cdef struct_stat status
        if self.own_fd >= 0:
            _close_fd(self.own_fd)
            self.own_fd = -1
        if self.logger is not None:
            self.destination = TO_LOGGER
            return 0
        self.destination = TO_SINK
        self.fd = self.sink.fileno()
        if self.fd < 0 or fstat(self.fd, &status) < 0:
            return 0
        if S_ISREG(status.st_mode):
            self.destination = TO_FILE
        elif S_ISSOCK(status.st_mode):
            self.destination = TO_SOCKET
        else:
            self.destination = TO_STREAM
            if S_ISFIFO(status.st_mode):
                # A pipe is shared with other programs, which rely on its writes to block: only a description of our own may not.
                self.own_fd = _open_path(f"/proc/self/fd/{self.fd}".encode(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        return 0

    cdef int _deliver(self) except -1:
        cdef int error
        if self.writing or self.closed or self.lines.start == self.lines.size:
            return 0
        self.writing = True
        try:
            if self.destination == TO_SINK:
                return self._hand_over()
            error = self._write_lines()
            if error == EAGAIN:
                return self._wait()
            self.waiting = False
            if error:
                self._lose(error)
            elif self.lost or self.failing:
                self._recovered()
        finally:
            self.writing = False
        return 0

    cdef int _hand_over(self) except -1:
        lines = PyBytes_FromStringAndSize(self.lines.base + self.lines.start, self.lines.size - self.lines.start)
        self.lines.start = self.lines.size = 0
        self.sink.write_lines(lines)
        return 0

    cdef int _write_lines(self) noexcept:
        """Write what the destination takes; return 0 or the error that stopped it."""
        cdef Lines *lines = &self.lines
        cdef ssize_t written = 0
        if self.torn:                   # the next line is not to end a broken one
            written = self._write_some(b"\n", 1)
            if written < 0:
                return -<int>written
            self.torn = False
        while lines.start < lines.size:
            written = self._write_some(lines.base + lines.start, self._piece())
            if written < 0:
                break
            lines.start += written
            self.halfway = lines.base[lines.start - 1] != 10
        if lines.start == lines.size:
            lines.start = lines.size = 0
            return 0
        return -<int>written

    cdef size_t _piece(self) noexcept:
        """How much is written at once: to a stream so many whole lines that they stay together, or one that is longer."""
        cdef size_t left = self.lines.size - self.lines.start
        cdef const char *base = self.lines.base + self.lines.start
        cdef size_t size = PIPE_BUF
        cdef const char *end
        if self.destination == TO_FILE or left <= size:
            return left
        while size and base[size - 1] != 10:
            size -= 1
        if size:
            return size
        end = <const char *>memchr(base, 10, left)
        return end + 1 - base

    cdef ssize_t _write_some(self, const char *base, size_t size) noexcept:
        """One write that does not block, if it is one to a stream; how much of it was done, or the error, negative."""
        cdef pollfd ready
        cdef ssize_t written
        while True:
            if self.destination == TO_SOCKET:
                written = send(self.fd, base, size, MSG_DONTWAIT | MSG_NOSIGNAL)
            elif self.own_fd >= 0 or self.destination == TO_FILE:
                written = write(self.own_fd if self.own_fd >= 0 else self.fd, base, size)
            else:
                ready.fd = self.fd
                ready.events = POLLOUT
                if poll(&ready, 1, 0) == 0:
                    return -EAGAIN
                written = write(self.fd, base, size)
            if written >= 0:
                return written
            if errno != EINTR:
                return -errno

    cdef int _wait(self) except -1:
        """The destination is full: keep the lines and look again in a while."""
        if self.lines.start:
            self.lines.size -= self.lines.start
            memmove(self.lines.base, self.lines.base + self.lines.start, self.lines.size)
            self.lines.start = 0
        if not self.waiting:
            self.waiting = True
            if self.loop is not None:
                self.loop.call_later(RETRY_AFTER / 1000.0, self._retry)
        return 0

    cdef int _lose(self, int error) except -1:
        """Drop what was not written, and say so, once for as long as it lasts."""
        cdef Lines *lines = &self.lines
        cdef size_t i
        self.torn = self.torn or self.halfway
        self.halfway = False
        for i in range(lines.start, lines.size):
            self.lost += lines.base[i] == 10
        lines.start = lines.size = 0
        if not self.failing:
            self.failing = True
            _log.error("the access log cannot be written, lines are lost: %s", (<bytes>strerror(error)).decode("utf-8", "replace"))
        return 0

    cdef int _recovered(self) except -1:
        lost, self.lost = self.lost, 0
        self.failing = False
        _log.warning("the access log is written again, %d lines were lost", lost)
        return 0


# What says to our own handler that a record's text is the whole line.
cdef dict _COMPLETE = {"complete": True}
