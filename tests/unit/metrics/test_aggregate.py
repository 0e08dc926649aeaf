"""The sums of what workers count, over their ends and replacements."""

from __future__ import annotations

import time

import pytest

from granite.metrics.aggregate import CAUSES, Aggregate
from granite.snapshot import COUNTERS, FIELDS, GAUGES, INDEX, SIZE
from tests.unit.metrics.views import one_to_n, snapshot


def number(values: list[int], name: str) -> int:
    return values[INDEX[name]]


def test_nothing_yet():
    aggregate = Aggregate()
    assert aggregate.slots() == {}
    assert aggregate.total() == [0] * len(FIELDS)
    assert aggregate.snapshot(1) is None
    assert aggregate.sampled_at(1) is None
    aggregate.gone(1)
    assert aggregate.slots() == {}


def test_the_newest_snapshot_counts():
    aggregate = Aggregate()
    before = time.monotonic()
    aggregate.beat(1, 100, snapshot(requests_handled=5))
    aggregate.beat(1, 100, snapshot(requests_handled=7, connections_active=2))
    assert number(aggregate.slots()[1], "requests_handled") == 7
    assert number(aggregate.total(), "connections_active") == 2
    found = aggregate.snapshot(100)
    assert found is not None
    assert number(found, "requests_handled") == 7
    sampled_at = aggregate.sampled_at(100)
    assert sampled_at is not None
    assert before <= sampled_at <= time.monotonic()


def test_counters_outlive_their_worker_and_gauges_do_not():
    aggregate = Aggregate()
    aggregate.beat(1, 100, one_to_n())
    before = aggregate.slots()[1]
    aggregate.gone(100)
    aggregate.gone(100)
    after = aggregate.slots()[1]
    for name in FIELDS:
        assert number(after, name) == (0 if name in GAUGES else number(before, name)), name
    aggregate.beat(1, 101, one_to_n())
    for name in COUNTERS:
        assert number(aggregate.slots()[1], name) == 2 * number(before, name)
    for name in GAUGES:
        assert number(aggregate.slots()[1], name) == number(before, name)


def test_no_counter_ever_falls_over_many_replacements():
    aggregate = Aggregate()
    last = 0
    for pid in range(1, 200):
        for requests in (0, 3, 10):
            aggregate.beat(1 + pid % 3, pid, snapshot(requests_handled=requests))
            total = number(aggregate.total(), "requests_handled")
            assert total >= last
            last = total
        aggregate.gone(pid)
    assert last == 199 * 10
    assert len(aggregate.slots()) == 3


def test_two_workers_of_a_slot_add_up_while_one_takes_the_others_place():
    aggregate = Aggregate()
    aggregate.beat(1, 100, snapshot(requests_handled=5, connections_active=3))
    aggregate.beat(1, 101, snapshot(requests_handled=1, connections_active=1))
    aggregate.beat(2, 102, snapshot(requests_handled=100))
    assert [number(v, "requests_handled") for v in aggregate.slots().values()] == [6, 100]
    assert number(aggregate.slots()[1], "connections_active") == 4


def test_slots_are_in_order():
    aggregate = Aggregate()
    for index in (10, 2, 1):
        aggregate.beat(index, index, snapshot())
    aggregate.gone(2)
    assert list(aggregate.slots()) == [1, 2, 10]


@pytest.mark.parametrize("payload", [b"", b"x", bytes(SIZE - 1), bytes(SIZE + 8)])
def test_what_is_no_snapshot_is_dropped(payload):
    aggregate = Aggregate()
    aggregate.beat(1, 100, payload)
    assert aggregate.slots() == {}
    aggregate.beat(1, 100, snapshot(requests_handled=1))
    aggregate.beat(1, 100, payload)
    assert number(aggregate.total(), "requests_handled") == 1


def test_spawns_by_cause():
    aggregate = Aggregate()
    assert aggregate.respawns == dict.fromkeys(CAUSES, 0)
    for cause in ("start", "start", "error", "rss", "scale", "error", "something new"):
        aggregate.spawned(cause)
    assert aggregate.spawns == 7
    assert aggregate.respawns["error"] == 2
    assert aggregate.respawns["rss"] == 1
    assert aggregate.respawns["something new"] == 1
    assert "start" not in aggregate.respawns
    assert "scale" not in aggregate.respawns
