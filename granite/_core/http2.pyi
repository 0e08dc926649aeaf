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
        anywhere, as pages are not of 4 KiB, or it is a sanitizers' build.
        """
