# What connections are secured with: cipher suites and key exchanges, by the fastest engine that the processor has.

cdef extern from *:
    """
    /* AES with the shorter key first: a handshake with SHA-256 costs a tenth less than one with SHA-384. */
    static ptls_cipher_suite_t *granite_openssl_suites[] = {
        &ptls_openssl_aes128gcmsha256, &ptls_openssl_aes256gcmsha384,
    #if PTLS_OPENSSL_HAVE_CHACHA20_POLY1305
        &ptls_openssl_chacha20poly1305sha256,
    #endif
        NULL,
    };

    #ifdef GRANITE_HAVE_FUSION
    #include "picotls/fusion.h"
    /* Of fusion's engines the one for records: the others cannot encrypt a vector, and where asserts are off their output is plain text. */
    static ptls_cipher_suite_t granite_aes128gcmsha256 = {
        .id = PTLS_CIPHER_SUITE_AES_128_GCM_SHA256, .name = PTLS_CIPHER_SUITE_NAME_AES_128_GCM_SHA256,
        .aead = &ptls_non_temporal_aes128gcm, .hash = &ptls_openssl_sha256,
    };
    static ptls_cipher_suite_t granite_aes256gcmsha384 = {
        .id = PTLS_CIPHER_SUITE_AES_256_GCM_SHA384, .name = PTLS_CIPHER_SUITE_NAME_AES_256_GCM_SHA384,
        .aead = &ptls_non_temporal_aes256gcm, .hash = &ptls_openssl_sha384,
    };
    static ptls_cipher_suite_t *granite_fusion_suites[] = {
        &granite_aes128gcmsha256, &granite_aes256gcmsha384,
    #if PTLS_OPENSSL_HAVE_CHACHA20_POLY1305
        &ptls_openssl_chacha20poly1305sha256,
    #endif
        NULL,
    };
    #else
    #define granite_fusion_suites granite_openssl_suites
    #define ptls_fusion_is_supported_by_cpu() 0
    #endif

    #if PTLS_OPENSSL_HAVE_X25519MLKEM768
    #define GRANITE_HYBRID(hybrid, x25519) static ptls_key_exchange_algorithm_t hybrid = { \\
        .id = PTLS_GROUP_X25519MLKEM768, .name = PTLS_GROUP_NAME_X25519MLKEM768, .exchange = granite_hybrid_exchange, .data = (intptr_t)&x25519, \\
    };
    #define GRANITE_EXCHANGES(hybrid, x25519) { &hybrid, &x25519, &ptls_openssl_secp256r1, &ptls_openssl_secp384r1, NULL }
    #else
    #define GRANITE_HYBRID(hybrid, x25519)
    #define GRANITE_EXCHANGES(hybrid, x25519) { &x25519, &ptls_openssl_secp256r1, &ptls_openssl_secp384r1, NULL }
    #endif
    GRANITE_HYBRID(granite_openssl_hybrid, ptls_openssl_x25519)
    static ptls_key_exchange_algorithm_t *granite_openssl_exchanges[] = GRANITE_EXCHANGES(granite_openssl_hybrid, ptls_openssl_x25519);

    #ifdef GRANITE_HAVE_X25519
    static ptls_key_exchange_algorithm_t granite_x25519 = {
        .id = PTLS_GROUP_X25519, .name = PTLS_GROUP_NAME_X25519, .exchange = granite_x25519_exchange,
    };
    GRANITE_HYBRID(granite_fast_hybrid, granite_x25519)
    static ptls_key_exchange_algorithm_t *granite_fast_exchanges[] = GRANITE_EXCHANGES(granite_fast_hybrid, granite_x25519);
    #else
    #define granite_fast_exchanges granite_openssl_exchanges
    #endif
    """
    # NULL-terminated, in the order of preference.
    ptls_cipher_suite_t *granite_openssl_suites[]
    ptls_cipher_suite_t *granite_fusion_suites[]
    ptls_key_exchange_algorithm_t *granite_openssl_exchanges[]
    ptls_key_exchange_algorithm_t *granite_fast_exchanges[]
    int ptls_fusion_is_supported_by_cpu()


cdef int _use_ciphers(ptls_context_t *context, str engine) except -1:
    """Have connections of a context secured by an engine, the best one if it is None."""
    if engine is not None and engine not in engines():
        raise ValueError(f"expected one of the engines {', '.join(engines())}, got {engine}")
    context.cipher_suites = granite_openssl_suites
    context.key_exchanges = granite_openssl_exchanges
    if (engine or engines()[0]) == "fusion":
        context.cipher_suites = granite_fusion_suites
        if granite_x25519_is_supported():
            context.key_exchanges = granite_fast_exchanges
    # Who has no instructions for AES lists ChaCha20 first.
    context.server_cipher_preference = 1
    context.server_cipher_chacha_priority = 1
    return 0


def engines():
    """What computes, the best one first: "openssl", and before it "fusion" where the build and the processor have it.

    That is picotls' engine for AES-GCM and, where the processor has the instructions ADX and BMI2, AWS-LC's X25519.
    """
    return ["fusion", "openssl"] if ptls_fusion_is_supported_by_cpu() else ["openssl"]


def cipher_suites():
    """The names of the TLS 1.3 cipher suites that this build offers, in the order of preference."""
    cdef Py_ssize_t i = 0
    names = []
    while granite_openssl_suites[i] is not NULL:
        names.append(granite_openssl_suites[i].name.decode("ascii"))
        i += 1
    return names
