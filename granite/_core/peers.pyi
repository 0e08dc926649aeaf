from typing import Any

class Peers:
    """A table of addresses, of a fixed size.

    Parameters:
        config: has the settings of the section "Limits" about addresses.
    """

    def __init__(self, config: Any) -> None: ...
    @property
    def connected(self) -> int:
        """How many addresses have connections."""
