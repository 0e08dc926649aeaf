# What proxies tell of a request in its fields.

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t
from granite._core.address cimport Address, Networks
from granite._core.exchange cimport Exchange

cdef struct Text:                       # a piece of a field's value, borrowed; base is NULL for none
    const char *base
    size_t size

cdef struct Forwarded:                  # what the fields of one request say, of which nothing but `client` was checked
    uint32_t seen                       # the fields that count, a bit for each KnownName
    Address client                      # family 0: nothing
    Text scheme
    Text host
    Text port
    Text prefix
    Text no_address                     # the entry that ended the search for the client

cdef class Forwarding:
    cdef readonly Networks proxies      # who is believed
    cdef uint32_t believed              # which fields are, a bit for each KnownName
    cdef uint32_t complained            # about which fields
    cdef void read(self, list headers, uint32_t seen, Forwarded *told) noexcept
    cdef int apply(self, const Forwarded *told, Exchange exchange) except -1
    cdef int _find_client(self, list headers, int name, Forwarded *told) noexcept
    cdef int _set_server(self, const Forwarded *told, Exchange exchange) except -1
    cdef int _complain(self, const Forwarded *told, int name, str expected, const Text *got, Exchange exchange) except -1
