"""The PROXY protocol, versions 1 and 2: the header with which a proxy introduces the connection of its client.

Owns the grammar of the header. Knows neither sockets nor who may send it. Pure functions over bytes: any thread may call them.

Theory of operation: read_header() is called with all that has come since the connection's first byte, and keeps nothing. It says that more has
to come only as long as what is there may become a header, so that a connection of another protocol is seen at its first bytes.
Addresses of protocols other than TCP, and those of the proxy's own connections (LOCAL, UNKNOWN), stand for those of the connection itself.
"""

from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memchr, memcmp, memset
from granite._core.address cimport FAMILY_IPV4, FAMILY_IPV6, FAMILY_UNIX, read_ip, read_port, set_ipv4, set_ipv6

cdef enum:
    V2_HEAD = 16                        # the signature, version and command, family and protocol, length
    TLV_HEAD = 3                        # type and length
    TLV_CRC32C = 0x03
    TLV_SSL = 0x20
    SSL_LEAST = 5                       # its flags and the outcome of a verification
    SSL_CLIENT = 0x01                   # flag: the client came over TLS

cdef const char *_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
cdef const char *_WORD = b"PROXY "

cdef extern from *:
    """
    /* CRC-32C (RFC 3720, appendix B.4), four bits at a time: headers with a checksum are few. */
    static const unsigned int granite_crc32c[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    """
    const uint32_t granite_crc32c[16]


cdef inline bint _matches(const char *base, size_t size, const char *whole, size_t whole_size) noexcept:
    """Whether the bytes are the beginning of `whole`, or begin with it."""
    return memcmp(base, whole, min(size, whole_size)) == 0


cdef inline size_t _length(const unsigned char *place) noexcept:
    return <size_t>place[0] << 8 | place[1]


cdef inline HeaderState _wrong(ProxyHeader *header, const char *why) noexcept:
    header.wrong = why
    return HEADER_WRONG


cdef bint is_header(const char *base, size_t size) noexcept:
    """Whether these bytes begin as a header of either version does."""
    return (size >= 6 and memcmp(base, _WORD, 6) == 0) or (size >= 12 and memcmp(base, _SIGNATURE, 12) == 0)


cdef HeaderState read_header(const char *base, size_t size, int versions, ProxyHeader *header) noexcept:
    """Read the header that a connection begins with, of one of these versions."""
    memset(header, 0, sizeof(ProxyHeader))
    if versions & PROXY_V1 and _matches(base, size, _WORD, 6):
        return _read_v1(base, size, header)
    if versions & PROXY_V2 and _matches(base, size, _SIGNATURE, 12):
        return _read_v2(<const unsigned char *>base, size, header)
    return _wrong(header, b"the connection does not begin with its header")


# Version 1

cdef HeaderState _read_v1(const char *base, size_t size, ProxyHeader *header) noexcept:
    cdef const char *end = <const char *>memchr(base, 13, min(size, <size_t>(MOST_V1 - 1)))
    cdef const char *word = base + 6
    if end is NULL:
        return HEADER_PART if size < MOST_V1 - 1 else _wrong(header, b"the line is too long")
    if end == base + size - 1:
        return HEADER_PART
    if end[1] != 10:
        return _wrong(header, b"a carriage return inside of the line")
    header.size = end + 2 - base
    if end - word >= 7 and memcmp(word, b"UNKNOWN", 7) == 0 and (word + 7 == end or word[7] == 32):
        return HEADER_COMPLETE
    if end - word > 5 and memcmp(word, b"TCP4 ", 5) == 0 and _read_addresses(word + 5, end, FAMILY_IPV4, header):
        return HEADER_COMPLETE
    if end - word > 5 and memcmp(word, b"TCP6 ", 5) == 0 and _read_addresses(word + 5, end, FAMILY_IPV6, header):
        return HEADER_COMPLETE
    return _wrong(header, b"the line is not as the protocol has it")


cdef const char *_word_end(const char *word, const char *end) noexcept:
    """Where a word ends that a blank follows, or NULL."""
    return <const char *>memchr(word, 32, end - word)


cdef bint _read_addresses(const char *word, const char *end, int family, ProxyHeader *header) noexcept:
    """Read `client server port port`."""
    cdef const char *place = _word_end(word, end)
    if place is NULL or not read_ip(word, place - word, family, &header.client):
        return False
    word = place + 1
    place = _word_end(word, end)
    if place is NULL or not read_ip(word, place - word, family, &header.server):
        return False
    word = place + 1
    place = _word_end(word, end)
    return place is not NULL and _set_port(word, place, &header.client) and _set_port(place + 1, end, &header.server)


cdef bint _set_port(const char *word, const char *end, Address *address) noexcept:
    cdef int port = read_port(word, end - word)
    if port < 0 or (word[0] == 48 and end - word > 1):
        return False
    address.port = port
    return True


# Version 2

cdef HeaderState _read_v2(const unsigned char *base, size_t size, ProxyHeader *header) noexcept:
    cdef size_t length
    if size > 12 and base[12] >> 4 != 2:
        return _wrong(header, b"neither version 1 nor 2")
    if size > 12 and base[12] & 15 > 1:
        return _wrong(header, b"an unknown command")
    if size < V2_HEAD:
        return HEADER_PART
    length = V2_HEAD + _length(base + 14)
    if length > MOST_V2:
        return _wrong(header, b"the header is too large")
    if size < length:
        return HEADER_PART
    header.size = length
    if base[12] & 15 == 0:              # LOCAL: whatever follows
        return HEADER_COMPLETE
    return _read_block(base, base[13] >> 4, base[13] & 15, header)


cdef HeaderState _read_block(const unsigned char *base, int family, int transport, ProxyHeader *header) noexcept:
    """Read addresses and what follows them."""
    cdef const unsigned char *place = base + V2_HEAD
    cdef size_t least = 0
    if family > 3 or transport > 2:
        return _wrong(header, b"an unknown family or transport")
    if family == 1:
        least = 12
    elif family == 2:
        least = 36
    elif family == 3:
        least = 216
    if header.size - V2_HEAD < least:
        return _wrong(header, b"the addresses are cut short")
    if transport == 1 and family == 1:
        set_ipv4(&header.client, place)
        set_ipv4(&header.server, place + 4)
    elif transport == 1 and family == 2:
        set_ipv6(&header.client, place)
        set_ipv6(&header.server, place + 16)
    elif transport == 1 and family == 3:
        header.client.family = FAMILY_UNIX
    if header.server.family:
        header.client.port = <uint16_t>_length(place + least - 4)
        header.server.port = <uint16_t>_length(place + least - 2)
    # What an unspecified family brings along has no known form.
    return _read_tlvs(base, V2_HEAD + least, header) if family else HEADER_COMPLETE


cdef HeaderState _read_tlvs(const unsigned char *base, size_t start, ProxyHeader *header) noexcept:
    cdef const unsigned char *place = base + start
    cdef const unsigned char *end = base + header.size
    cdef size_t length
    while place < end:
        if end - place < TLV_HEAD:
            return _wrong(header, b"an extension is cut short")
        length = _length(place + 1)
        if <size_t>(end - place) < TLV_HEAD + length:
            return _wrong(header, b"an extension is cut short")
        if place[0] == TLV_CRC32C and (length != 4 or not _is_checksum(base, header.size, place + TLV_HEAD)):
            return _wrong(header, b"the checksum is not the header's")
        if place[0] == TLV_SSL:
            if length < SSL_LEAST:
                return _wrong(header, b"an extension is cut short")
            header.secured = place[TLV_HEAD] & SSL_CLIENT
        place += TLV_HEAD + length
    return HEADER_COMPLETE


cdef bint _is_checksum(const unsigned char *base, size_t size, const unsigned char *place) noexcept:
    """Whether at `place` lies the checksum of these bytes, in which its own place counts as zeros."""
    cdef uint32_t sum = 0xFFFFFFFF
    cdef size_t at = place - base
    cdef size_t i
    cdef unsigned char byte
    for i in range(size):
        byte = 0 if at <= i < at + 4 else base[i]
        sum = sum >> 4 ^ granite_crc32c[(sum ^ byte) & 15]
        sum = sum >> 4 ^ granite_crc32c[(sum ^ byte >> 4) & 15]
    sum ^= 0xFFFFFFFF
    return place[0] == sum >> 24 and place[1] == (sum >> 16 & 255) and place[2] == (sum >> 8 & 255) and place[3] == (sum & 255)
