from collections.abc import Iterable

from granite._core.address import Networks

class Forwarding:
    """Which fields of proxies are believed, and from whom."""

    def __init__(self, proxies: Networks, names: Iterable[str]) -> None: ...
    @property
    def proxies(self) -> Networks: ...
