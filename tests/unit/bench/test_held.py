"""What an application holds for its WebSockets, measured without a server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.held import kib_each
from bench.model import BenchError


def test_an_application_holds_something():
    assert 0.5 < kib_each(Path(sys.executable), "raw:socket", 2000, "asyncio") < 10


def test_an_application_that_does_not_exist():
    with pytest.raises(BenchError, match="nothing_like_it"):
        kib_each(Path(sys.executable), "raw:nothing_like_it", 1, "asyncio")
