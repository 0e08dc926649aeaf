class SecureContext:
    """What secured connections have in common, such as a certificate."""

    @property
    def live(self) -> int:
        """How many connections use it."""

class SecureLayer:
    """Bytes in, bytes out between a socket and a protocol."""

class Transport:
    """Abstract base of everything that carries the bytes of a protocol."""
