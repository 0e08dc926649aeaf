"""TLS 1.3 as bytes in, bytes out."""

from granite._core.transport import SecureContext

OPENSSL_VERSION: str
"""The version of the libcrypto that is loaded, such as "3.0.22"."""

def cipher_suites() -> list[str]:
    """The names of the TLS 1.3 cipher suites that this build offers, in the order of preference."""

class TlsContext(SecureContext):
    """A certificate chain with its key, and what all connections that show it share.

    Parameters:
        chain: the certificates in PEM, the server's own first.
        key: its private key in PEM.
        password: of the key; None: it is not encrypted.

    Raises:
        ValueError: certificate or key can't be used; the message says why.
    """

    def __init__(self, chain: bytes, key: bytes, password: str | None = None) -> None: ...
