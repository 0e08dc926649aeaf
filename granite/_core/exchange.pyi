class ClientDisconnected(OSError):
    """Raised by `send()` when the client has gone."""

class Protocol:
    """What an exchange may ask of the protocol below it."""

class Interface:
    """Makes the exchanges of one kind of application, and counts them."""

    @property
    def live(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def requests(self) -> int: ...

class Exchange:
    """One request and its response."""

class Rejections:
    """What the server turns away itself, counted by reason."""
