"""The core's access log, made of the settings.

Owns the choice between a destination of ours, which gets batches of lines, and the standard
library's logger, where somebody has configured that. Must not know how a line looks. Main thread of
whoever serves, when all that configures logging has run.
"""

from __future__ import annotations

import os

from granite import log
from granite._core.accesslog import AccessLog
from granite.settings.access_format import compile_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.config import Config

__all__ = ["access_log"]


def access_log(config: Config, worker: int) -> AccessLog | None:
    """Return what logs the requests of the worker in this slot, 0 for none; None if nothing does.

    Its lines go through the logger "granite.access" unless that does nothing but write them to the
    destination of the settings.
    """
    if not config.access_log or not config.log:
        return None
    sink = log.access_sink()
    logger = None
    if sink is None:
        import logging

        logger = logging.getLogger("granite.access")
    operations = compile_format(
        config.access_log_fmt,
        json=config.log_format == "json" and sink is not None,
        stamped=sink is not None and not sink.stamps,
        variable=os.environ.get,
    )
    made = AccessLog(
        operations,
        sink=sink,
        logger=logger,
        default=config.access_log_fmt in (None, "default"),
        excluded=config.access_log_exclude,
        worker=worker,
    )
    if sink is not None:
        sink.writer = made
    return made
