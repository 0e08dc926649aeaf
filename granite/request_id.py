"""The id of the request that is being handled, for the application's own log lines.

Owns the context variable that the core sets where `request_id_header` is configured, and a filter
for `logging`. Any thread may ask: a thread that was started with a copy of the request's context,
as `asyncio.to_thread` does, has the request's id.
"""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

__all__ = ["VARIABLE", "RequestIdFilter", "current"]

VARIABLE: ContextVar[str] = ContextVar("granite.request_id", default="-")


def current() -> str:
    """Return the id of the request that is being handled; `-` if there is none."""
    return VARIABLE.get()


class RequestIdFilter:
    """A filter for `logging`: give each record the attribute `request_id`, for a formatter's
    `%(request_id)s`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep `record`."""
        record.request_id = current()
        return True
