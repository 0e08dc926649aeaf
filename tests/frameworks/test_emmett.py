"""Emmett55, over RSGI. It brings another server along, so it is not among the tests' requirements:
whoever has it installed runs this.
"""

from __future__ import annotations

import pytest

from tests.frameworks.contract import Chunked, Contract
from tests.frameworks.sites import Served, served

pytest.importorskip("emmett55")


@served(Served("emmett_app:app", "RSGI"))
class TestEmmett(Chunked, Contract):
    """What is asked of all frameworks."""

    wrong_method = 404
    length_of_head = False
    knows_root = False
