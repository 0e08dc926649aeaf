# granite's own event loop, for processes and threads without asyncio.

from libc.stdint cimport int64_t
from granite._core.capi.poll cimport pollfd

cdef class Flag:
    cdef bint raised

cdef class Handle:
    cdef Loop loop                      # whose timer it is; None: it is none, or not armed any more
    cdef int64_t due                    # ns on the monotonic clock
    cdef object callback                # None: cancelled, or called
    cdef tuple args

cdef class Loop:
    cdef object ready                   # a deque of Handles
    cdef list timers                    # Handles, the next one last
    cdef pollfd *fds                    # what is waited for: the pipe, and then the readers
    cdef int capacity
    cdef list readers                   # what is called, a Handle each, in the order of `fds`; for the pipe None
    cdef dict signals                   # number -> (callback, args, what handled it before)
    cdef object wakeup_before           # the descriptor that Python wrote signals to before
    cdef int pid                        # of the process that waits; a fork of it is none of the loop's
    cdef int wake_fd                    # the pipe's end that wakes; -1: closed
    cdef int count                      # of the descriptors
    cdef int depth                      # turns inside of each other
    cdef bint owing                     # the last turn has not looked at the descriptors
    cpdef int turn(self) except -1
    cdef Handle _call_at(self, int64_t due, object callback, tuple args)
    cdef int _append(self, int fd, Handle handle) except -1
    cdef int _find(self, int fd) noexcept
    cdef int _wake(self) except -1
    cdef int _call_once(self, Handle handle) except -1
    cdef int _call(self, callback, tuple args) except -1
    cdef int _turn(self) except -1
    cdef bint _run_ready(self) except -1
    cdef int _timeout(self) noexcept
    cdef int _run_readers(self) except -1
    cdef int _empty_pipe(self) except -1
    cdef int _run_signal_handlers(self) except -1
    cdef int _run_timers(self) except -1
