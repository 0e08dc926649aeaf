# What a connection asks of whatever is spoken on it.

cdef class Session(Protocol):
    """The messages of one connection, or of a part of its life: the connection holds it, feeds it and asks it for deadlines.

    Where a session carries one request at a time it is the protocol of that exchange as well; where it carries several, each has one of its own.
    """

    cdef int feed(self, const char *base, size_t size) except -1:
        """Take in what was read, and answer what can be answered at once."""
        raise NotImplementedError

    cdef int resume(self) except -1:
        """Go on with what was put off by Transport.resume_soon()."""
        raise NotImplementedError

    cdef int read_ended(self) except -1:
        """The peer has ended its half: nothing more will come, but an answer may still be waited for."""
        raise NotImplementedError

    cdef int writable_again(self) except -1:
        """The socket has taken most of what waited for it."""
        return 0

    cdef int drain(self) except -1:
        """No further requests are to be begun, as the server drains or the connection has reached its age; what is in progress goes on."""
        return 0

    cdef int closed(self) except -1:
        """The connection has closed, whoever did it."""
        raise NotImplementedError

    cdef bint idle(self) noexcept:
        """Whether the connection can do without this session, which it gives back then."""
        return False

    cdef bint is_behind(self) except -1:
        """Whether write_high_water of what was answered waits for the socket, which has been asked once more."""
        cdef Transport transport = self.transport
        if transport.unsent() < self.http.write_high_water:
            return False
        transport.flush()
        return transport.unsent() >= self.http.write_high_water

    cdef bint looks_whole(self) noexcept:
        """Whether the end of the connection would now look like that of a response which has not left as a whole."""
        return False

    cdef int settle(self) except -1:
        """All that could be done has been: from now on somebody is waited for."""
        return 0

    cdef uint64_t deadline(self) noexcept:
        """The first of the session's deadlines, ms on the transport's clock; 0: there is none. Transport.rearm() says that it has come nearer."""
        return 0

    cdef int on_due(self, uint64_t now) except -1:
        """A deadline has come."""
        return 0

    cdef int log_sent(self, size_t lost) except -1:
        """The response that was waited for has left, but for the last `lost` bytes."""
        return 0

    cdef int hand_over(self) except -1:
        """Feed the successor with what has come for it; the connection asks for nothing but release() from then on."""
        return 0

    cdef int release(self) except -1:
        """Give it back to where it came from; the connection forgets it."""
        return 0


cdef class Version:
    """A version of HTTP that is loaded only where it is spoken."""

    cdef Session session(self, Transport transport):
        """A session for a connection that speaks it."""
        raise NotImplementedError

    cdef int export(self, int64_t *snapshot) noexcept:
        """Write what it has counted into a server's snapshot."""
        return 0
