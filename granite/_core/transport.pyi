class SecureContext:
    """What secured connections have in common, such as a certificate."""

    @property
    def live(self) -> int:
        """How many connections use it."""

class SecureLayer:
    """Bytes in, bytes out between a socket and a protocol."""

class Deferred:
    """Work that is collected during a turn of the event loop and done at its end."""

class LoopTurn:
    """The current turn of the event loop, as those see it who have something to do at its end."""

    def wait(self) -> int:
        """Wait until something happens, and let it happen, inside of this turn.

        Raises RuntimeError where the turn has not come to its end.
        """

class Transport:
    """Abstract base of everything that carries the bytes of a protocol."""
