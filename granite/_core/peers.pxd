# What is known of clients, by their addresses.

from libc.stdint cimport int32_t, int64_t, uint64_t
from granite._core.address cimport Address

cdef enum:
    PEER_NONE = -1                      # nothing is known, as all places are taken by addresses with connections
    PEER_TURNED_AWAY = -2               # has as many connections as are allowed

cdef struct Peer:
    uint64_t high                       # the address, as one of IPv6; of IPv6 only the network
    uint64_t low
    int64_t full_at                     # when its bucket will be full again: ns on the coarse clock
    int32_t connections                 # while there are any, it keeps its place
    int32_t chained                     # the next one of its bucket of the hash table
    int32_t older                       # by its last use, while it has no connections
    int32_t newer

cdef class Peers:
    cdef Peer *c_peers
    cdef int32_t *c_chains              # the first one of each bucket
    cdef int32_t size
    cdef int32_t used
    cdef uint64_t mask
    cdef uint64_t seed[2]
    cdef int32_t oldest
    cdef int32_t newest
    cdef readonly int32_t connected     # addresses that have connections
    cdef int network_bits
    cdef int32_t most_connections       # 0: no limit
    cdef int64_t interval               # ns for which one request is worth, 0: no limit
    cdef int64_t tolerance              # ns that a bucket may be overdrawn
    cdef int32_t enter(self, const Address *address) noexcept
    cdef void leave(self, int32_t place) noexcept
    cdef int take(self, int32_t place) noexcept
    cdef int take_of(self, const Address *address) noexcept
    cdef int32_t _find(self, const Address *address) noexcept
    cdef int32_t _add(self, uint64_t high, uint64_t low, uint64_t chain) noexcept
    cdef int32_t _evict(self) noexcept
    cdef uint64_t _chain_of(self, uint64_t high, uint64_t low) noexcept
    cdef void _link(self, int32_t place) noexcept
    cdef void _unlink(self, int32_t place) noexcept
