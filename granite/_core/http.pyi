def check_host(value: bytes) -> bool:
    """Whether a value is one of Host."""

def check_expectations(value: bytes) -> bool:
    """Whether a value of Expect expects nothing but 100-continue."""

def check_token(value: bytes, lower: bytes) -> bool:
    """Whether a list has an element, which is given in lower case."""

def check_encoding(value: bytes) -> bool:
    """Whether each percent sign has its two digits."""

class HttpContext:
    """Settings and caches of one server, for all versions of HTTP that it speaks."""

class WebSockets:
    """What makes WebSockets of requests."""

    @property
    def live(self) -> int: ...

class Version:
    """A version of HTTP that is loaded only where it is spoken."""

    @property
    def live(self) -> int: ...

class Session:
    """The messages of one connection, or of a part of its life."""
