"""TLS 1.2 as bytes in, bytes out."""

from granite._core.tls import OlderVersions

class Tls12(OlderVersions):
    """TLS 1.2, for a `TlsContext`: it shows what this one shows, and asks clients for what this
    one asks for.
    """
