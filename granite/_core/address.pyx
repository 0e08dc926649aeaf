"""Addresses of the Internet as numbers: from text, to text, and which networks they belong to.

Owns the notation of addresses that come with a request, and sets of networks. Knows neither sockets nor protocols. Its functions are pure,
and a set of networks does not change: any thread may use it.

An IPv4 address that is written as an IPv6 one (::ffff:a.b.c.d; RFC 4291, section 2.5.5.2) is the IPv4 address, wherever it comes from: else it
would be another client than the same one without that prefix, and no network of IPv4 would contain it.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.string cimport memchr, memcmp, memcpy, memset

cdef extern from "<arpa/inet.h>":
    int inet_pton(int family, const char *text, void *ip) nogil
    const char *inet_ntop(int family, const void *ip, char *text, unsigned int size) nogil

cdef extern from "<sys/socket.h>":
    const int AF_INET
    const int AF_INET6

cdef enum:
    TEXT_SIZE = 46                      # of the longest address, with the zero that ends it

cdef const char *_MAPPED = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"


cdef void set_ipv4(Address *address, const void *ip) noexcept:
    address.family = FAMILY_IPV4
    memcpy(address.ip, ip, 4)
    memset(&address.ip[4], 0, 12)


cdef void set_ipv6(Address *address, const void *ip) noexcept:
    if memcmp(ip, _MAPPED, 12) == 0:
        set_ipv4(address, <const char *>ip + 12)
        return
    address.family = FAMILY_IPV6
    memcpy(address.ip, ip, 16)


cdef bint read_ip(const char *base, size_t size, int family, Address *address) noexcept:
    """Read an address of one family that has no port; whether it is one. The port stays as it is."""
    cdef char text[TEXT_SIZE]
    cdef unsigned char ip[16]
    if size == 0 or size >= TEXT_SIZE or memchr(base, 0, size) is not NULL:
        return False
    memcpy(text, base, size)
    text[size] = 0
    if inet_pton(AF_INET if family == FAMILY_IPV4 else AF_INET6, text, ip) != 1:
        return False
    if family == FAMILY_IPV4:
        set_ipv4(address, ip)
    else:
        set_ipv6(address, ip)
    return True


cdef bint read_node(const char *base, size_t size, Address *address) noexcept:
    """Read an address with or without port, as proxies write it: `1.2.3.4:5`, `[::1]:5`, `::1`; whether it is one.

    The port may be obfuscated (RFC 7239, section 6.3), and is not known then.
    """
    cdef const char *colon
    cdef const char *end = base + size
    cdef int port
    address.port = 0
    if size and base[0] == 91:
        colon = <const char *>memchr(base, 93, size)
        if colon is NULL or not read_ip(base + 1, colon - base - 1, FAMILY_IPV6, address):
            return False
        colon += 1
    else:
        colon = <const char *>memchr(base, 58, size)
        if colon is NULL:
            return read_ip(base, size, FAMILY_IPV4, address)
        if memchr(colon + 1, 58, end - colon - 1) is not NULL:
            return read_ip(base, size, FAMILY_IPV6, address)
        if not read_ip(base, colon - base, FAMILY_IPV4, address):
            return False
    if colon == end:
        return True
    if colon[0] != 58:
        return False
    colon += 1
    if end - colon > 1 and colon[0] == 95:
        return True
    port = read_port(colon, end - colon)
    if port < 0:
        return False
    address.port = port
    return True


cdef int read_port(const char *base, size_t size) noexcept:
    """The number of a port, -1 if it is none."""
    cdef int port = 0
    cdef size_t i
    if size == 0 or size > 5:
        return -1
    for i in range(size):
        if not 48 <= base[i] <= 57:
            return -1
        port = 10 * port + base[i] - 48
    return port if port <= 65535 else -1


cdef str text_of(const Address *address):
    """The textual form (RFC 5952) of an IPv4 or IPv6 address, without its port."""
    cdef char text[TEXT_SIZE]
    inet_ntop(AF_INET if address.family == FAMILY_IPV4 else AF_INET6, address.ip, text, TEXT_SIZE)
    return (<bytes>text).decode("ascii")


cdef inline uint64_t _number(const unsigned char *ip) noexcept:
    """Eight bytes, the first of which counts most."""
    cdef uint64_t number = 0
    cdef int i
    for i in range(8):
        number = number << 8 | ip[i]
    return number


cdef inline int _compare(uint8_t family, uint64_t high, uint64_t low, uint8_t other_family, const uint64_t *other) noexcept:
    if family != other_family:
        return -1 if family < other_family else 1
    if high != other[0]:
        return -1 if high < other[0] else 1
    if low != other[1]:
        return -1 if low < other[1] else 1
    return 0


cdef class Networks:
    """A set of networks.

    Parameters:
        entries: addresses ("10.0.0.1", "::1"), networks ("10.0.0.0/8"), "unix:" for who has no address, "*" for everybody.

    Raises:
        ValueError: an entry is none of these.
    """

    def __cinit__(self, entries):
        ranges = []
        merged = []
        before = None
        for entry in entries:
            if entry == "*":
                self.has_everybody = True
            elif entry == "unix:":
                self.has_unix = True
            else:
                ranges.append(_range_of(entry))
        for family, first, last in sorted(ranges):
            if before is not None and before[0] == family and first <= before[2] + 1:
                before[2] = max(last, before[2])
            else:
                before = [family, first, last]
                merged.append(before)
        self.ranges = <Range *>PyMem_RawMalloc(max(len(merged), 1) * sizeof(Range))
        if self.ranges is NULL:
            raise MemoryError()
        for family, first, last in merged:
            self.ranges[self.count].family = family
            self.ranges[self.count].first = [first >> 64, first & 0xFFFFFFFFFFFFFFFF]
            self.ranges[self.count].last = [last >> 64, last & 0xFFFFFFFFFFFFFFFF]
            self.count += 1

    def __dealloc__(self):
        PyMem_RawFree(self.ranges)

    cdef bint contain(self, const Address *address) noexcept:
        cdef uint64_t high, low
        cdef int left = 0
        cdef int right = self.count
        cdef int middle
        if self.has_everybody:
            return True
        if address.family == FAMILY_UNIX:
            return self.has_unix
        high, low = _number(address.ip), _number(&address.ip[8])
        while left < right:             # the first range that ends behind the address, or with it
            middle = (left + right) // 2
            if _compare(address.family, high, low, self.ranges[middle].family, self.ranges[middle].last) > 0:
                left = middle + 1
            else:
                right = middle
        return left < self.count and _compare(address.family, high, low, self.ranges[left].family, self.ranges[left].first) >= 0


cdef tuple _range_of(str entry):
    """(family, first address, last address) of an address or a network, both as numbers of 128 bits."""
    cdef Address address
    text, slash, length = entry.partition("/")
    base = text.encode()
    family = FAMILY_IPV6 if ":" in text else FAMILY_IPV4
    if not read_ip(base, len(base), family, &address):
        raise ValueError(f"expected an address or a network, got {entry!r}")
    bits = 32 if address.family == FAMILY_IPV4 else 128
    free = 0
    if slash:
        free = (32 if family == FAMILY_IPV4 else 128) - int(length)
    if not 0 <= free <= bits:
        raise ValueError(f"expected a network, got {entry!r}")
    # An IPv4 address is the higher part of the number, as its bytes come first.
    if address.family == FAMILY_IPV4:
        free += 96
    first = int.from_bytes(address.ip[:16], "big") >> free << free
    return address.family, first, first | (1 << free) - 1
