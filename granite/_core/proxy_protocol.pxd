# The header that a proxy sends before anything else: the PROXY protocol.

from granite._core.address cimport Address

cdef enum:
    MOST_V1 = 107                       # bytes of a line, with its end
    MOST_V2 = 4096                      # bytes of a binary header that are accepted

cdef enum ProxyVersions:                # a set
    PROXY_V1 = 1
    PROXY_V2 = 2

cdef enum HeaderState:
    HEADER_PART                         # more of it has to come
    HEADER_COMPLETE
    HEADER_WRONG                        # `wrong` says why

cdef struct ProxyHeader:
    size_t size                         # of the header
    Address client                      # family 0: that of the connection
    Address server                      # likewise
    bint secured                        # the client came over TLS
    const char *wrong

cdef HeaderState read_header(const char *base, size_t size, int versions, ProxyHeader *header) noexcept
cdef bint is_header(const char *base, size_t size) noexcept
