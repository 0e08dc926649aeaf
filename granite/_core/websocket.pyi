from typing import Any

from granite._core.http import WebSockets

ZLIB_VERSION: str
"""Version of zlib."""

class WebSocketContext(WebSockets):
    """Limits of messages, and how they are compressed."""

    def __init__(self, config: Any) -> None: ...
    @property
    def streams(self) -> int: ...
    @property
    def deflated(self) -> int: ...

class Codec:
    """Bytes in, events out, and messages in, bytes out: for the tests."""

    def __init__(
        self,
        context: WebSocketContext,
        parameters: tuple[bool, bool, int, int] | None = None,
        pause: bool = False,
    ) -> None: ...
    def receive(self, data: bytes) -> tuple[int, list[tuple[Any, ...]]]: ...
    def message(self, message: str | bytes) -> bytes: ...
    def control(self, opcode: int, payload: bytes) -> bytes: ...
    def holds(self) -> bool: ...

def check_text(*pieces: bytes) -> tuple[bool, bool]:
    """Whether pieces make a text of UTF-8 so far, and whether it may end there."""

def unmask(data: bytes, mask: bytes, before: int = 0) -> tuple[bytes, bool]:
    """The octets, unmasked, and whether one of them is above 127."""

def sha1(data: bytes) -> bytes:
    """The digest of at most 119 octets."""
