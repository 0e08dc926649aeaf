"""An event loop for processes and threads without asyncio.

Owns what is waited for: a few descriptors, timers, signals, and the pipe that ends the wait from elsewhere. Knows neither libuv nor what
it calls; the reactor nests in it as it nests in asyncio's loops, of whose methods it has those that granite uses, by their names. Made,
used and closed on one thread, but for call_soon_threadsafe().

Theory of operation: run_until() takes turns. A turn calls what is ready, or else waits with one poll(), without the GIL, and then calls
what the descriptors are for and the timers that are due. Turns nest: what is called may take one itself, to wait for something. So
nobody may rely on a list that was there before a call: what is ready is taken from a queue one at a time, descriptors are gone through
by their places, of which each is cleared before its call, and what is missed is found at the next turn, as poll() tells it again.
"""

import _signal
import os
from _collections import deque

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.errno cimport EINTR, errno
from posix.unistd cimport close, getpid, read, write
from granite._core.capi.poll cimport POLLIN, poll, pollfd
from granite._core.counters cimport clock
from granite._core.errorlog import error_log as _log


cdef enum:
    LONGEST_WAIT = 86400000             # ms
    MORE_READERS = 4                    # for which room is made at once


cdef class Flag:
    """What run_until() waits for; asyncio.Event's methods, without its waiting."""

    def set(self):
        """End the wait. On the loop's thread; elsewhere, call_soon_threadsafe(flag.set)."""
        self.raised = True

    def is_set(self):
        """Whether set() was called."""
        return self.raised


@cython.freelist(8)
cdef class Handle:
    """A callback that was asked for."""

    def cancel(self):
        """Do not call it. Idempotent; does nothing once it was called."""
        self.callback = self.args = None
        if self.loop is not None:
            self.loop.timers.remove(self)
            self.loop = None


cdef Handle _new_handle(object callback, tuple args):
    cdef Handle handle = Handle.__new__(Handle)
    handle.callback = callback
    handle.args = args
    return handle


cdef class Loop:
    """Waits for descriptors, timers, signals and other threads, and calls what was asked for.

    Everything is called in the context in which the loop runs: where methods take a `context`, they do as asyncio's do, and it is not used.
    What a callback raises is logged, but for SystemExit and KeyboardInterrupt, which run_until() and turn() raise. What the program's own
    handler of a signal raises is raised by a turn inside of another one, and logged by others.
    """

    def __cinit__(self):
        self.wake_fd = -1
        read_fd, self.wake_fd = os.pipe()
        os.set_blocking(read_fd, False)
        os.set_blocking(self.wake_fd, False)
        self.pid = getpid()
        self.ready = deque()
        self.timers = []
        self.readers = []
        self.signals = {}
        self._append(read_fd, None)

    def __dealloc__(self):
        if self.wake_fd >= 0:
            close(self.fds[0].fd)
            close(self.wake_fd)
        PyMem_RawFree(self.fds)

    # what is asked for

    def time(self):
        """Seconds on the monotonic clock."""
        return clock() / 1e9

    def call_soon(self, callback, *args, context=None):
        """Call it at the next turn."""
        handle = _new_handle(callback, args)
        self.ready.append(handle)
        return handle

    def call_soon_threadsafe(self, callback, *args, context=None):
        """call_soon() from any thread, or a signal's handler. RuntimeError if the loop is closed."""
        handle = _new_handle(callback, args)
        self.ready.append(handle)
        self._wake()
        return handle

    def call_later(self, double delay, callback, *args, context=None):
        """Call it after `delay` seconds."""
        return self._call_at(clock() + <int64_t>(delay * 1e9), callback, args)

    def call_at(self, double when, callback, *args, context=None):
        """Call it when time() is `when`."""
        return self._call_at(<int64_t>(when * 1e9), callback, args)

    cdef Handle _call_at(self, int64_t due, object callback, tuple args):
        cdef Handle handle = _new_handle(callback, args)
        cdef Py_ssize_t place = len(self.timers)
        handle.loop = self
        handle.due = due
        # There are a handful.
        while place > 0 and (<Handle>self.timers[place - 1]).due <= due:
            place -= 1
        self.timers.insert(place, handle)
        return handle

    def add_reader(self, int fd, callback, *args):
        """Call it whenever there is something to read, or the other end has gone, instead of what was called before."""
        cdef int place = self._find(fd)
        if self.wake_fd < 0:
            raise RuntimeError("the event loop is closed")
        if place < 0:
            self._append(fd, _new_handle(callback, args))
        else:
            self.readers[place] = _new_handle(callback, args)

    def remove_reader(self, int fd):
        """Call nothing for this descriptor any longer, which may be closed then; return whether something was."""
        cdef int place = self._find(fd)
        if place < 0:
            return False
        self.count -= 1
        self.fds[place] = self.fds[self.count]
        self.readers[place] = self.readers[self.count]
        del self.readers[self.count]
        return True

    cdef int _find(self, int fd) noexcept:
        cdef int place
        for place in range(1, self.count):
            if self.fds[place].fd == fd:
                return place
        return -1

    cdef int _append(self, int fd, Handle handle) except -1:
        cdef pollfd *grown
        if self.count == self.capacity:
            grown = <pollfd *>PyMem_RawRealloc(self.fds, (self.capacity + MORE_READERS) * sizeof(pollfd))
            if grown is NULL:
                raise MemoryError()
            self.fds = grown
            self.capacity += MORE_READERS
        self.readers.append(handle)
        self.fds[self.count].fd = fd
        self.fds[self.count].events = POLLIN
        self.fds[self.count].revents = 0
        self.count += 1
        return 0

    def add_signal_handler(self, int signum, callback, *args):
        """Call it in a turn after this signal has come, instead of what Python does then. ValueError if this is not the main thread."""
        if self.wake_fd < 0:
            raise RuntimeError("the event loop is closed")
        if not self.signals:
            self.wakeup_before = _signal.set_wakeup_fd(self.wake_fd, warn_on_full_buffer=False)
        known = self.signals.get(signum)
        before = _signal.signal(signum, self._on_signal) if known is None else known[2]
        # None: something other than Python has handled it, which can't be had back.
        self.signals[signum] = (callback, args, _signal.SIG_DFL if before is None else before)

    def remove_signal_handler(self, int signum):
        """Give the signal back to what handled it before, unless somebody else has taken it; return whether there was something to remove."""
        known = self.signals.pop(signum, None)
        if known is None:
            return False
        if _signal.getsignal(signum) == self._on_signal:
            _signal.signal(signum, known[2])
        if not self.signals:
            current = _signal.set_wakeup_fd(self.wakeup_before, warn_on_full_buffer=False)
            if current != self.wake_fd:     # somebody has put another in its place
                _signal.set_wakeup_fd(current, warn_on_full_buffer=False)
        return True

    def _on_signal(self, signum, frame):
        # In the middle of whatever runs on the main thread. The descriptor has woken the loop, if it waited.
        known = self.signals.get(signum)
        if known is None:
            return
        if getpid() != self.pid:            # a fork of the application's, to which this means what it did before
            _signal.signal(signum, known[2])
            _signal.raise_signal(signum)
        else:
            self.ready.append(_new_handle(known[0], known[1]))

    cdef int _wake(self) except -1:
        if self.wake_fd < 0:
            raise RuntimeError("the event loop is closed")
        # A pipe that is full wakes as well.
        write(self.wake_fd, "\0", 1)
        return 0

    # turns

    def is_running(self):
        """Whether a turn is being taken."""
        return self.depth > 0

    def is_closed(self):
        """Whether close() was called."""
        return self.wake_fd < 0

    def run_until(self, condition, timeout=None):
        """Take turns until `condition` holds: a Flag that is set, or what returns something true, asked before each turn. Return whether
        it holds, which after `timeout` seconds it need not.
        """
        cdef Flag flag = condition if isinstance(condition, Flag) else None
        cdef Flag expired = Flag.__new__(Flag)
        timer = None if timeout is None else self.call_later(timeout, expired.set)
        try:
            while not (flag.raised if flag is not None else condition()):
                if expired.raised:
                    return False
                self.turn()
            return True
        finally:
            if timer is not None:
                timer.cancel()

    cpdef int turn(self) except -1:
        """Call what is ready; if nothing is, wait until something is, and call that. Also from inside of a call."""
        if self.wake_fd < 0:
            raise RuntimeError("the event loop is closed")
        self.depth += 1
        try:
            self._turn()
        finally:
            self.depth -= 1
        return 0

    cdef int _turn(self) except -1:
        cdef bint ran = self._run_ready()
        cdef int timeout = 0 if ran else self._timeout()
        cdef int found
        cdef int error = 0
        if ran and not self.owing and not self.ready:
            # Whoever takes the turns may want to look at what has come of it. But where something gets ready all the time, descriptors
            # and timers have every other turn.
            self.owing = True
            return 0
        self.owing = False
        with nogil:
            found = poll(self.fds, self.count, timeout)
            if found < 0:
                error = errno
        if found > 0:
            self._run_readers()
        elif error == EINTR:
            self._run_signal_handlers()
        elif error:
            raise OSError(error, os.strerror(error))
        self._run_timers()
        return 0

    cdef bint _run_ready(self) except -1:
        """Call what is ready now; return whether anything was."""
        cdef Py_ssize_t left = len(self.ready)
        cdef bint ran = left > 0
        cdef Handle handle
        while left > 0 and self.ready:      # a turn inside of one of the calls takes from it as well
            left -= 1
            handle = self.ready.popleft()
            self._call_once(handle)
        return ran

    cdef int _timeout(self) noexcept:
        """For poll(): the milliseconds to the first timer."""
        cdef int64_t left
        if self.ready:
            return 0
        if not self.timers:
            return -1
        left = (<Handle>self.timers[len(self.timers) - 1]).due - clock()
        # Rounded up, so as not to come too early and wait for nothing at all.
        return 0 if left <= 0 else <int>min(left // 1000000 + 1, <int64_t>LONGEST_WAIT)

    cdef int _run_readers(self) except -1:
        cdef int place = 1
        cdef Handle handle
        if self.fds[0].revents:
            self.fds[0].revents = 0
            self._empty_pipe()
        while place < self.count:
            if self.fds[place].revents:
                self.fds[place].revents = 0
                handle = self.readers[place]
                self._call(handle.callback, handle.args)
            place += 1
        return 0

    cdef int _empty_pipe(self) except -1:
        cdef char bytes_[64]
        while read(self.fds[0].fd, bytes_, sizeof(bytes_)) == sizeof(bytes_):
            pass
        return self._run_signal_handlers()

    cdef int _run_signal_handlers(self) except -1:
        """Call those in Python, the application's among them, of the signals that have come."""
        try:
            PyErr_CheckSignals()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            if self.depth > 1:
                raise                   # into the call that waits, as a timeout by SIGALRM means it
            _log.error("exception in a signal's handler", exc_info=exc)
        return 0

    cdef int _run_timers(self) except -1:
        cdef Py_ssize_t left = len(self.timers)     # a timer that is armed anew for what is past waits for the next turn
        cdef int64_t now
        cdef Handle handle
        if left == 0:
            return 0
        now = clock()
        while left > 0 and self.timers:
            handle = self.timers[len(self.timers) - 1]
            if handle.due > now:
                break
            left -= 1
            del self.timers[len(self.timers) - 1]
            handle.loop = None
            self._call_once(handle)
        return 0

    cdef int _call_once(self, Handle handle) except -1:
        callback, args = handle.callback, handle.args
        handle.callback = handle.args = None
        return 0 if callback is None else self._call(callback, args)

    cdef int _call(self, callback, tuple args) except -1:
        try:
            callback(*args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            _log.error("exception in a callback of the event loop", exc_info=exc)
        return 0

    def close(self):
        """Give signals back, forget what was asked for, and close the pipe. RuntimeError from inside of a turn; idempotent."""
        if self.wake_fd < 0:
            return
        if self.depth:
            raise RuntimeError("the event loop can't be closed while it runs")
        for signum in list(self.signals):
            self.remove_signal_handler(signum)
        self.ready.clear()
        for handle in self.timers:
            (<Handle>handle).loop = None
        self.timers.clear()
        self.readers.clear()
        self.count = 0
        close(self.fds[0].fd)
        close(self.wake_fd)
        self.wake_fd = -1
