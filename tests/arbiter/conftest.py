"""Fixtures of the tests of real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arbiter.changing import Changing


@pytest.fixture
def changing(tmp_path: Path, run_granite) -> Changing:
    return Changing(tmp_path, run_granite)
