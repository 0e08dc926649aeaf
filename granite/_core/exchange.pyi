from contextvars import ContextVar

class ClientDisconnected(OSError):
    """Raised by `send()` when the client has gone."""

class Protocol:
    """What an exchange may ask of the protocol below it."""

class RequestIds:
    """Gives each request an id: that of a peer that may say so, else a new one of 32 hexadecimal
    digits.

    Parameters:
        name: of the field that carries the id, in lower case.
        variable: has the id while the request is handled.
    """

    def __init__(self, name: str, variable: ContextVar[str]) -> None: ...
    @property
    def name(self) -> bytes: ...

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
