LLHTTP_VERSION: str
"""Version of llhttp."""

class Http1Context:
    """Settings, caches and spare sessions of one server's HTTP/1.1."""

    @property
    def live(self) -> int: ...
