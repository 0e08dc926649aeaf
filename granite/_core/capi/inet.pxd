# Addresses as text.

cdef extern from "<arpa/inet.h>" nogil:
    const int AF_INET6
    int inet_pton(int family, const char *text, void *address)
