"""Fixtures of the tests of real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arbiter.changing import Changing
from tests.arbiter.measuring import METRICS, Measured
from tests.arbiter.preloading import Preload


@pytest.fixture
def changing(tmp_path: Path, run_granite) -> Changing:
    return Changing(tmp_path, run_granite)


@pytest.fixture
def preload(changing: Changing) -> Preload:
    return Preload(changing)


@pytest.fixture
def measure(run_granite):
    def start(target: str = "apps:plain", *arguments: str, **options) -> Measured:
        options = {"cwd": Path(__file__).parent, **options}
        return Measured(run_granite(target, *METRICS, *arguments, **options))

    return start
