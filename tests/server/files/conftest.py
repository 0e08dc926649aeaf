"""Files of any size."""

from __future__ import annotations

import pytest

from tests.server.files.pieces import SIZES, contents, maker


@pytest.fixture(scope="module")
def data() -> bytes:
    return contents(max(SIZES))


@pytest.fixture
def make(tmp_path, data):
    return maker(tmp_path, data)
