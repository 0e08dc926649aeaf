"""Files of any size."""

from __future__ import annotations

import pytest

from tests.server.files.pieces import SIZES, contents


@pytest.fixture(scope="module")
def data() -> bytes:
    return contents(max(SIZES))


@pytest.fixture
def make(tmp_path, data):
    """A function that makes a file of so many bytes and returns its path."""

    def make(size: int) -> str:
        path = tmp_path / f"of-{size}"
        path.write_bytes(data[:size])
        return str(path)

    return make
