# The syntax of single values.

cdef inline bint _is_hex(unsigned char c) noexcept:
    return 48 <= c <= 57 or 97 <= (c | 32) <= 102


cdef inline bint _is_reg_name(unsigned char c) noexcept:
    """Unreserved characters and sub-delims (RFC 3986, 2)."""
    if 97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57 or c == 45 or c == 46:
        return True
    return c > 32 and c < 127 and memchr(b"_~!$&'()*+,;=", c, 13) is not NULL


cdef bint is_decodable(const char *base, size_t size) noexcept:
    """Whether each percent sign has its two digits (RFC 3986, 2.1)."""
    cdef const char *end = base + size
    while True:
        base = <const char *>memchr(base, 37, end - base)
        if base is NULL:
            return True
        if end - base < 3 or not _is_hex(base[1]) or not _is_hex(base[2]):
            return False
        base += 3


cdef bint is_host(const char *base, size_t size) noexcept:
    """Whether a value is `uri-host [":" port]` or empty (RFC 9110, 7.2); a comma betrays two joined ones."""
    cdef size_t i = 0
    if size and base[0] == 91:
        while i < size and base[i] != 93:
            i += 1
        if i == size or not _is_literal(base + 1, i - 1):
            return False
        i += 1
    else:
        while i < size and (_is_reg_name(base[i]) or base[i] == 37) and base[i] != 44:
            i += 1
        if not is_decodable(base, i):
            return False
    if i < size and base[i] == 58:
        i += 1
        while i < size and is_digit(base[i]):
            i += 1
    return i == size


cdef bint _is_literal(const char *base, size_t size) noexcept:
    """Whether this is what RFC 3986, 3.2.2 has between brackets: an IPv6 address without a zone, or `v` HEX `.` and something."""
    cdef char text[64]
    cdef unsigned char address[16]
    cdef size_t i = 1
    if size and (base[0] | 32) == 118:
        while i < size and _is_hex(base[i]):
            i += 1
        if i == 1 or i + 1 >= size or base[i] != 46:
            return False
        i += 1
        while i < size and (_is_reg_name(base[i]) or base[i] == 58):
            i += 1
        return i == size
    if size >= sizeof(text) or memchr(base, 0, size) is not NULL:
        return False
    memcpy(text, base, size)
    text[size] = 0
    return inet_pton(AF_INET6, text, address) == 1


cdef const char *next_element(const char *base, const char *end, const char **element, size_t *size) noexcept:
    """Take the next element that is not empty off a list (RFC 9110, 5.6.1); where to go on, or NULL if there was none."""
    cdef const char *stop
    while base < end and (base[0] == 44 or base[0] == 32 or base[0] == 9):
        base += 1
    if base == end:
        return NULL
    stop = <const char *>memchr(base, 44, end - base)
    if stop is NULL:
        stop = end
    element[0] = base
    size[0] = stop - base
    while base[size[0] - 1] == 32 or base[size[0] - 1] == 9:
        size[0] -= 1
    return stop


cdef bint has_token(const char *base, size_t size, const char *lower, size_t length) noexcept:
    """Whether a list of tokens has this one, in any case."""
    cdef const char *place = base
    cdef const char *element
    cdef size_t found
    while True:
        place = next_element(place, base + size, &element, &found)
        if place is NULL:
            return False
        if found == length and equals_lower(element, lower, length):
            return True


cdef bint is_continue(const char *base, size_t size) noexcept:
    """Whether a list of expectations has nothing but 100-continue (RFC 9110, 10.1.1)."""
    cdef const char *place = base
    cdef const char *element
    cdef size_t found
    while True:
        place = next_element(place, base + size, &element, &found)
        if place is NULL:
            return True
        if found != 12 or not equals_lower(element, b"100-continue", 12):
            return False


# For the tests, which hold these functions against an oracle.

def check_host(bytes value not None):
    return is_host(value, len(value))


def check_expectations(bytes value not None):
    return is_continue(value, len(value))


def check_token(bytes value not None, bytes lower not None):
    return has_token(value, len(value), lower, len(lower))


def check_encoding(bytes value not None):
    return is_decodable(value, len(value))
