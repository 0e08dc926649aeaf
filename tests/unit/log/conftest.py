"""Each test leaves the process's logging as it was."""

from __future__ import annotations

import logging
import time

import pytest

from granite import log


@pytest.fixture(autouse=True)
def _restored():
    """Close what a test has opened, and give the loggers back as they were."""
    names = ("", "granite", "granite.error", "granite.access", "gunicorn.error", "gunicorn.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [dict(logger.__dict__, handlers=list(logger.handlers)) for logger in loggers]
    yield
    log.close()
    for logger, state in zip(loggers, before, strict=True):
        for handler in logger.handlers:
            if handler not in state["handlers"]:
                handler.close()
        logger.__dict__.update(state)
        logger.setLevel(state["level"])  # forgets what was found out about levels


@pytest.fixture
def zone(monkeypatch):
    def use(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def no_colors(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return monkeypatch
