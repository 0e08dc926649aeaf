# What llhttp leaves to its user: the syntax of single values.

cdef inline bint _is_unreserved(unsigned char c) noexcept:
    """Unreserved characters, sub-delims and the percent sign (RFC 3986, 2)."""
    if 97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57 or c == 45 or c == 46:
        return True
    return c > 32 and c < 127 and memchr(b"_~%!$&'()*+,;=", c, 14) is not NULL


cdef bint is_host(const char *base, size_t size) noexcept:
    """Whether a Host field's value is `uri-host [":" port]` or empty (RFC 9110, 7.2); a comma betrays two joined ones."""
    cdef size_t i = 0
    if size and base[0] == 91:          # an IP literal
        i = 1
        while i < size and (_is_unreserved(base[i]) or base[i] == 58):
            i += 1
        if i == size or base[i] != 93 or i == 1:
            return False
        i += 1
    else:
        while i < size and _is_unreserved(base[i]) and base[i] != 44:
            i += 1
    if i < size and base[i] == 58:
        i += 1
        while i < size and 48 <= base[i] <= 57:
            i += 1
    return i == size


cdef bint is_target(const char *base, size_t size, bint options) noexcept:
    """Whether a request target is in origin-form or absolute-form, or `*` for OPTIONS, and has no fragment (RFC 9112, 3.2)."""
    if size == 0 or memchr(base, 35, size) is not NULL:
        return False
    return base[0] != 42 or (options and size == 1)
