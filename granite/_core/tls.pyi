"""TLS 1.3 as bytes in, bytes out."""

OPENSSL_VERSION: str
"""The version of the libcrypto that is loaded, such as "3.0.22"."""

def cipher_suites() -> list[str]:
    """The names of the TLS 1.3 cipher suites that this build offers, in the order of preference."""
