"""What several tests log."""

from __future__ import annotations

import logging
from datetime import datetime, timezone

NOON = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=timezone.utc).timestamp()


def access(target: str = "/", method: str = "GET") -> None:
    """Log as the core does."""
    logging.getLogger("granite.access").info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", method, target, "1.1", 200
    )
