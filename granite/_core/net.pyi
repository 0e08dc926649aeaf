UV_VERSION: str
"""Version of libuv."""

class Reactor:
    """A libuv loop nested in an event loop of Python."""

    @property
    def handles(self) -> int: ...
    def pump(self) -> None: ...
    def close(self) -> None: ...
