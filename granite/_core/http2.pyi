from granite._core.http import HttpContext, Version
from granite.settings.config import Config

NGHTTP2_VERSION: str
"""The version of the nghttp2 library that is loaded, such as "1.52.0"."""

class Http2Context(Version):
    """What is HTTP/2's own of a server, and its spare streams."""

    def __init__(self, http: HttpContext, config: Config) -> None: ...
