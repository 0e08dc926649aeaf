# What requests have in common: interned strings and header fields that come again and again.

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

cdef enum:
    NAME_SLOTS = 256
    FIELD_SLOTS = 512
    PATH_SLOTS = 256
    NAME_LIMIT = 64                     # a longer name is not kept
    VALUE_LIMIT = 160                   # nor a longer value
    PATH_LIMIT = 128                    # nor a longer path

cdef struct NameEntry:
    PyObject *name                      # bytes, lower case
    int known                           # KnownName
    bint shareable                      # its values are no secrets and come again

cdef enum KnownName:
    NAME_OTHER
    # those that only HTTP/2 acts on
    NAME_CONTENT_LENGTH
    NAME_COOKIE
    NAME_UNDERSCORED                    # has an underscore, which some take for a hyphen
    # those that every version acts on
    NAME_CONNECTION
    NAME_EXPECT
    NAME_HOST
    NAME_TRANSFER_ENCODING
    NAME_UPGRADE
    # What proxies tell: a bit of its own, and so none of those above has it.
    NAME_FORWARDED = 64
    NAME_X_FORWARDED_FOR
    NAME_X_FORWARDED_PROTO
    NAME_X_FORWARDED_HOST
    NAME_X_FORWARDED_PORT
    NAME_X_FORWARDED_PREFIX
    NAME_X_REAL_IP

cdef class ScopeCache:
    cdef NameEntry names[NAME_SLOTS]
    cdef PyObject *fields[FIELD_SLOTS]  # (name, value) tuples
    cdef PyObject *paths[PATH_SLOTS]    # (raw path, path) tuples
    cdef object field(self, const char *name, size_t name_size, const char *value, size_t value_size, int *known)
    cdef _intern(self, NameEntry *entry, bytes name)
    cdef object path(self, const char *base, size_t size)

cdef str decode_path(const char *base, size_t size)
cdef str decode_octets(const char *base, size_t size)
