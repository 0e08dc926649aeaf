class Transport:
    """Abstract base of everything that carries the bytes of a protocol."""
