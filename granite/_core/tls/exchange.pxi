# Key exchanges: X25519 (RFC 7748) by AWS-LC's assembly, whose every instruction is proven, as OpenSSL 3.0 takes twice as long; and
# X25519MLKEM768, by either X25519 and OpenSSL's ML-KEM, as picotls' own loses a context of OpenSSL's in each exchange.

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #include <openssl/evp.h>

    #ifdef GRANITE_HAVE_X25519
    #include <cpuid.h>
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

    #if PTLS_OPENSSL_HAVE_X25519MLKEM768
    #define GRANITE_MLKEM_KEY 1184
    #define GRANITE_MLKEM_CIPHERTEXT 1088

    static int granite_encapsulate(uint8_t *ciphertext, uint8_t *secret, const uint8_t *peer)
    {
        EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, "ML-KEM-768", NULL, peer, GRANITE_MLKEM_KEY);
        EVP_PKEY_CTX *context = key != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
        size_t ciphertext_size = GRANITE_MLKEM_CIPHERTEXT, secret_size = 32;
        int done = context != NULL && EVP_PKEY_encapsulate_init(context, NULL) == 1 &&
                   EVP_PKEY_encapsulate(context, ciphertext, &ciphertext_size, secret, &secret_size) == 1;
        EVP_PKEY_CTX_free(context);
        EVP_PKEY_free(key);
        return done ? 0 : PTLS_ALERT_ILLEGAL_PARAMETER;
    }

    /* Of shares and of the secret, what is ML-KEM's comes first, and the other part is X25519's. */
    static int granite_hybrid_exchange(ptls_key_exchange_algorithm_t *algo, ptls_iovec_t *pubkey, ptls_iovec_t *secret, ptls_iovec_t peer)
    {
        ptls_key_exchange_algorithm_t *x25519 = (ptls_key_exchange_algorithm_t *)algo->data;
        ptls_iovec_t own = {NULL}, shared = {NULL};
        uint8_t *share = malloc(GRANITE_MLKEM_CIPHERTEXT + 32), *both = malloc(64);
        int ret = share != NULL && both != NULL ? 0 : PTLS_ERROR_NO_MEMORY;

        if (ret == 0 && peer.len != GRANITE_MLKEM_KEY + 32)
            ret = PTLS_ALERT_ILLEGAL_PARAMETER;
        if (ret == 0)
            ret = granite_encapsulate(share, both, peer.base);
        if (ret == 0)
            ret = x25519->exchange(x25519, &own, &shared, ptls_iovec_init(peer.base + GRANITE_MLKEM_KEY, 32));
        if (ret != 0) {
            free(share);
            free(both);
            return ret;
        }
        memcpy(share + GRANITE_MLKEM_CIPHERTEXT, own.base, 32);
        memcpy(both + 32, shared.base, 32);
        ptls_clear_memory(shared.base, 32);
        free(own.base);
        free(shared.base);
        *pubkey = ptls_iovec_init(share, GRANITE_MLKEM_CIPHERTEXT + 32);
        *secret = ptls_iovec_init(both, 64);
        return 0;
    }
    #endif
    """
    bint granite_x25519_is_supported()
