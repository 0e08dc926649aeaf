LLHTTP_VERSION: str
"""Version of llhttp."""

def check_host(value: bytes) -> bool:
    """Whether a value is one of Host."""

def check_coding(value: bytes) -> int:
    """The status for a value of Transfer-Encoding, 0 for one that is accepted."""

def check_expectations(value: bytes) -> bool:
    """Whether a value of Expect expects nothing but 100-continue."""

def check_token(value: bytes, lower: bytes) -> bool:
    """Whether a list has an element, which is given in lower case."""

def check_encoding(value: bytes) -> bool:
    """Whether each percent sign has its two digits."""

class Http1Context:
    """Settings, caches and spare sessions of one server's HTTP/1.1."""

    @property
    def live(self) -> int: ...
