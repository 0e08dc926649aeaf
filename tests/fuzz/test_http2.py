"""A few rounds of broken conversations over HTTP/2, from a fixed seed; `make fuzz` runs more.

`GRANITE_FUZZ_SEED` picks another seed, `GRANITE_FUZZ_ROUNDS` the number of rounds.
"""

from __future__ import annotations

import pytest

from tests.fuzz.http2 import run_http2_round
from tests.fuzz.test_http1 import ROUNDS, SEED


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_round(number: int) -> None:
    assert run_http2_round(SEED, number, batches=1) > 0
