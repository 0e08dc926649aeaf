# Who has flooded the server a moment ago: a client that is turned away, and is back at once.

cdef enum:
    OFFENCE = 60000                     # ms for which a flood is remembered


cdef class Offenders:
    """The addresses of a few clients that were told to calm down.

    What is remembered costs them little, as others may share their address: see LimitedSession._open_accounts(). A proxy that is believed is none,
    whatever its clients do.
    """

    def __init__(self):
        raise TypeError("offenders are known to Http2Context")

    cdef Offender *_find(self, const Address *address, uint64_t now) noexcept:
        cdef Offender *known
        cdef size_t size = 4 if address.family == FAMILY_IPV4 else 8     # of an IPv6 address the network
        cdef int i
        for i in range(MOST_OFFENDERS):
            known = &self.c_known[i]
            if known.until > now and known.address.family == address.family and memcmp(known.address.ip, address.ip, size) == 0:
                return known
        return NULL

    cdef int note(self, Transport transport) noexcept:
        cdef const Address *address = transport.address()
        cdef uint64_t now = transport.now()
        cdef Offender *known
        if transport.trusted or address.family == FAMILY_UNIX:
            return 0
        known = self._find(address, now)
        if known is NULL:
            known = &self.c_known[self.oldest]
            self.oldest = (self.oldest + 1) % MOST_OFFENDERS
            known.address = address[0]
        known.until = self.until = now + OFFENCE
        return 0

    cdef bint know(self, Transport transport) noexcept:
        return transport.now() < self.until and not transport.trusted and self._find(transport.address(), transport.now()) is not NULL
