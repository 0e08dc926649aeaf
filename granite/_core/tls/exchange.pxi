# The key exchange X25519 (RFC 7748) by AWS-LC's assembly, whose every instruction is proven: OpenSSL 3.0 takes twice as long.

cdef extern from *:
    """
    #ifdef GRANITE_HAVE_X25519
    #include <cpuid.h>
    #include <stdlib.h>
    #include <openssl/rand.h>

    extern void curve25519_x25519_byte(uint8_t res[32], const uint8_t scalar[32], const uint8_t point[32]);
    extern void curve25519_x25519base_byte(uint8_t res[32], const uint8_t scalar[32]);

    static int granite_x25519_is_supported(void)
    {
        unsigned eax, ebx, ecx, edx;
        return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & bit_BMI2) && (ebx & bit_ADX);
    }

    /* Both results are malloc'ed, and picotls frees them. The routines clamp the private key. */
    static int granite_x25519_exchange(ptls_key_exchange_algorithm_t *algo, ptls_iovec_t *pubkey, ptls_iovec_t *secret, ptls_iovec_t peer)
    {
        uint8_t key[32], any = 0, *own = malloc(32), *shared = malloc(32);
        int ret = PTLS_ERROR_NO_MEMORY;

        if (own == NULL || shared == NULL)
            goto Fail;
        ret = PTLS_ALERT_ILLEGAL_PARAMETER;
        if (peer.len != 32)
            goto Fail;
        ret = PTLS_ERROR_LIBRARY;
        if (RAND_priv_bytes(key, sizeof(key)) != 1)
            goto Fail;
        curve25519_x25519base_byte(own, key);
        curve25519_x25519_byte(shared, key, peer.base);
        ptls_clear_memory(key, sizeof(key));
        /* RFC 8446, 7.4.2: a point of small order. */
        for (size_t i = 0; i != 32; ++i)
            any |= shared[i];
        ret = PTLS_ALERT_ILLEGAL_PARAMETER;
        if (any == 0)
            goto Fail;
        *pubkey = ptls_iovec_init(own, 32);
        *secret = ptls_iovec_init(shared, 32);
        return 0;
    Fail:
        free(own);
        free(shared);
        return ret;
    }
    #else
    #define granite_x25519_is_supported() 0
    #endif
    """
    bint granite_x25519_is_supported()
