# What `tls12` shares with tls: certificates and what is chosen among them, whom clients are verified by, keys of tickets, the sizes of records,
# the words for alerts. Everybody else knows SecureContext and SecureLayer of transport.

from libc.stdint cimport int64_t, uint8_t, uint16_t
from granite._core.capi.picotls cimport *
from granite._core.counters cimport coarse_clock
from granite._core.transport cimport SecureContext, SecureLayer

cdef enum:
    MOST_CERTIFICATES = 16              # of a chain
    MOST_HANDSHAKE = 65536              # bytes of handshake messages that are put together
    RECORD_SIZE = 16384                 # plain bytes of a full record
    RECORD_ROOM = 64                    # bytes that a record, or a KeyUpdate before it, takes besides
    # A record can be read when all of it has come. At first, and after a pause, when TCP begins with a few segments, one fits into one.
    SMALL_RECORD = 1369
    SMALL_TOTAL = 32768                 # bytes that go that way
    PAUSE = 1000000000                  # ns
    TICKET_NAME_SIZE = 16
    TICKET_SALT_SIZE = 16
    TICKET_HEAD_SIZE = 32
    TICKET_TAG_SIZE = 16
    TICKET_KEY_SIZE = 48                # a name and a secret of 32 bytes
    TICKET_KEYS = 3                     # the current one, the previous, the next

cdef struct RecordSizes:
    size_t small_left                   # bytes that are still to go in small records
    int64_t used_at                     # ns

cdef inline size_t records_room(RecordSizes *sizes, size_t size) noexcept:
    """Begin with `size` more plain bytes: how many their records take at most."""
    cdef int64_t now = coarse_clock()
    if now - sizes.used_at >= PAUSE:
        sizes.small_left = SMALL_TOTAL
    sizes.used_at = now
    return size + (size // RECORD_SIZE + min(size, sizes.small_left) // SMALL_RECORD + 3) * RECORD_ROOM

cdef inline size_t record_piece(RecordSizes *sizes, size_t size) noexcept:
    """How many of the `size` bytes go next: into a small record, or all of them into full ones."""
    cdef size_t piece = min(size, <size_t>SMALL_RECORD) if sizes.small_left else size
    sizes.small_left -= min(piece, sizes.small_left)
    return piece

cdef struct Signer:
    ptls_openssl_sign_certificate_t openssl     # first, so that picotls' pointer is this one's
    EVP_MD_CTX *prepared                        # NULL: the key signs by several schemes, which picotls prepares by itself
    size_t size                                 # of a signature, at most

cdef class Certificate:
    cdef ptls_context_t c_context       # the common one's copy, with this certificate in it
    cdef Signer c_signer
    cdef ptls_iovec_t c_chain[MOST_CERTIFICATES]
    cdef size_t length                  # of the chain
    cdef ClientCheck clients            # what the context refers to
    cdef str pem                        # the server's own
    cdef readonly tuple names           # that it stands for: bytes in lower case, addresses as text
    cdef readonly bint early            # it is not valid yet
    cdef int join(self, ptls_context_t *common, ClientCheck clients) noexcept
    cdef EVP_PKEY *key(self) noexcept
    cdef bint suits(self, const uint16_t *algorithms, size_t count) noexcept
    cdef int _load(self, bytes chain, bytes key, bytes password) except -1
    cdef X509 *_load_chain(self, BIO *bio) except NULL

cdef class Certificates:
    cdef list all
    cdef dict by_name                   # each name, and each wildcard as it is written: the certificates in their order
    cdef list named(self, const char *name, size_t size)
    cdef Certificate choose(self, ptls_iovec_t name, const uint16_t *algorithms, size_t count)

cdef class ClientCheck:
    cdef X509_STORE *c_store
    cdef ptls_openssl_verify_certificate_t c_verify
    cdef ptls_openssl_override_verify_certificate_t c_judge
    cdef bint is_open
    cdef bint required
    cdef list names                     # of the authorities, in DER
    cdef ptls_iovec_t *c_names          # the same; NULL: they are too many to be told
    cdef int _tell_names(self) except -1
    cdef int join(self, ptls_context_t *context) noexcept

cdef class Tickets:
    cdef readonly int lifetime
    cdef uint8_t c_keys[TICKET_KEYS * TICKET_KEY_SIZE]
    cdef const uint8_t *find(self, const uint8_t *name) noexcept
    cdef ptls_aead_context_t *_aead(self, const uint8_t *key, const uint8_t *salt, bint is_encrypt) noexcept
    cdef int _seal(self, ptls_buffer_t *dst, ptls_iovec_t session) noexcept
    cdef int _open(self, ptls_buffer_t *dst, ptls_iovec_t ticket) noexcept

cdef class OlderVersions:
    cdef int renew(self, Certificates certificates, ClientCheck clients, Tickets tickets) except -1
    cdef SecureLayer layer(self, SecureContext owner, bytes name, bytes protocol)

cdef tuple client_of(X509 *certificate, X509s *chain)
cdef str told(int alert, bint by_client)
