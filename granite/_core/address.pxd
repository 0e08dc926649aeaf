# Addresses of the Internet as numbers: what text and sockets say, and which networks they belong to.

from libc.stdint cimport uint8_t, uint16_t, uint64_t

cdef enum:
    FAMILY_UNIX = 1                     # has no address
    FAMILY_IPV4 = 4
    FAMILY_IPV6 = 6

cdef struct Address:
    uint8_t family                      # FAMILY_…, 0 for none
    uint16_t port                       # 0 where none is known
    unsigned char ip[16]                # IPv4 has the first four bytes, and zeros behind them

cdef struct Range:                      # from one address to another, both of the family
    uint8_t family
    uint64_t first[2]                   # the higher half, the lower half
    uint64_t last[2]

cdef class Networks:
    cdef Range *ranges                  # sorted, apart from each other
    cdef int count
    cdef bint has_everybody
    cdef bint has_unix
    cdef bint contain(self, const Address *address) noexcept

cdef void set_ipv4(Address *address, const void *ip) noexcept
cdef void set_ipv6(Address *address, const void *ip) noexcept
cdef bint read_ip(const char *base, size_t size, int family, Address *address) noexcept
cdef bint read_node(const char *base, size_t size, Address *address) noexcept
cdef int read_port(const char *base, size_t size) noexcept
cdef str text_of(const Address *address)
