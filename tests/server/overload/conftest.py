"""An application whose calls wait."""

from __future__ import annotations

import pytest

from tests.server.overload.holding import Held


@pytest.fixture
def held() -> Held:
    return Held()
