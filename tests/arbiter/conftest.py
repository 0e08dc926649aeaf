"""Fixtures of the tests of real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arbiter.changing import Changing
from tests.arbiter.preloading import Preload


@pytest.fixture
def changing(tmp_path: Path, run_granite) -> Changing:
    return Changing(tmp_path, run_granite)


@pytest.fixture
def preload(changing: Changing) -> Preload:
    return Preload(changing)
