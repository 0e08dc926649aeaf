"""The mark of tests that run on every event loop there is."""

from __future__ import annotations

import importlib.util

import pytest

_NO_UVLOOP = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
)

both_loops = pytest.mark.parametrize("loop", ["asyncio", pytest.param("uvloop", marks=_NO_UVLOOP)])
