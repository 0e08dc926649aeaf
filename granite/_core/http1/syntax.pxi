# What llhttp leaves to its user, and no other version of HTTP knows.

cdef int judge_coding(const char *base, size_t size) noexcept:
    """The status for a value of Transfer-Encoding: 0 for `chunked`, 501 where it follows something unknown, else 400."""
    cdef const char *place = base
    cdef const char *element
    cdef size_t found
    cdef bint chunked = False
    cdef int others = 0
    if size == 7 and equals_lower(base, b"chunked", 7):
        return 0
    while True:
        place = next_element(place, base + size, &element, &found)
        if place is NULL:
            return 501 if chunked and others else 400
        if chunked:
            return 400
        if found == 7 and equals_lower(element, b"chunked", 7):
            chunked = True
        else:
            others += 1


cdef bint has_head_end(const char *base, size_t size) noexcept:
    """Whether a head may end here: a line end is followed by another."""
    cdef const char *end = base + size
    while end - base >= 3:
        base = <const char *>memchr(base, 10, end - base - 2)
        if base is NULL:
            return False
        if base[1] == 13 and base[2] == 10:
            return True
        base += 1
    return False


# For the tests, which hold it against an oracle.

def check_coding(bytes value not None):
    return judge_coding(value, len(value))
