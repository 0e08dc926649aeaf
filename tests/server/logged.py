"""A server whose access log is a file.

Owns the configuration of logging while the test runs. Must not know what is asked for.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from granite import log
from granite.settings.config import Config
from tests.server.apps import eventually

__all__ = ["Logged"]

_LOGGERS = ("granite", "granite.error", "granite.access")


class Logged:
    """Serves applications by `serve` and reads what their requests have left in `path`."""

    def __init__(self, serve: Any, path: Path) -> None:
        self._serve = serve
        self.path = path
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        self._before = [dict(logger.__dict__, handlers=[*logger.handlers]) for logger in loggers]

    def __call__(self, app: Any, **settings: Any) -> Any:
        """Serve `app`; `settings` are those of the access log, and others."""
        wanted = {"access_log": True, "access_log_file": str(self.path)} | settings
        config = Config(**wanted)
        self.restore()
        error = logging.getLogger("granite.error").handlers[:]
        log.configure(config)
        logging.getLogger("granite.error").handlers = error
        return self._serve(app, **wanted)

    def lines(self, count: int) -> list[str]:
        """The lines, of which there are to be `count`."""
        eventually(lambda: self.path.exists() and self.path.read_bytes().count(b"\n") >= count)
        text = self.path.read_bytes().decode("ascii")
        assert text.endswith("\n")
        lines = text.split("\n")[:-1]
        assert len(lines) == count, lines
        return lines

    def line(self) -> str:
        """The only line."""
        return self.lines(1)[0]

    def records(self, count: int) -> list[dict[str, Any]]:
        """The lines, each a JSON object."""
        return [json.loads(line) for line in self.lines(count)]

    def restore(self) -> None:
        """Give the loggers back as they were."""
        for name, state in zip(_LOGGERS, self._before, strict=True):
            logger = logging.getLogger(name)
            logger.__dict__.update(state)
            logger.handlers = [*state["handlers"]]
            logger.setLevel(state["level"])  # forgets what was found out about levels
