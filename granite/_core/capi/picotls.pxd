"""picotls and its OpenSSL backend, declarations only."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "picotls.h" nogil:
    ctypedef struct ptls_t:
        pass

    ctypedef struct ptls_iovec_t:
        uint8_t *base
        size_t len

    ctypedef struct ptls_buffer_t:
        uint8_t *base
        size_t capacity
        size_t off
        uint8_t align_bits

    ctypedef struct ptls_cipher_suite_t:
        uint16_t id
        const char *name

    ctypedef struct ptls_key_exchange_algorithm_t:
        pass

    ctypedef struct ptls_get_time_t:
        pass

    ctypedef struct ptls_async_job_t:
        pass

    ctypedef struct ptls_sign_certificate_t:
        int (*cb)(ptls_sign_certificate_t *self, ptls_t *tls, ptls_async_job_t **job, uint16_t *selected_algorithm, ptls_buffer_t *output,
                  ptls_iovec_t input, const uint16_t *algorithms, size_t num_algorithms) noexcept

    ctypedef struct ptls_verify_certificate_t:
        pass

    ctypedef struct ptls_handshake_properties_t:
        pass

    ctypedef struct _ptls_negotiated_protocols:
        ptls_iovec_t *list
        size_t count

    ctypedef struct _ptls_signature_algorithms:
        const uint16_t *list
        size_t count

    ctypedef struct _ptls_psk_identities:
        size_t count

    ctypedef struct ptls_on_client_hello_parameters_t:
        ptls_iovec_t server_name
        ptls_iovec_t raw_message
        _ptls_negotiated_protocols negotiated_protocols
        _ptls_signature_algorithms signature_algorithms
        _ptls_psk_identities psk_identities
        unsigned incompatible_version

    ctypedef struct ptls_on_client_hello_t:
        int (*cb)(ptls_on_client_hello_t *self, ptls_t *tls, ptls_on_client_hello_parameters_t *params) noexcept

    ctypedef struct ptls_aead_algorithm_t:
        pass

    ctypedef struct ptls_aead_context_t:
        pass

    ctypedef struct ptls_hash_algorithm_t:
        pass

    ctypedef struct ptls_encrypt_ticket_t:
        int (*cb)(ptls_encrypt_ticket_t *self, ptls_t *tls, int is_encrypt, ptls_buffer_t *dst, ptls_iovec_t src) noexcept

    ctypedef struct _ptls_ticket_context:
        uint8_t bytes[32]
        unsigned is_set

    ctypedef struct _ptls_certificates:
        ptls_iovec_t *list
        size_t count

    ctypedef struct _ptls_client_ca_names "client_ca_names":
        const ptls_iovec_t *list
        size_t count

    ctypedef struct ptls_context_t:
        void (*random_bytes)(void *buf, size_t len)
        ptls_get_time_t *get_time
        ptls_key_exchange_algorithm_t **key_exchanges
        ptls_cipher_suite_t **cipher_suites
        _ptls_certificates certificates
        ptls_on_client_hello_t *on_client_hello
        ptls_sign_certificate_t *sign_certificate
        ptls_verify_certificate_t *verify_certificate
        size_t max_buffer_size
        unsigned require_client_authentication
        unsigned require_dhe_on_psk
        uint32_t max_early_data_size
        uint32_t ticket_lifetime
        ptls_encrypt_ticket_t *encrypt_ticket
        _ptls_ticket_context ticket_context
        _ptls_client_ca_names client_ca_names
        unsigned send_change_cipher_spec
        unsigned require_client_authentication
        unsigned server_cipher_preference
        unsigned server_cipher_chacha_priority

    ptls_get_time_t ptls_get_time

    int PTLS_ERROR_CLASS_SELF_ALERT
    int PTLS_ERROR_CLASS_PEER_ALERT
    int PTLS_ERROR_IN_PROGRESS
    int PTLS_ERROR_NO_MEMORY
    int PTLS_CIPHER_SUITE_AES_256_GCM_SHA384
    int PTLS_ALERT_CLOSE_NOTIFY
    int PTLS_ALERT_UNEXPECTED_MESSAGE
    int PTLS_ERROR_LIBRARY
    int PTLS_ALERT_DECRYPT_ERROR
    int PTLS_ALERT_HANDSHAKE_FAILURE
    int PTLS_ALERT_MISSING_EXTENSION
    int PTLS_ALERT_NO_APPLICATION_PROTOCOL
    int PTLS_ALERT_LEVEL_WARNING
    int PTLS_ALERT_LEVEL_FATAL
    int PTLS_ERROR_GET_CLASS(int error)
    int PTLS_ERROR_TO_ALERT(int error)
    int PTLS_ALERT_TO_PEER_ERROR(int alert)

    ptls_t *ptls_server_new(ptls_context_t *ctx)
    ptls_cipher_suite_t *ptls_get_cipher(ptls_t *)
    uint16_t ptls_get_protocol_version(ptls_t *)
    void ptls_free(ptls_t *tls)
    # May be called by on_client_hello.
    void ptls_set_context(ptls_t *tls, ptls_context_t *ctx)
    void **ptls_get_data_ptr(ptls_t *tls)
    # Copies it; a length of 0 stands for a text that ends with a null byte.
    int ptls_set_server_name(ptls_t *tls, const char *server_name, size_t server_name_len)
    int ptls_set_negotiated_protocol(ptls_t *tls, const char *protocol, size_t protocol_len)
    # In: how much there is; out: how much was used.
    int ptls_handshake(ptls_t *tls, ptls_buffer_t *sendbuf, const void *input, size_t *inlen, ptls_handshake_properties_t *args)
    int ptls_handshake_is_complete(ptls_t *tls)
    # 0: in plain text, 2: with the handshake's keys, 3: with those of data.
    size_t ptls_get_read_epoch(ptls_t *tls)
    int ptls_receive(ptls_t *tls, ptls_buffer_t *plaintextbuf, const void *input, size_t *len)
    int ptls_send(ptls_t *tls, ptls_buffer_t *sendbuf, const void *input, size_t inlen)
    int ptls_send_alert(ptls_t *tls, ptls_buffer_t *sendbuf, uint8_t level, uint8_t description)
    void ptls_buffer_init(ptls_buffer_t *buf, void *smallbuf, size_t smallbuf_size)
    # Also wipes what was in it.
    void ptls_buffer_dispose(ptls_buffer_t *buf)
    int ptls_buffer_reserve(ptls_buffer_t *buf, size_t delta)
    void ptls_clear_memory(void *p, size_t len)
    int ptls_calc_hash(ptls_hash_algorithm_t *algo, void *output, const void *src, size_t len)
    int ptls_hkdf_extract(ptls_hash_algorithm_t *hash, void *output, ptls_iovec_t salt, ptls_iovec_t ikm)
    ptls_aead_context_t *ptls_aead_new(ptls_aead_algorithm_t *aead, ptls_hash_algorithm_t *hash, int is_enc, const void *secret,
                                       const char *label_prefix)
    void ptls_aead_free(ptls_aead_context_t *ctx)
    size_t ptls_aead_encrypt(ptls_aead_context_t *ctx, void *output, const void *input, size_t inlen, uint64_t seq,
                             const void *aad, size_t aadlen)
    # SIZE_MAX where it is none of this key's.
    size_t ptls_aead_decrypt(ptls_aead_context_t *ctx, void *output, const void *input, size_t inlen, uint64_t seq,
                             const void *aad, size_t aadlen)


cdef extern from "openssl/x509.h" nogil:
    ctypedef struct X509:
        pass

    # A stack of certificates.
    ctypedef struct X509s "STACK_OF(X509)":
        pass

    ctypedef struct X509_STORE:
        pass


cdef extern from "picotls/openssl.h" nogil:
    ctypedef struct EVP_PKEY:
        pass

    ctypedef struct EVP_MD:
        pass

    ctypedef struct ptls_openssl_signature_scheme_t:
        uint16_t scheme_id
        const EVP_MD *(*scheme_md)()                        # NULL: the scheme has its own

    ctypedef struct ptls_openssl_sign_certificate_t:
        ptls_sign_certificate_t super
        EVP_PKEY *key
        const ptls_openssl_signature_scheme_t *schemes      # UINT16_MAX ends them

    ptls_aead_algorithm_t ptls_openssl_aes256gcm
    ptls_hash_algorithm_t ptls_openssl_sha256

    void ptls_openssl_random_bytes(void *buf, size_t len)
    int ptls_openssl_init_sign_certificate(ptls_openssl_sign_certificate_t *self, EVP_PKEY *key)
    void ptls_openssl_dispose_sign_certificate(ptls_openssl_sign_certificate_t *self)

    # `ret` is picotls' judgement, `ossl_ret` OpenSSL's reason; without a certificate, NULL and an empty chain. The result is what counts.
    ctypedef struct ptls_openssl_override_verify_certificate_t:
        int (*cb)(ptls_openssl_override_verify_certificate_t *self, ptls_t *tls, int ret, int ossl_ret, X509 *cert, X509s *chain) noexcept

    ctypedef struct ptls_openssl_verify_certificate_t:
        ptls_verify_certificate_t super
        ptls_openssl_override_verify_certificate_t *override_callback

    # Takes a reference.
    int ptls_openssl_init_verify_certificate(ptls_openssl_verify_certificate_t *self, X509_STORE *store)
    void ptls_openssl_dispose_verify_certificate(ptls_openssl_verify_certificate_t *self)


cdef extern from "openssl/crypto.h" nogil:
    const char *OpenSSL_version(int kind)
    int OPENSSL_VERSION_STRING
    void OPENSSL_free(void *memory)


cdef extern from "openssl/bio.h" nogil:
    ctypedef struct BIO:
        pass

    BIO *BIO_new_mem_buf(const void *buf, int len)
    int BIO_free(BIO *bio)

    ctypedef struct BIO_METHOD:
        pass

    BIO *BIO_new(const BIO_METHOD *kind)
    const BIO_METHOD *BIO_s_mem()
    long BIO_get_mem_data(BIO *bio, char **data)


cdef extern from "openssl/err.h" nogil:
    void ERR_clear_error()
    unsigned long ERR_peek_last_error()
    int ERR_GET_REASON(unsigned long error)


cdef extern from "openssl/evp.h" nogil:
    ctypedef struct EVP_MD_CTX:
        pass

    void EVP_PKEY_free(EVP_PKEY *key)
    int EVP_PKEY_get_size(const EVP_PKEY *key)
    EVP_MD_CTX *EVP_MD_CTX_new()
    void EVP_MD_CTX_free(EVP_MD_CTX *context)
    int EVP_MD_CTX_copy_ex(EVP_MD_CTX *out, const EVP_MD_CTX *source)
    int EVP_DigestSignInit(EVP_MD_CTX *context, void **key_context, const EVP_MD *kind, void *engine, EVP_PKEY *key)
    int EVP_DigestSign(EVP_MD_CTX *context, unsigned char *signature, size_t *size, const unsigned char *data, size_t data_size)


cdef extern from "openssl/x509.h" nogil:
    ctypedef struct ASN1_TIME:
        pass

    void X509_free(X509 *certificate)
    int i2d_X509(X509 *certificate, unsigned char **out)
    int X509_check_private_key(X509 *certificate, EVP_PKEY *key)
    const ASN1_TIME *X509_get0_notBefore(const X509 *certificate)
    const ASN1_TIME *X509_get0_notAfter(const X509 *certificate)
    # 0: the time is none.
    int X509_cmp_current_time(const ASN1_TIME *time)

    ctypedef struct X509_NAME:
        pass

    ctypedef struct X509_CRL:
        pass

    ctypedef struct X509_STORE_CTX:
        pass

    unsigned long XN_FLAG_RFC2253
    unsigned long ASN1_STRFLGS_ESC_MSB
    unsigned long X509_V_FLAG_PARTIAL_CHAIN
    unsigned long X509_V_FLAG_CRL_CHECK
    unsigned long X509_V_FLAG_CRL_CHECK_ALL
    int X509_V_ERR_CERT_CHAIN_TOO_LONG

    int i2d_X509_NAME(const X509_NAME *name, unsigned char **out)
    X509_NAME *X509_get_subject_name(const X509 *certificate)
    X509_NAME *X509_get_issuer_name(const X509 *certificate)
    int X509_NAME_print_ex(BIO *out, const X509_NAME *name, int indent, unsigned long flags)
    int sk_X509_num(const X509s *stack)
    X509 *sk_X509_value(const X509s *stack, int index)
    void X509_CRL_free(X509_CRL *revoked)
    const char *X509_verify_cert_error_string(long reason)

    X509_STORE *X509_STORE_new()
    void X509_STORE_free(X509_STORE *store)
    # These take references.
    int X509_STORE_add_cert(X509_STORE *store, X509 *certificate)
    int X509_STORE_add_crl(X509_STORE *store, X509_CRL *revoked)
    int X509_STORE_set_flags(X509_STORE *store, unsigned long flags)
    void X509_STORE_set_verify_cb(X509_STORE *store, int (*cb)(int ok, X509_STORE_CTX *context) noexcept)
    # Data 0 is the application's.
    int X509_STORE_set_ex_data(X509_STORE *store, int index, void *data)
    void *X509_STORE_get_ex_data(X509_STORE *store, int index)
    X509_STORE *X509_STORE_CTX_get0_store(const X509_STORE_CTX *context)
    int X509_STORE_CTX_get_error_depth(const X509_STORE_CTX *context)
    void X509_STORE_CTX_set_error(X509_STORE_CTX *context, int reason)


ctypedef int (*pem_password_cb)(char *buf, int size, int rwflag, void *userdata) noexcept


cdef extern from "openssl/pem.h" nogil:
    int PEM_R_NO_START_LINE
    X509 *PEM_read_bio_X509(BIO *bio, X509 **x, pem_password_cb cb, void *u)
    X509_CRL *PEM_read_bio_X509_CRL(BIO *bio, X509_CRL **x, pem_password_cb cb, void *u)
    EVP_PKEY *PEM_read_bio_PrivateKey(BIO *bio, EVP_PKEY **x, pem_password_cb cb, void *u)


cdef extern from "openssl/x509v3.h" nogil:
    ctypedef struct ASN1_STRING:
        pass

    ctypedef struct GENERAL_NAME:
        pass

    ctypedef struct GENERAL_NAMES:
        pass

    int NID_subject_alt_name
    int GEN_DNS
    int GEN_IPADD

    void *X509_get_ext_d2i(const X509 *certificate, int nid, int *critical, int *index)
    int sk_GENERAL_NAME_num(const GENERAL_NAMES *names)
    GENERAL_NAME *sk_GENERAL_NAME_value(const GENERAL_NAMES *names, int index)
    void GENERAL_NAMES_free(GENERAL_NAMES *names)
    void *GENERAL_NAME_get0_value(const GENERAL_NAME *name, int *kind)
    const unsigned char *ASN1_STRING_get0_data(const ASN1_STRING *text)
    int ASN1_STRING_length(const ASN1_STRING *text)
