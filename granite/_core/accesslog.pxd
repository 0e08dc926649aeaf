# The access log: lines of requests, collected during a turn of the event loop and written at its end.

from libc.stdint cimport int64_t
from granite._core.exchange cimport Exchange
from granite._core.transport cimport Deferred, LoopTurn

cdef enum:
    BATCH = 65536                       # bytes of lines that do not wait for the end of the turn
    MOST_KEPT = 1048576                 # bytes of lines that wait for a destination that does not take them

cdef enum Form:
    FORM_TEXT
    FORM_INTEGER
    FORM_DECIMAL
    FORM_JSON

cdef enum Destination:
    TO_FILE                             # a batch is one write(), which no other process's lies in
    TO_STREAM                           # a terminal or a pipe: whole lines in several writes that must not block
    TO_SOCKET                           # likewise
    TO_SINK                             # an object of Python that takes lines
    TO_LOGGER                           # the standard library's logging: a record for each line

cdef struct Lines:
    char *base
    size_t start                        # what lies before is written
    size_t size
    size_t capacity
    size_t room                         # bytes of a text that its precision still leaves

cdef struct Operation:
    int atom                            # ATOM_LITERAL: the text itself
    Form form
    bint left                           # how what is shorter than `width` is filled up
    bint zeros
    size_t width
    int precision                       # -1: none
    const char *base                    # the text, or a field's name
    size_t size

cdef class LineFormat:
    cdef Operation *c_operations
    cdef int count
    cdef list texts                     # what the operations point to
    cdef readonly bint timed            # durations are wanted
    cdef readonly bint wants_first_byte
    cdef readonly bint wants_fields     # of responses
    cdef int64_t pid
    cdef int64_t worker
    # what is the same for a second
    cdef int64_t second
    cdef int64_t nanosecond
    cdef int64_t ended_at               # of the line that is written, on the clock of durations
    cdef char stamp[20]                 # 2026-11-21 12:00:00
    cdef char offset[7]                 # +00:00
    cdef char clf_time[29]              # [21/Nov/2026:12:00:00 +0000]

    cdef bytes _constant(self, Operation *op)
    cdef int write(self, Lines *lines, Exchange exchange) except -1
    cdef int _tell_time(self) except -1
    cdef int _write_atom(self, Lines *lines, Operation *op, Exchange exchange) except -1
    cdef bint _write_text(self, Lines *lines, Operation *op, Exchange exchange) except -1
    cdef int _write_time(self, Lines *lines, int atom) except -1
    cdef bint _number(self, int atom, Exchange exchange, int64_t *number) except -1

cdef class AccessLog(Deferred):
    cdef readonly LineFormat format
    cdef readonly long long lost        # lines, since the last one that was written
    cdef LoopTurn turn                      # None: lines are written at once
    cdef object loop
    cdef object sink
    cdef object logger
    cdef bint default                   # a logger's records have the parts of the default form
    cdef list excluded                  # of (beginning of a path, whether more may follow)
    cdef Destination destination
    cdef int fd
    cdef int own_fd                     # a pipe, opened once more so that it does not block; -1: none
    cdef Lines lines
    cdef bint halfway                   # the last write ended inside of a line
    cdef bint torn                      # ... whose rest is lost
    cdef bint failing                   # and that was said
    cdef bint writing
    cdef bint waiting                   # for a destination that is full
    cdef readonly bint closed

    cdef int attach(self, LoopTurn turn, object loop) except -1
    cdef void append(self, Exchange exchange) noexcept
    cdef int _append(self, Exchange exchange) except -1
    cdef bint _is_excluded(self, Exchange exchange) noexcept
    cdef int _record(self, Exchange exchange) except -1
    cdef int _open(self) except -1
    cdef int _deliver(self) except -1
    cdef int _hand_over(self) except -1
    cdef int _write_lines(self) noexcept
    cdef size_t _piece(self) noexcept
    cdef ssize_t _write_some(self, const char *base, size_t size) noexcept
    cdef int _wait(self) except -1
    cdef int _lose(self, int error) except -1
    cdef int _recovered(self) except -1
