"""OpenSSL's libssl, and what of libcrypto it is used with; declarations only."""

from libc.stdint cimport uint16_t, uint64_t
from granite._core.capi.picotls cimport BIO, BIO_METHOD, EVP_PKEY, X509, X509_NAME, X509_STORE, X509s

cdef extern from "openssl/bio.h":
    int BIO_TYPE_SOURCE_SINK
    int BIO_CTRL_FLUSH

    int BIO_get_new_index()
    BIO_METHOD *BIO_meth_new(int kind, const char *name)
    int BIO_meth_set_read(BIO_METHOD *method, int (*read)(BIO *bio, char *data, int size) noexcept)
    int BIO_meth_set_write(BIO_METHOD *method, int (*write)(BIO *bio, const char *data, int size) noexcept)
    int BIO_meth_set_ctrl(BIO_METHOD *method, long (*ctrl)(BIO *bio, int command, long value, void *pointer) noexcept)
    void BIO_set_data(BIO *bio, void *data)
    void *BIO_get_data(BIO *bio)
    void BIO_set_init(BIO *bio, int init)
    void BIO_set_retry_read(BIO *bio)
    void BIO_clear_retry_flags(BIO *bio)


cdef extern from "openssl/evp.h" nogil:
    ctypedef struct EVP_MD:
        pass

    ctypedef struct EVP_CIPHER:
        pass

    ctypedef struct EVP_CIPHER_CTX:
        pass

    ctypedef struct EVP_MAC_CTX:
        pass

    int EVP_PKEY_RSA
    int EVP_PKEY_EC
    int EVP_PKEY_ED25519

    int EVP_PKEY_get_base_id(const EVP_PKEY *key)
    int EVP_PKEY_get_group_name(const EVP_PKEY *key, char *name, size_t size, size_t *length)
    const EVP_MD *EVP_sha256()
    const EVP_CIPHER *EVP_aes_256_cbc()
    int EVP_EncryptInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, void *engine, const unsigned char *key, const unsigned char *iv)
    int EVP_DecryptInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, void *engine, const unsigned char *key, const unsigned char *iv)


cdef extern from "openssl/hmac.h" nogil:
    unsigned char *HMAC(const EVP_MD *hash, const void *key, int key_size, const unsigned char *data, size_t size,
                        unsigned char *out, unsigned int *out_size)


cdef extern from "openssl/params.h" nogil:
    ctypedef struct OSSL_PARAM:
        pass

    OSSL_PARAM OSSL_PARAM_construct_octet_string(const char *key, void *data, size_t size)
    OSSL_PARAM OSSL_PARAM_construct_utf8_string(const char *key, char *text, size_t size)
    OSSL_PARAM OSSL_PARAM_construct_end()


cdef extern from "openssl/evp.h" nogil:
    int EVP_MAC_CTX_set_params(EVP_MAC_CTX *context, const OSSL_PARAM *params)


cdef extern from "openssl/core_names.h" nogil:
    const char *OSSL_MAC_PARAM_KEY
    const char *OSSL_MAC_PARAM_DIGEST


cdef extern from "openssl/rand.h" nogil:
    int RAND_bytes(unsigned char *data, int size)


cdef extern from "openssl/crypto.h" nogil:
    void *OPENSSL_clear_realloc(void *memory, size_t old_size, size_t size)
    void OPENSSL_clear_free(void *memory, size_t size)
    void OPENSSL_cleanse(void *memory, size_t size)


cdef extern from "openssl/err.h" nogil:
    unsigned long ERR_peek_error()
    const char *ERR_reason_error_string(unsigned long error)


cdef extern from "openssl/x509.h" nogil:
    long X509_V_OK

    # A stack of names.
    ctypedef struct X509_NAMEs "STACK_OF(X509_NAME)":
        pass

    X509_NAMEs *sk_X509_NAME_new_null()
    # How many there are then; it takes the name.
    int sk_X509_NAME_push(X509_NAMEs *stack, X509_NAME *name)
    X509_NAME *d2i_X509_NAME(X509_NAME **name, const unsigned char **der, long size)
    X509 *d2i_X509(X509 **certificate, const unsigned char **der, long size)
    int X509_digest(const X509 *certificate, const EVP_MD *hash, unsigned char *out, unsigned int *size)


# Called with the GIL: their callbacks need it.
cdef extern from "openssl/ssl.h":
    ctypedef struct SSL:
        pass

    ctypedef struct SSL_CTX:
        pass

    ctypedef struct SSL_METHOD:
        pass

    ctypedef struct SSL_CIPHER:
        pass

    ctypedef struct SSL_SESSION:
        pass

    int TLS1_2_VERSION
    int TLS1_3_VERSION
    uint64_t SSL_OP_NO_COMPRESSION
    uint64_t SSL_OP_NO_RENEGOTIATION
    uint64_t SSL_OP_NO_TICKET
    uint64_t SSL_OP_CIPHER_SERVER_PREFERENCE
    uint64_t SSL_OP_PRIORITIZE_CHACHA
    long SSL_MODE_RELEASE_BUFFERS
    long SSL_MODE_NO_AUTO_CHAIN
    long SSL_SESS_CACHE_OFF
    int SSL_VERIFY_PEER
    int SSL_VERIFY_FAIL_IF_NO_PEER_CERT
    int SSL_ERROR_WANT_READ
    int SSL_ERROR_ZERO_RETURN
    int SSL_CB_READ
    int SSL_CB_ALERT
    int SSL3_AL_FATAL
    int SSL_AD_INTERNAL_ERROR
    int SSL_AD_NO_RENEGOTIATION
    int SSL_CLIENT_HELLO_SUCCESS
    int SSL_CLIENT_HELLO_ERROR
    int SSL_TLSEXT_ERR_OK
    int SSL_TLSEXT_ERR_NOACK
    int SSL_TICKET_SUCCESS
    int SSL_TICKET_SUCCESS_RENEW
    int SSL_TICKET_RETURN_USE
    int SSL_TICKET_RETURN_USE_RENEW
    int SSL_TICKET_RETURN_IGNORE_RENEW
    unsigned int TLSEXT_TYPE_supported_groups
    unsigned int TLSEXT_TYPE_signature_algorithms

    const SSL_METHOD *TLS_server_method()
    SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
    void SSL_CTX_free(SSL_CTX *context)
    void SSL_CTX_set_security_level(SSL_CTX *context, int level)
    int SSL_CTX_set_min_proto_version(SSL_CTX *context, int version)
    int SSL_CTX_set_max_proto_version(SSL_CTX *context, int version)
    uint64_t SSL_CTX_set_options(SSL_CTX *context, uint64_t options)
    long SSL_CTX_set_mode(SSL_CTX *context, long mode)
    long SSL_CTX_set_session_cache_mode(SSL_CTX *context, long mode)
    long SSL_CTX_set_timeout(SSL_CTX *context, long seconds)
    int SSL_CTX_set_session_id_context(SSL_CTX *context, const unsigned char *name, unsigned int size)
    void SSL_CTX_set_max_cert_list(SSL_CTX *context, long size)
    int SSL_CTX_set_cipher_list(SSL_CTX *context, const char *names)
    int SSL_CTX_set1_groups_list(SSL_CTX *context, const char *names)
    int SSL_CTX_set1_sigalgs_list(SSL_CTX *context, const char *names)
    int SSL_CTX_use_certificate(SSL_CTX *context, X509 *certificate)
    int SSL_CTX_add1_chain_cert(SSL_CTX *context, X509 *certificate)
    int SSL_CTX_use_PrivateKey(SSL_CTX *context, EVP_PKEY *key)
    # Takes a reference.
    int SSL_CTX_set1_verify_cert_store(SSL_CTX *context, X509_STORE *store)
    void SSL_CTX_set_verify(SSL_CTX *context, int mode, void *callback)
    # Takes the stack, and what was there goes.
    void SSL_CTX_set0_CA_list(SSL_CTX *context, X509_NAMEs *names)
    void SSL_CTX_set_client_hello_cb(SSL_CTX *context, int (*callback)(SSL *ssl, int *alert, void *arg) noexcept, void *arg)
    void SSL_CTX_set_alpn_select_cb(
        SSL_CTX *context,
        int (*callback)(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *offered, unsigned int size,
                        void *arg) noexcept,
        void *arg,
    )
    void SSL_CTX_set_info_callback(SSL_CTX *context, void (*callback)(const SSL *ssl, int where, int value) noexcept)
    int SSL_CTX_set_tlsext_ticket_key_evp_cb(
        SSL_CTX *context,
        int (*callback)(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals) noexcept,
    )
    int SSL_CTX_set_session_ticket_cb(
        SSL_CTX *context,
        int (*make)(SSL *ssl, void *arg) noexcept,
        int (*take)(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_size, int status, void *arg) noexcept,
        void *arg,
    )
    # Seconds since 1970.
    long SSL_SESSION_get_time(const SSL_SESSION *session)

    SSL *SSL_new(SSL_CTX *context)
    void SSL_free(SSL *ssl)
    int SSL_set_ex_data(SSL *ssl, int index, void *data)
    void *SSL_get_ex_data(const SSL *ssl, int index)
    # Takes the BIO's reference, once if both are the same.
    void SSL_set_bio(SSL *ssl, BIO *source, BIO *target)
    void SSL_set_accept_state(SSL *ssl)
    SSL_CTX *SSL_set_SSL_CTX(SSL *ssl, SSL_CTX *context)
    int SSL_do_handshake(SSL *ssl)
    int SSL_read_ex(SSL *ssl, void *data, size_t size, size_t *done)
    int SSL_write_ex(SSL *ssl, const void *data, size_t size, size_t *done)
    int SSL_shutdown(SSL *ssl)
    int SSL_get_error(const SSL *ssl, int code)
    int SSL_version(const SSL *ssl)
    const SSL_CIPHER *SSL_get_current_cipher(const SSL *ssl)
    uint16_t SSL_CIPHER_get_protocol_id(const SSL_CIPHER *cipher)
    long SSL_get_verify_result(const SSL *ssl)
    # To be freed.
    X509 *SSL_get1_peer_certificate(const SSL *ssl)
    # Borrowed; of a client, without its own certificate.
    X509s *SSL_get_peer_cert_chain(const SSL *ssl)
    size_t SSL_client_hello_get0_ciphers(SSL *ssl, const unsigned char **out)
    int SSL_client_hello_get0_ext(SSL *ssl, unsigned int kind, const unsigned char **out, size_t *size)
