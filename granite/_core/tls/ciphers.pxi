# What connections are secured with: cipher suites, by the fastest engine that the processor has, and key exchanges.

cdef extern from *:
    """
    #ifdef GRANITE_HAVE_FUSION
    #include "picotls/fusion.h"
    /* Of fusion's engines the one for records: the others cannot encrypt a vector, and where asserts are off their output is plain text. */
    static ptls_cipher_suite_t granite_aes256gcmsha384 = {
        .id = PTLS_CIPHER_SUITE_AES_256_GCM_SHA384, .name = PTLS_CIPHER_SUITE_NAME_AES_256_GCM_SHA384,
        .aead = &ptls_non_temporal_aes256gcm, .hash = &ptls_openssl_sha384,
    };
    static ptls_cipher_suite_t granite_aes128gcmsha256 = {
        .id = PTLS_CIPHER_SUITE_AES_128_GCM_SHA256, .name = PTLS_CIPHER_SUITE_NAME_AES_128_GCM_SHA256,
        .aead = &ptls_non_temporal_aes128gcm, .hash = &ptls_openssl_sha256,
    };
    static ptls_cipher_suite_t *granite_fusion_suites[] = {
        &granite_aes256gcmsha384, &granite_aes128gcmsha256,
    #if PTLS_OPENSSL_HAVE_CHACHA20_POLY1305
        &ptls_openssl_chacha20poly1305sha256,
    #endif
        NULL,
    };
    #else
    #define granite_fusion_suites ptls_openssl_cipher_suites
    #define ptls_fusion_is_supported_by_cpu() 0
    #endif

    static ptls_key_exchange_algorithm_t *granite_key_exchanges[] = {
    #if PTLS_OPENSSL_HAVE_X25519MLKEM768
        &ptls_openssl_x25519mlkem768,
    #endif
        &ptls_openssl_x25519, &ptls_openssl_secp256r1, &ptls_openssl_secp384r1, NULL,
    };
    """
    # NULL-terminated, in the order of preference.
    ptls_cipher_suite_t *granite_fusion_suites[]
    ptls_key_exchange_algorithm_t *granite_key_exchanges[]
    int ptls_fusion_is_supported_by_cpu()


cdef int _use_ciphers(ptls_context_t *context, str engine) except -1:
    """Have connections of a context secured by an engine, the best one if it is None."""
    if engine is not None and engine not in engines():
        raise ValueError(f"expected one of the engines {', '.join(engines())}, got {engine}")
    if (engine or engines()[0]) == "fusion":
        context.cipher_suites = granite_fusion_suites
    else:
        context.cipher_suites = ptls_openssl_cipher_suites
    context.key_exchanges = granite_key_exchanges
    # Who has no instructions for AES lists ChaCha20 first.
    context.server_cipher_preference = 1
    context.server_cipher_chacha_priority = 1
    return 0


def engines():
    """What encrypts with AES-GCM, the best one first: "fusion" where the build and the processor have it, and "openssl"."""
    return ["fusion", "openssl"] if ptls_fusion_is_supported_by_cpu() else ["openssl"]


def cipher_suites():
    """The names of the TLS 1.3 cipher suites that this build offers, in the order of preference."""
    cdef Py_ssize_t i = 0
    names = []
    while ptls_openssl_cipher_suites[i] is not NULL:
        names.append(ptls_openssl_cipher_suites[i].name.decode("ascii"))
        i += 1
    return names
