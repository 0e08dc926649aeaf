"""Listeners that a test opens, and the place of a Unix socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from granite.arbiter.listeners import Listener, open_listeners
from granite.settings.config import Config
from tests.arbiter.binding.sockets import Listen


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Open the listeners of these settings; they are closed and removed at the end."""
    opened: list[Listener] = []

    def listen(**settings: Any) -> list[Listener]:
        found = open_listeners(Config(**settings), {})
        opened.extend(found)
        return found

    yield listen
    for listener in opened:
        listener.close()
        listener.remove()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"
