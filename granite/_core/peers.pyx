"""Clients by their addresses: how many connections each has, and how many requests it may send.

Owns the table, whose memory is taken once: nothing is allocated for a connection or a request. Knows neither sockets nor protocols.
Runs on the reactor's thread.

Theory of operation: an address has a place in the table from its first use on. Places are found by a hash that is keyed, so that nobody
can choose addresses that meet in one bucket. An address that has connections keeps its place; of the others the one that was not used for
longest gives way to a new one. Where all places are kept, a new address is let in and not limited: the table should be as large as the
number of connections. A bucket of tokens is one number, the time at which it will be full again (the generic cell rate algorithm): a
request moves it on by the time that it is worth, and is refused if that is further away than the bucket is deep.
"""

import os

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy
from granite._core.address cimport FAMILY_IPV4, FAMILY_UNIX, Address
from granite._core.counters cimport coarse_clock

cdef extern from *:
    """
    static inline unsigned long long granite_mix(unsigned long long a, unsigned long long b)
    {
        __uint128_t product = (__uint128_t)a * b;
        return (unsigned long long)product ^ (unsigned long long)(product >> 64);
    }
    static inline unsigned long long granite_big_endian(const unsigned char *bytes, int count)
    {
        unsigned long long number = 0;
        while (count--)
            number = number << 8 | *bytes++;
        return number;
    }
    """
    uint64_t granite_mix(uint64_t a, uint64_t b) noexcept nogil
    uint64_t granite_big_endian(const unsigned char *base, int count) noexcept nogil

cdef enum:
    SECOND = 1000000000                 # ns

cdef uint64_t _MAPPED = 0xFFFF00000000  # the lower half of an IPv4 address as one of IPv6


cdef class Peers:
    """A table of addresses, of a fixed size.

    Parameters:
        config: has the settings of the section "Limits" about addresses.
    """

    def __cinit__(self, config):
        cdef uint64_t chains = 1
        cdef bytes seed = os.urandom(sizeof(self.seed))
        memcpy(self.seed, <const char *>seed, sizeof(self.seed))
        self.size = config.ip_table_size
        while chains < <uint64_t>self.size:
            chains *= 2
        self.mask = chains - 1
        self.c_peers = <Peer *>PyMem_RawCalloc(self.size, sizeof(Peer))
        self.c_chains = <int32_t *>PyMem_RawCalloc(chains, sizeof(int32_t))
        if self.c_peers is NULL or self.c_chains is NULL:
            raise MemoryError()
        self.oldest = self.newest = PEER_NONE
        self.network_bits = config.ipv6_prefix
        self.most_connections = config.max_connections_per_ip
        if config.max_requests_per_ip:
            self.interval = int(SECOND / config.max_requests_per_ip)
            self.tolerance = ((config.max_requests_per_ip_burst or max(int(config.max_requests_per_ip), 1)) - 1) * self.interval

    def __dealloc__(self):
        PyMem_RawFree(self.c_peers)
        PyMem_RawFree(self.c_chains)

    cdef int32_t enter(self, const Address *address) noexcept:
        """Count a connection; the place of its address, for take() and leave(), PEER_NONE or PEER_TURNED_AWAY."""
        cdef int32_t place = self._find(address)
        cdef Peer *peer
        if place == PEER_NONE:
            return PEER_NONE
        peer = &self.c_peers[place]
        if self.most_connections and peer.connections >= self.most_connections:
            return PEER_TURNED_AWAY
        if peer.connections == 0:
            self._unlink(place)
            self.connected += 1
        peer.connections += 1
        return place

    cdef void leave(self, int32_t place) noexcept:
        """A connection has ended that enter() gave this place."""
        cdef Peer *peer
        if place < 0:
            return
        peer = &self.c_peers[place]
        peer.connections -= 1
        if peer.connections == 0:
            self.connected -= 1
            self._link(place)

    cdef int take(self, int32_t place) noexcept:
        """Count a request; 0, or the seconds after which the next one of this address is welcome."""
        cdef int64_t now
        cdef int64_t ahead
        cdef Peer *peer
        if place < 0 or self.interval == 0:
            return 0
        peer = &self.c_peers[place]
        now = coarse_clock()
        if peer.full_at < now:
            peer.full_at = now
        ahead = peer.full_at - now
        if ahead > self.tolerance:
            return <int>((ahead - self.tolerance + SECOND - 1) // SECOND)
        peer.full_at += self.interval
        return 0

    cdef int take_of(self, const Address *address) noexcept:
        """The same for an address that need not have a connection."""
        cdef int32_t place
        if self.interval == 0 or address.family == FAMILY_UNIX:
            return 0
        place = self._find(address)
        if place != PEER_NONE and self.c_peers[place].connections == 0:
            self._unlink(place)
            self._link(place)
        return self.take(place)

    cdef int32_t _find(self, const Address *address) noexcept:
        """The place of an address, which gets one if it has none."""
        cdef uint64_t high = 0
        cdef uint64_t low
        cdef uint64_t chain
        cdef int32_t place
        if address.family == FAMILY_IPV4:
            low = _MAPPED | granite_big_endian(address.ip, 4)
        else:
            high = _front(granite_big_endian(address.ip, 8), self.network_bits)
            low = _front(granite_big_endian(&address.ip[8], 8), self.network_bits - 64)
        chain = self._chain_of(high, low)
        place = self.c_chains[chain] - 1
        while place != PEER_NONE:
            if self.c_peers[place].high == high and self.c_peers[place].low == low:
                return place
            place = self.c_peers[place].chained
        return self._add(high, low, chain)

    cdef int32_t _add(self, uint64_t high, uint64_t low, uint64_t chain) noexcept:
        cdef int32_t place = self.used
        cdef Peer *peer
        if place < self.size:
            self.used += 1
        else:
            place = self._evict()
            if place == PEER_NONE:
                return PEER_NONE
        peer = &self.c_peers[place]
        peer.high = high
        peer.low = low
        peer.full_at = 0
        peer.chained = self.c_chains[chain] - 1
        self.c_chains[chain] = place + 1
        self._link(place)
        return place

    cdef int32_t _evict(self) noexcept:
        """Free the place that was not used for longest, if there is one without connections."""
        cdef int32_t place = self.oldest
        cdef int32_t before
        cdef uint64_t chain
        if place == PEER_NONE:
            return PEER_NONE
        self._unlink(place)
        chain = self._chain_of(self.c_peers[place].high, self.c_peers[place].low)
        before = self.c_chains[chain] - 1
        if before == place:
            self.c_chains[chain] = self.c_peers[place].chained + 1
            return place
        while self.c_peers[before].chained != place:
            before = self.c_peers[before].chained
        self.c_peers[before].chained = self.c_peers[place].chained
        return place

    cdef uint64_t _chain_of(self, uint64_t high, uint64_t low) noexcept:
        return granite_mix(granite_mix(high ^ self.seed[0], low ^ self.seed[1]), self.seed[0] | 1) & self.mask

    cdef void _link(self, int32_t place) noexcept:
        """Make it the last one to give way."""
        cdef Peer *peer = &self.c_peers[place]
        peer.older = self.newest
        peer.newer = PEER_NONE
        if self.newest != PEER_NONE:
            self.c_peers[self.newest].newer = place
        else:
            self.oldest = place
        self.newest = place

    cdef void _unlink(self, int32_t place) noexcept:
        cdef Peer *peer = &self.c_peers[place]
        if peer.older != PEER_NONE:
            self.c_peers[peer.older].newer = peer.newer
        else:
            self.oldest = peer.newer
        if peer.newer != PEER_NONE:
            self.c_peers[peer.newer].older = peer.older
        else:
            self.newest = peer.older


cdef inline uint64_t _front(uint64_t half, int bits) noexcept:
    """The first bits of half an address."""
    if bits <= 0:
        return 0
    return half if bits >= 64 else half >> (64 - bits) << (64 - bits)
