"""TLS 1.3 as bytes in, bytes out."""

from granite._core.transport import SecureContext

OPENSSL_VERSION: str
"""The version of the libcrypto that is loaded, such as "3.0.22"."""

def cipher_suites() -> list[str]:
    """The names of the TLS 1.3 cipher suites that this build offers, in the order of preference."""

def engines() -> list[str]:
    """What computes, the best one first: "openssl", and before it "fusion" where the build and the
    processor have it.
    """

class Tickets:
    """Keys of session tickets: those who share them resume each other's sessions.

    Parameters:
        keys: 48 bytes for each of the current, the previous and the next key; tickets are made with
            the first, and all are taken.
        lifetime: seconds for which a ticket is taken.
    """

    lifetime: int

    def __init__(self, keys: bytes, lifetime: int) -> None: ...
    def use_keys(self, keys: bytes) -> None:
        """Take other keys in place of the present ones."""

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

class ClientCheck:
    """Whether clients have to show a certificate, and who vouches for it.

    Parameters:
        authorities: their certificates in PEM. Each of them is trusted by itself, whoever has
            signed it.
        depth: how many authorities may stand between a client's certificate and one of these.
        required: a client without a certificate is refused. One whose certificate is wrong always
            is.

    Raises:
        ValueError: the authorities can't be used; the message says why.
    """

    def __init__(self, authorities: bytes, depth: int, required: bool) -> None: ...
    def revoke(self, revoked: bytes) -> None:
        """Look at these lists of revoked certificates, too, in PEM: from the first on, each
        authority of a chain needs one that is in force.

        Raises:
            ValueError: there is none that can be read.
        """

class OlderVersions:
    """What speaks versions before TLS 1.3, for contexts that let clients do so."""

class TlsContext(SecureContext):
    """Certificates, and what all connections that show one of them share.

    A client that asks for a name gets a certificate for this name, in default of it one for a
    wildcard, or else any: the first whose signatures it can verify. `engine` is one of engines(),
    None: the best. `older` is what serves clients that know no TLS 1.3; None: they are refused.
    `http`: the versions to speak, as the setting has them.
    """

    def __init__(
        self,
        certificates: list[Certificate],
        clients: ClientCheck | None = None,
        engine: str | None = None,
        older: OlderVersions | None = None,
        http: str = "1",
    ) -> None: ...
    def renew(self, certificates: list[Certificate], clients: ClientCheck | None = None) -> None:
        """Show these certificates from now on, and judge clients' so. Connections whose handshake
        has begun go on as they were.
        """
    def use_tickets(self, tickets: Tickets) -> None:
        """Have sessions resumed by tickets."""
