"""The order of the rounds and the ratios between neighbours."""

from __future__ import annotations

import pytest

from bench.stats import neighbour_ratios, sequence, summarise


def test_every_peer_has_the_subject_on_both_sides():
    order = sequence("s", ["a", "b"], 2)

    assert order == ["s", "a", "s", "b", "s", "b", "s", "a", "s"]


def test_a_subject_alone_is_measured_once_per_round():
    assert sequence("s", [], 3) == ["s", "s", "s"]


def test_a_linear_drift_does_not_change_the_ratio():
    # The machine gets 10 % of its first speed faster with each round; the subject is twice as fast.
    measured = [("s", 200.0), ("a", 110.0), ("s", 240.0), ("a", 130.0), ("s", 280.0)]

    assert neighbour_ratios("s", measured)["a"] == [pytest.approx(2.0), pytest.approx(2.0)]


def test_invalid_rounds_yield_no_ratio():
    measured = [("s", None), ("a", 10.0), ("s", None), ("b", None), ("s", 30.0), ("a", 10.0)]

    assert neighbour_ratios("s", measured) == {"a": [3.0], "b": []}


def test_a_summary_of_nothing_is_nothing():
    assert summarise([]) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5.0], (5.0, 5.0, 5.0)), ([1.0, 2.0, 3.0, 4.0, 5.0], (3.0, 2.0, 4.0))],
)
def test_a_summary_has_the_median_and_the_middle_half(values, expected):
    summary = summarise(values)

    assert summary is not None
    assert (summary.median, summary.low, summary.high) == expected
