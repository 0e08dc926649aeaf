"""The application that most embedded servers serve."""

from __future__ import annotations

import pytest

from tests.server.embedded.apps import App


@pytest.fixture
def app() -> App:
    return App()
