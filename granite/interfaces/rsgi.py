"""The Python half of RSGI (specification 1.6): what runs once per worker.

Owns `__rsgi_init__(loop)` and `__rsgi_del__(loop)`, and what their failures mean. Must not know how
requests are served. Runs on the event loop's thread; the loop does not run where granite makes it,
so that both may `loop.run_until_complete()`.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any

from granite.errors import LifespanError

__all__ = ["begin", "end"]

logger = logging.getLogger("granite.error")


def begin(app: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Call the application's `__rsgi_init__`, if it has one; raise LifespanError if that fails."""
    init = getattr(app, "__rsgi_init__", None)
    if init is None:
        return
    try:
        init(loop)
    except (Exception, SystemExit) as exc:
        first = traceback.format_exception_only(exc)[-1].strip().partition("\n")[0]
        own = exc.__traceback__.tb_next if exc.__traceback__ is not None else None
        lines = traceback.format_exception(type(exc), exc, own)
        raise LifespanError(
            f"the application's startup failed: __rsgi_init__ raised {first}",
            "".join(lines).rstrip(),
        ) from exc


def end(app: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Call the application's `__rsgi_del__`, if it has one; log its failure."""
    delete = getattr(app, "__rsgi_del__", None)
    if delete is None:
        return
    try:
        delete(loop)
    except (Exception, SystemExit):
        logger.exception("the application's shutdown failed: __rsgi_del__ raised")
