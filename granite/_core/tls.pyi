"""TLS 1.3 as bytes in, bytes out."""

from granite._core.transport import SecureContext

OPENSSL_VERSION: str
"""The version of the libcrypto that is loaded, such as "3.0.22"."""

def cipher_suites() -> list[str]:
    """The names of the TLS 1.3 cipher suites that this build offers, in the order of preference."""

class Certificate:
    """A certificate chain with its key.

    Parameters:
        chain: the certificates in PEM, the server's own first.
        key: its private key in PEM.
        password: of the key; None: it is not encrypted.

    Raises:
        ValueError: certificate or key can't be used; the message says why.
    """

    def __init__(self, chain: bytes, key: bytes, password: str | None = None) -> None: ...
    @property
    def names(self) -> tuple[bytes, ...]:
        """What it stands for, in lower case; addresses as text."""

    @property
    def early(self) -> bool:
        """It is not valid yet."""

class TlsContext(SecureContext):
    """Certificates, and what all connections that show one of them share.

    A client that asks for a name gets a certificate for this name, in default of it one for a
    wildcard, or else any: the first whose signatures it can verify.
    """

    def __init__(self, certificates: list[Certificate]) -> None: ...
    def renew(self, certificates: list[Certificate]) -> None:
        """Show these certificates from now on. Connections whose handshake has begun go on with
        theirs.
        """
