DEBUG: bool
"""Whether this is a debug build."""
SANITIZE: bool
"""Whether this is a sanitizer build."""

class OutPool:
    """The free output buffers of one reactor."""

    @property
    def free(self) -> int: ...
    @property
    def files(self) -> int: ...
    @property
    def live(self) -> int: ...
