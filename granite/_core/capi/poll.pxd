# poll(), for the few descriptors that somebody waits for outside of libuv.

cdef extern from "poll.h" nogil:
    cdef struct pollfd:
        int fd
        short events
        short revents

    int poll(pollfd *, unsigned long, int)
    const short POLLIN
    const short POLLOUT
