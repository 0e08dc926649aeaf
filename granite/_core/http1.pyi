LLHTTP_VERSION: str
"""Version of llhttp."""

def check_coding(value: bytes) -> int:
    """The status for a value of Transfer-Encoding, 0 for one that is accepted."""

class Http1Context:
    """What is HTTP/1.1's own of a server, and its spare sessions."""

    @property
    def live(self) -> int: ...
