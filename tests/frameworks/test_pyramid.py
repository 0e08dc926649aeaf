"""Pyramid. It holds setuptools back, so it is not among the tests' requirements: whoever has it
installed runs this.
"""

from __future__ import annotations

import pytest

from tests.frameworks.contract import Chunked, Contract, Ranges
from tests.frameworks.sites import wsgi

pytest.importorskip("pyramid")


@wsgi("pyramid_app:app")
class TestPyramid(Chunked, Ranges, Contract):
    """What is asked of all frameworks."""

    wrong_method = 404
