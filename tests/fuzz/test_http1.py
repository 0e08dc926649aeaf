"""A few rounds of broken messages, from a fixed seed; `make fuzz` runs them for as long as wanted.

`GRANITE_FUZZ_SEED` picks another seed, `GRANITE_FUZZ_ROUNDS` the number of rounds.
"""

from __future__ import annotations

import os

import pytest

from tests.fuzz.rounds import run_round

SEED = os.environ.get("GRANITE_FUZZ_SEED", "granite")
ROUNDS = int(os.environ.get("GRANITE_FUZZ_ROUNDS", "10"))


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_round(number: int) -> None:
    assert run_round(SEED, number, batches=1) > 0
