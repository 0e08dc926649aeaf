"""The text for Prometheus, read by the parser of Prometheus's own client."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from granite import __version__
from granite.metrics.prometheus import METRICS, render
from granite.metrics.view import Seen
from granite.snapshot import (
    BOUNDS,
    COUNTERS,
    FIELDS,
    GAUGES,
    HANDSHAKE_FAILURES,
    HISTOGRAMS,
    INDEX,
    REASONS,
    REJECTIONS,
    RESPONSES,
)
from tests.unit.metrics.views import FakeView, one_to_n, snapshot

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "metrics.md"
# Those of Granian, by the ends of their names.
GRANIANS = """
    workers_spawns workers_respawns_for_err workers_respawns_for_lifetime workers_respawns_for_rss
    worker_lifetime connections_active connections_handled connections_err requests_handled
    static_requests_handled static_requests_err blocking_threads blocking_queue
    blocking_idle_cumulative blocking_busy_cumulative py_wait_cumulative
""".split()  # noqa: SIM905


def samples(view) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(render(Seen(view, 1000.5))):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, "no series twice"
            found[key] = sample.value
    return found


def value(found, name: str, **labels: str) -> float:
    key = tuple(sorted(labels.items()))
    # The parser adds the end that the conventions want of a counter.
    return found.get((f"granite_{name}", key), found.get((f"granite_{name}_total", key)))


def test_all_sixteen_of_granian_are_there():
    assert len(GRANIANS) == 16
    assert {f"granite_{name}" for name in GRANIANS} <= {metric.name for metric in METRICS}


def test_every_number_of_a_snapshot_is_shown_where_it_belongs():
    view = FakeView({1: 100, 2: 200})
    view.totals.beat(1, 100, one_to_n(1000))
    view.totals.beat(2, 200, one_to_n(5000))
    found = samples(view)
    failures = [f"tls_handshakes_failed_{reason}" for reason in HANDSHAKE_FAILURES]
    by_label = {*RESPONSES, *REJECTIONS, *failures}
    names = {
        **{name: name for name in (*GAUGES, *COUNTERS) if name not in by_label},
        "accept_pauses": "accept_pauses_total",
        "bytes_received": "received_bytes_total",
        "bytes_sent": "sent_bytes_total",
        "tls_handshakes": "tls_handshakes_total",
    }
    for worker, first in (("1", 1000), ("2", 5000)):
        for field, name in names.items():
            assert value(found, name, worker=worker) == first + INDEX[field]
        for field in RESPONSES:
            _, protocol, status = field.split("_")
            labels = {"worker": worker, "protocol": protocol, "class": status}
            assert value(found, "responses_total", **labels) == first + INDEX[field]
        for reason in HANDSHAKE_FAILURES:
            labels = {"worker": worker, "reason": reason}
            field = f"tls_handshakes_failed_{reason}"
            assert value(found, "tls_handshakes_failed_total", **labels) == first + INDEX[field]
        for reason in REASONS:
            labels = {"worker": worker, "reason": reason}
            assert value(found, "rejections_total", **labels) == first + INDEX[f"rejected_{reason}"]


def test_histograms_are_cumulative_and_in_seconds():
    view = FakeView({1: 100})
    numbers = {f"latency_{bound}": 1 for bound in BOUNDS} | {"latency_inf": 2, "latency_sum": 1500}
    view.totals.beat(1, 100, snapshot(**numbers))
    found = samples(view)
    for position, bound in enumerate(BOUNDS, 1):
        le = repr(bound / 1_000_000)
        assert value(found, "request_latency_seconds_bucket", worker="1", le=le) == position
    last = len(BOUNDS) + 2
    assert value(found, "request_latency_seconds_bucket", worker="1", le="+Inf") == last
    assert value(found, "request_latency_seconds_count", worker="1") == last
    assert value(found, "request_latency_seconds_sum", worker="1") == 0.0015
    assert value(found, "loop_lag_seconds_count", worker="1") == 0
    assert len(HISTOGRAMS) == sum(metric.kind == "histogram" for metric in METRICS)


def test_the_server_and_its_workers():
    view = FakeView({1: 100, 2: 200})
    for cause in ("start", "start", "error", "timeout", "rss", 'a "quoted" one\n'):
        view.totals.spawned(cause)
    found = samples(view)
    assert value(found, "start_time_seconds") == 1000.5
    assert value(found, "ready") == 1
    assert value(found, "workers", state="ready") == 2
    assert value(found, "workers", state="booting") == 0
    assert value(found, "workers_spawns") == 6
    assert value(found, "workers_respawns_for_err") == 2
    assert value(found, "workers_respawns_for_rss") == 1
    assert value(found, "workers_respawns_for_lifetime") == 0
    assert value(found, "workers_respawns_total", cause="timeout") == 1
    assert value(found, "workers_respawns_total", cause='a "quoted" one\n') == 1
    assert value(found, "worker_lifetime", worker="1") == pytest.approx(60, abs=5)
    assert value(found, "worker_rss_bytes", worker="2") == 2**21
    build = [labels for name, labels in found if name == "granite_build_info"]
    assert ("version", __version__) in build[0]
    view.ready = False
    assert value(samples(view), "ready") == 0


def test_the_worker_that_serves_stands_for_its_slot():
    view = FakeView()
    now = view.started_at
    shown: list = [
        (1, 10, "stopping", now - 500, 1, None),
        (1, 11, "ready", now - 100, 2, None),
        (1, 12, "booting", now, 3, None),
        (2, 20, "stopping", now, None, None),
    ]
    view.workers = lambda: shown  # type: ignore[method-assign]
    seen = Seen(view, 0)
    assert [worker.pid for worker in seen.current()] == [11, 20]
    found = samples(view)
    assert value(found, "worker_rss_bytes", worker="1") == 2
    assert ("granite_worker_rss_bytes", (("worker", "2"),)) not in found
    assert value(found, "workers", state="stopping") == 2


def test_without_any_worker():
    found = samples(FakeView())
    assert value(found, "workers", state="ready") == 0
    assert not any(math.isnan(number) for number in found.values())


def test_names_follow_the_conventions_where_they_are_granites_own():
    for metric in METRICS:
        assert re.fullmatch(r"granite_[a-z0-9_]+", metric.name)
        assert metric.help.endswith(".")
        assert "\n" not in metric.help
        assert metric.kind in ("counter", "gauge", "histogram")
        if metric.name.removeprefix("granite_") not in GRANIANS:
            assert (metric.kind == "counter") is metric.name.endswith("_total")
            if metric.unit:
                assert metric.name.removesuffix("_total").endswith(metric.unit)
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))


def test_the_guide_lists_them_all():
    rows = re.findall(
        r"^\| `(granite_\w+)` \| (\w+) \| ([\w ]*) \| (.*?) \|", GUIDE.read_text(), re.M
    )
    listed = [(name, kind, unit.strip(), meaning) for name, kind, unit, meaning in rows]
    assert listed == [(m.name, m.kind, m.unit, m.help.rstrip(".")) for m in METRICS]


def test_the_text_ends_its_last_line():
    text = render(Seen(FakeView({1: os.getpid()}), 0))
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert len(FIELDS) > 0
