from granite._core.http import HttpContext, Version
from granite.settings.config import Config

NGHTTP2_VERSION: str
"""The version of the nghttp2 library that is loaded, such as "1.52.0"."""

class Http2Context(Version):
    """What is HTTP/2's own of a server, and its spare streams."""

    def __init__(self, http: HttpContext, config: Config) -> None: ...
    def memory(self) -> dict[str, int] | None:
        """How many slots are in use by sessions ("slots"), how many keep their pages for others
        ("spare"), and how many pages of all slots are in memory ("pages"); None: sessions lie
        anywhere, as pages are not of 4 KiB.
        """

class SessionMemory:
    """What nghttp2 calls for the memory of a session: for the tests. Blocks are addresses."""

    def __init__(self, beside: SessionMemory | None = None) -> None: ...
    def malloc(self, size: int) -> int: ...
    def calloc(self, count: int, size: int) -> int: ...
    def realloc(self, block: int, size: int) -> int: ...
    def free(self, block: int) -> None: ...
    def room(self, block: int) -> int:
        """How many bytes a block of the slot may have; 0: it is none of it."""
    def rest(self) -> None: ...
    def allowed(self, place: int, size: int) -> int:
        """How many of these bytes AddressSanitizer allows, from the first on; without it, all."""
    def figures(self) -> dict[str, int]: ...
