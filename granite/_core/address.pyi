from collections.abc import Iterable

class Networks:
    """A set of networks."""

    def __init__(self, entries: Iterable[str]) -> None: ...
