# Octets, eight at a time, kept until they are taken, and what a field of HTTP may consist of.

from cpython.mem cimport PyMem_RawRealloc
from libc.stdint cimport int64_t
from libc.string cimport memchr, memcpy

cdef extern from *:
    """
    #include <string.h>

    /* What a mask finds beside the octet that it looks for lies behind it, as this is how far a borrow reaches. */
    #define GRANITE_EACH(octet) (0x0101010101010101ULL * (octet))
    #define GRANITE_BELOW_BLANK(word) (((word) - GRANITE_EACH(32)) & ~(word))
    #define GRANITE_HAS(word, octet) ((((word) ^ GRANITE_EACH(octet)) - GRANITE_EACH(1)) & ~((word) ^ GRANITE_EACH(octet)))
    #define GRANITE_NOT_PRINTABLE(word) ((word) | GRANITE_BELOW_BLANK(word) | GRANITE_HAS(word, 127))

    /* Whether there is an octet below 32. */
    static inline int granite_has_control(const char *base, size_t size)
    {
        unsigned long long word;
        size_t i = 0;
        for (; size - i >= 8; i += 8) {
            memcpy(&word, base + i, 8);
            if (GRANITE_BELOW_BLANK(word) & GRANITE_EACH(128))
                return 1;
        }
        for (; i < size; i++)
            if ((unsigned char)base[i] < 32)
                return 1;
        return 0;
    }

    /* The first octet that is not printable ASCII, or `end`. */
    static inline const char *granite_skip_printable(const char *base, const char *end)
    {
        unsigned long long word;
        for (; end - base >= 8; base += 8) {
            memcpy(&word, base, 8);
            if (GRANITE_NOT_PRINTABLE(word) & GRANITE_EACH(128))
                break;
        }
        while (base < end && (unsigned char)*base >= 32 && (unsigned char)*base < 127)
            base++;
        return base;
    }

    /* Printable ASCII without the quote and the backslash. */
    static const unsigned char granite_plain[256] = {
        [0x20 ... 0x21] = 1, [0x23 ... 0x5b] = 1, [0x5d ... 0x7e] = 1,
    };

    /* Copy what is plain, up to the first octet that is not; how many octets that is. */
    static inline size_t granite_copy_plain(char *to, const char *from, size_t size)
    {
        unsigned long long word;
        size_t i = 0;
        for (; size - i >= 8; i += 8) {
            memcpy(&word, from + i, 8);
            if ((GRANITE_NOT_PRINTABLE(word) | GRANITE_HAS(word, 34) | GRANITE_HAS(word, 92)) & GRANITE_EACH(128))
                break;
            memcpy(to + i, &word, 8);
        }
        for (; i < size && granite_plain[(unsigned char)from[i]]; i++)
            to[i] = from[i];
        return i;
    }
    """
    bint granite_has_control(const char *base, size_t size) noexcept
    const char *granite_skip_printable(const char *base, const char *end) noexcept
    size_t granite_copy_plain(char *to, const char *source, size_t size) noexcept


cdef inline bint is_value(const char *base, size_t size) noexcept:
    """No CR, LF or NUL, which could end the field early."""
    cdef size_t i
    cdef unsigned char bad = 0
    if not granite_has_control(base, size):
        return True
    for i in range(size):
        bad |= (base[i] == 10) | (base[i] == 13) | (base[i] == 0)
    return bad == 0


cdef inline bint is_token(const char *base, size_t size) noexcept:
    """RFC 9110, 5.6.2."""
    cdef size_t i
    cdef unsigned char c
    if size == 0:
        return False
    for i in range(size):
        c = base[i]
        if 97 <= c <= 122 or c == 45 or 65 <= c <= 90 or 48 <= c <= 57:
            continue
        if c >= 127 or c <= 32 or memchr(b"\"(),/:;<=>?@[\\]{}", c, 17) is not NULL:
            return False
    return True


cdef inline bint equals_lower(const char *base, const char *lower, size_t size) noexcept:
    """Compare without case; `lower` is in lower case and letters, digits and hyphens only."""
    cdef size_t i
    for i in range(size):
        if (base[i] | 32) != lower[i]:
            return False
    return True


cdef inline int64_t number_of(const char *base, Py_ssize_t size) noexcept:
    """A number of up to 18 digits; -1 for anything else."""
    cdef int64_t number = 0
    cdef Py_ssize_t i
    if not 0 < size <= 18:
        return -1
    for i in range(size):
        if not 48 <= base[i] <= 57:
            return -1
        number = 10 * number + base[i] - 48
    return number


cdef inline int append_octets(char **kept, size_t *kept_size, size_t *capacity, const char *base, size_t size) except -1:
    """Copy what has come behind what is kept, in memory of PyMem_Raw that grows by doubling."""
    cdef char *grown
    cdef size_t wanted = kept_size[0] + size
    if size == 0:
        return 0
    if wanted > capacity[0]:
        wanted = max(wanted, 2 * capacity[0])
        grown = <char *>PyMem_RawRealloc(kept[0], wanted)
        if grown is NULL:
            raise MemoryError()
        kept[0] = grown
        capacity[0] = wanted
    memcpy(kept[0] + kept_size[0], base, size)
    kept_size[0] += size
    return 0
