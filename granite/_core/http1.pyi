from typing import Any

from granite._core.exchange import Interface
from granite._core.scope import ScopeCache

LLHTTP_VERSION: str
"""Version of llhttp."""

class Http1Context:
    """Settings, caches and spare sessions of one server's HTTP/1.1."""

    def __init__(self, interface: Interface, cache: ScopeCache, config: Any) -> None: ...
    @property
    def live(self) -> int: ...
