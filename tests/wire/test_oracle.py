"""The corpus and the oracle say the same, without a server between them."""

from __future__ import annotations

import pytest

from tests.wire import corpus, oracle

# What the oracle does not know: sizes.
LIMITS = 413, 414, 431


@pytest.mark.parametrize(
    "case",
    [case for kind in ("valid", "invalid") for case in corpus.load(kind)],
    ids=lambda case: case.name,
)
def test_they_agree(case: corpus.Case) -> None:
    if case.status in LIMITS:
        pytest.skip("a limit of the server")
    reading = oracle.read(case.data)
    for seen, wanted in zip(reading.requests, case.requests, strict=False):
        if wanted.headers is None:
            seen.headers = None
    assert (reading.requests, reading.status) == (case.requests, case.status)
