"""Order of the rounds, ratios between neighbours, medians.

Owns arithmetic only; must not know servers or processes. Pure functions.

Theory of operation: the subject S alternates with the peers in one sequence, ``S p S q S …``. A
machine's speed drifts (other tenants, clock, caches); the mean of the two subject rounds beside a
peer's round has seen the same drift, so the ratio of the two hardly depends on it. The peers' order
rotates from round to round, so that none always follows the same neighbour.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Median, quartiles and extremes of a list of figures."""

    median: float
    low: float
    high: float
    minimum: float
    maximum: float
    count: int


def summarise(values: Sequence[float]) -> Summary | None:
    """Return the summary of ``values``; None when there are none."""
    if not values:
        return None
    if len(values) == 1:
        low = high = values[0]
    else:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(statistics.median(values), low, high, min(values), max(values), len(values))


def sequence(subject: str, peers: Sequence[str], rounds: int) -> list[str]:
    """Return the order of measuring: each peer ``rounds`` times, the subject around each one."""
    order = [subject]
    for number in range(rounds):
        turn = number % len(peers) if peers else 0
        for peer in (*peers[turn:], *peers[:turn]):
            order += [peer, subject]
    if not peers:
        order += [subject] * (rounds - 1)
    return order


def neighbour_ratios(
    subject: str, measured: Sequence[tuple[str, float | None]]
) -> dict[str, list[float]]:
    """Return for each peer the ratios subject ÷ peer, one per valid round of that peer.

    ``measured`` is the sequence with its figures, None for an invalid one. The subject's figure is
    the mean of the valid rounds directly before and after the peer's; a peer's round without any
    such neighbour yields no ratio.
    """
    ratios: dict[str, list[float]] = {}
    for index, (name, value) in enumerate(measured):
        if name == subject:
            continue
        ratios.setdefault(name, [])
        beside = [
            near
            for position in (index - 1, index + 1)
            if 0 <= position < len(measured)
            and measured[position][0] == subject
            and (near := measured[position][1]) is not None
        ]
        if value and beside:
            ratios[name].append(statistics.fmean(beside) / value)
    return ratios
