"""Bottle."""

from __future__ import annotations

from tests.frameworks.contract import Contract, Ranges
from tests.frameworks.sites import wsgi


@wsgi("bottle_app:app")
class TestBottle(Ranges, Contract):
    """What is asked of all frameworks."""
