# Payloads of WebSocket: unmasking (RFC 6455, 5.3), UTF-8 that comes in pieces (RFC 3629, 4), and the digest of its handshake.

from libc.stdint cimport uint8_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    typedef unsigned long long granite_wide __attribute__((vector_size(16)));

    /* Copy and unmask octets of which `before` others of their frame came; an octet above 127, if there is one, shows in the result. */
    static inline int granite_unmask(char *to, const char *from, size_t size, const unsigned char *mask, size_t before)
    {
        unsigned char key[8];
        unsigned long long word, piece, high = 0;
        granite_wide wide, first, second, seen = {0, 0};
        size_t i;
        for (i = 0; i < 8; i++)
            key[i] = mask[(before + i) & 3];
        memcpy(&word, key, 8);
        wide = (granite_wide){word, word};
        for (i = 0; size - i >= 32; i += 32) {
            memcpy(&first, from + i, 16);
            memcpy(&second, from + i + 16, 16);
            first ^= wide;
            second ^= wide;
            seen |= first | second;
            memcpy(to + i, &first, 16);
            memcpy(to + i + 16, &second, 16);
        }
        high = seen[0] | seen[1];
        for (; size - i >= 8; i += 8) {
            memcpy(&piece, from + i, 8);
            piece ^= word;
            high |= piece;
            memcpy(to + i, &piece, 8);
        }
        for (; i < size; i++) {
            unsigned char octet = (unsigned char)from[i] ^ key[i & 7];
            high |= octet;
            to[i] = (char)octet;
        }
        return (high & 0x8080808080808080ULL) != 0;
    }

    /* Where in a character a text has been cut: how many octets of it are missing, and the range of the next one. */
    typedef struct {
        uint8_t missing, low, high;
    } granite_utf8;

    /* Whether these octets can go on with a text. */
    static int granite_utf8_goes_on(granite_utf8 *text, const char *base, size_t size)
    {
        const unsigned char *place = (const unsigned char *)base, *end = place + size;
        unsigned long long word;
        unsigned char octet;
        while (place < end) {
            if (text->missing) {
                if (*place < text->low || *place > text->high)
                    return 0;
                text->missing--;
                text->low = 0x80;
                text->high = 0xbf;
                place++;
                continue;
            }
            for (; end - place >= 8; place += 8) {
                memcpy(&word, place, 8);
                if (word & 0x8080808080808080ULL)
                    break;
            }
            while (place < end && *place < 0x80)
                place++;
            if (place == end)
                break;
            octet = *place++;
            if (octet < 0xc2 || octet > 0xf4)
                return 0;
            text->missing = octet < 0xe0 ? 1 : octet < 0xf0 ? 2 : 3;
            /* Neither a longer form than needed, nor a surrogate, nor anything above U+10FFFF. */
            text->low = octet == 0xe0 ? 0xa0 : octet == 0xf0 ? 0x90 : 0x80;
            text->high = octet == 0xed ? 0x9f : octet == 0xf4 ? 0x8f : 0xbf;
        }
        return 1;
    }

    /* SHA-1 (RFC 3174) of at most 119 octets, which make two blocks. Nothing about its use here is a secret. */
    static void granite_sha1(const char *base, size_t size, unsigned char *digest)
    {
        uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
        unsigned char blocks[128] = {0};
        size_t total = size < 56 ? 64 : 128, at;
        int i;
        memcpy(blocks, base, size);
        blocks[size] = 0x80;
        blocks[total - 2] = (unsigned char)(size * 8 >> 8);
        blocks[total - 1] = (unsigned char)(size * 8);
        for (at = 0; at < total; at += 64) {
            uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
            for (i = 0; i < 16; i++)
                w[i] = (uint32_t)blocks[at + 4 * i] << 24 | (uint32_t)blocks[at + 4 * i + 1] << 16 |
                    (uint32_t)blocks[at + 4 * i + 2] << 8 | blocks[at + 4 * i + 3];
            for (; i < 80; i++) {
                uint32_t mixed = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
                w[i] = mixed << 1 | mixed >> 31;
            }
            for (i = 0; i < 80; i++) {
                uint32_t f = i < 20 ? (b & c) | (~b & d) : i >= 40 && i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
                uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
                uint32_t next = (a << 5 | a >> 27) + f + e + k + w[i];
                e = d;
                d = c;
                c = b << 30 | b >> 2;
                b = a;
                a = next;
            }
            h[0] += a;
            h[1] += b;
            h[2] += c;
            h[3] += d;
            h[4] += e;
        }
        for (i = 0; i < 20; i++)
            digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
    }
    """
    ctypedef struct Utf8 "granite_utf8":
        uint8_t missing
        uint8_t low
        uint8_t high

    bint granite_unmask(char *to, const char *source, size_t size, const unsigned char *mask, size_t before) noexcept
    bint granite_utf8_goes_on(Utf8 *text, const char *base, size_t size) noexcept
    void granite_sha1(const char *base, size_t size, unsigned char *digest) noexcept
