import logging
from collections.abc import Sequence
from typing import Protocol

class _Sink(Protocol):
    def fileno(self) -> int: ...
    def write_lines(self, lines: bytes) -> None: ...

class AccessLog:
    """Writes one line per request.

    Parameters:
        operations: what `granite.settings.access_format` makes of a format.
        sink: takes the lines; by its descriptor, where it has one.
        logger: takes a record for each line, in the sink's place.
        excluded: paths that are not logged; one with `*` at its end, whatever begins so.
        default: whether the lines have the default form; then a logger's records have the parts of
            it as their arguments.
        worker: the number of this worker's slot, 0 for none.
    """

    def __init__(
        self,
        operations: Sequence[object],
        *,
        sink: _Sink | None = None,
        logger: logging.Logger | None = None,
        default: bool = True,
        excluded: Sequence[str] = (),
        worker: int = 0,
    ) -> None: ...
    @property
    def lost(self) -> int:
        """Lines that nobody has taken since the last one that was written."""

    @property
    def closed(self) -> bool: ...
    def flush(self) -> None:
        """Write what was collected, as far as the destination takes it."""

    def reopened(self) -> None:
        """The sink's descriptor stands for something else now."""

    def close(self, patience: float = 1.0) -> None:
        """Write what was collected, waiting `patience` seconds for a destination that is full.
        Idempotent; what comes later is not written.
        """
