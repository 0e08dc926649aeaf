"""The JSON that `granite stats` reads."""

from __future__ import annotations

import json
import os

import pytest

from granite import __version__
from granite.metrics.summary import render
from granite.metrics.view import Seen
from granite.snapshot import BOUNDS, INDEX
from tests.unit.metrics.views import FakeView, one_to_n


def test_what_it_holds():
    view = FakeView({1: 100, 2: 200})
    view.totals.beat(1, 100, one_to_n())
    view.totals.spawned("start")
    view.totals.spawned("reload")
    found = json.loads(render(Seen(view, 1234.5), 0.5))
    assert found["granite"] == __version__
    assert found["pid"] == os.getpid()
    assert (found["started"], found["interval"]) == (1234.5, 0.5)
    assert (found["ready"], found["reason"]) == (True, "")
    assert (found["spawns"], found["respawns"]["reload"]) == (2, 1)
    assert found["bounds"] == [bound / 1e6 for bound in BOUNDS]
    first, second = found["workers"]
    assert (first["worker"], first["pid"], first["state"], first["rss"]) == (1, 100, "ready", 2**20)
    assert first["age"] == pytest.approx(60, abs=5)
    assert first["sampled"] > 0
    assert (second["metrics"], second["sampled"]) == (None, None)
    metrics = first["metrics"]
    assert metrics["requests_handled"] == 1 + INDEX["requests_handled"]
    assert metrics["responses_http1_5xx"] == 1 + INDEX["responses_http1_5xx"]
    assert metrics["latency"]["buckets"][0] == 1 + INDEX["latency_100"]
    assert len(metrics["latency"]["buckets"]) == len(BOUNDS) + 1
    assert metrics["latency"]["sum"] == (1 + INDEX["latency_sum"]) / 1e6
    assert found["total"] == metrics


@pytest.mark.parametrize(
    "reason", ["plain", 'with "quotes" and \\', "ünïcödé", "tabs\tand\nlines", "\x00\x1f", ""]
)
def test_any_reason_is_valid_json(reason):
    view = FakeView()
    view.ready, view.reason = False, reason
    found = json.loads(render(Seen(view, 0), 1.0))
    assert found["ready"] is False
    assert found["reason"] == "".join(c if c >= " " else " " for c in reason)
    assert found["workers"] == []
