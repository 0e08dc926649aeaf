"""The metrics as Prometheus reads them: its text format, version 0.0.4.

Owns the list of the metrics with their names and meanings, and the text. Must not know who asks for
it, nor how the numbers come together. Pure functions on the arbiter's thread.

The names that Granian has for the same things stay after the prefix, also where they do not follow
Prometheus's conventions, so that its dashboards and alerts need no more than another prefix. All
others follow the conventions. What a worker counts has a label for its slot: the sum over `worker`
is that of the server, and a slot's counters go on when its worker is replaced.
"""

from __future__ import annotations

import sys

from granite import __version__
from granite.snapshot import (
    BOUNDS,
    CLASSES,
    HANDSHAKE_FAILURES,
    INDEX,
    PROTOCOLS,
    REASONS,
    histogram,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from granite.metrics.view import Seen

__all__ = ["CONTENT_TYPE", "METRICS", "Metric", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STATES = ("booting", "ready", "stopping")
_LE = (*(repr(bound / 1_000_000) for bound in BOUNDS), "+Inf")


class Metric:
    """One row of the list. `kind` is counter, gauge or histogram, `unit` a word or empty for a
    plain number, `samples` returns what comes after the name in each line.
    """

    __slots__ = ("help", "kind", "name", "samples", "unit")

    def __init__(
        self,
        name: str,
        kind: str,
        unit: str,
        help: str,  # noqa: A002
        samples: Callable[[Seen], Iterable[str]],
    ) -> None:
        self.name = f"granite_{name}"
        self.kind = kind
        self.unit = unit
        self.help = help
        self.samples = samples


def render(seen: Seen) -> str:
    """Return the text of all metrics."""
    lines = []
    for metric in METRICS:
        lines.append(f"# HELP {metric.name} {metric.help}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines += [metric.name + sample for sample in metric.samples(seen)]
    lines.append("")
    return "\n".join(lines)


def _build(seen: Seen) -> Iterable[str]:
    return [f'{{version="{__version__}",python="{sys.version.split()[0]}"}} 1']


def _workers(seen: Seen) -> Iterable[str]:
    counts = dict.fromkeys(_STATES, 0)
    for worker in seen.workers:
        counts[worker.state] = counts.get(worker.state, 0) + 1
    return [f'{{state="{state}"}} {count}' for state, count in counts.items()]


def _respawns(*causes: str) -> Callable[[Seen], Iterable[str]]:
    return lambda seen: [f" {sum(seen.respawns.get(cause, 0) for cause in causes)}"]


def _all_respawns(seen: Seen) -> Iterable[str]:
    return [f'{{cause="{_escaped(cause)}"}} {count}' for cause, count in seen.respawns.items()]


def _lifetime(seen: Seen) -> Iterable[str]:
    return [f'{{worker="{w.index}"}} {seen.now - w.started_at:.3f}' for w in seen.current()]


def _rss(seen: Seen) -> Iterable[str]:
    return [f'{{worker="{w.index}"}} {w.rss}' for w in seen.current() if w.rss is not None]


def _field(name: str) -> Callable[[Seen], Iterable[str]]:
    position = INDEX[name]
    return lambda seen: [
        f'{{worker="{index}"}} {values[position]}' for index, values in seen.slots.items()
    ]


def _responses(seen: Seen) -> Iterable[str]:
    for index, values in seen.slots.items():
        for protocol in PROTOCOLS:
            for status in CLASSES:
                count = values[INDEX[f"responses_{protocol}_{status}"]]
                yield f'{{worker="{index}",protocol="{protocol}",class="{status}"}} {count}'


def _rejections(seen: Seen) -> Iterable[str]:
    for index, values in seen.slots.items():
        for reason in REASONS:
            count = values[INDEX[f"rejected_{reason}"]]
            yield f'{{worker="{index}",reason="{reason}"}} {count}'


def _handshake_failures(seen: Seen) -> Iterable[str]:
    for index, values in seen.slots.items():
        for reason in HANDSHAKE_FAILURES:
            count = values[INDEX[f"tls_handshakes_failed_{reason}"]]
            yield f'{{worker="{index}",reason="{reason}"}} {count}'


def _histogram(name: str) -> Callable[[Seen], Iterable[str]]:
    def samples(seen: Seen) -> Iterable[str]:
        for index, values in seen.slots.items():
            counts, microseconds = histogram(values, name)
            below = 0
            for bound, count in zip(_LE, counts, strict=True):
                below += count
                yield f'_bucket{{worker="{index}",le="{bound}"}} {below}'
            yield f'_sum{{worker="{index}"}} {microseconds / 1_000_000:.6f}'
            yield f'_count{{worker="{index}"}} {below}'

    return samples


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


METRICS: tuple[Metric, ...] = (
    Metric("build_info", "gauge", "", "Always 1; the labels name the versions.", _build),
    Metric(
        "start_time_seconds",
        "gauge",
        "seconds",
        "When the server was started, in seconds since the epoch.",
        lambda seen: [f" {seen.started_at:.3f}"],
    ),
    Metric(
        "ready",
        "gauge",
        "",
        "1 while the server is ready for requests, as /readyz has it, else 0.",
        lambda seen: [f" {int(seen.ready)}"],
    ),
    Metric("workers", "gauge", "", "Worker processes, by what they are doing.", _workers),
    Metric(
        "workers_spawns",
        "counter",
        "",
        "Workers that were started.",
        lambda seen: [f" {seen.spawns}"],
    ),
    Metric(
        "workers_respawns_for_err",
        "counter",
        "",
        "Workers that were started because another one had failed or hung.",
        _respawns("error", "timeout"),
    ),
    Metric(
        "workers_respawns_for_lifetime",
        "counter",
        "",
        "Workers that were started because another one had reached its lifetime.",
        _respawns("lifetime"),
    ),
    Metric(
        "workers_respawns_for_rss",
        "counter",
        "",
        "Workers that were started because another one took too much memory.",
        _respawns("rss"),
    ),
    Metric(
        "workers_respawns_total",
        "counter",
        "",
        "Workers that were started in the place of another one, by cause.",
        _all_respawns,
    ),
    Metric("worker_lifetime", "gauge", "seconds", "Time since the worker was started.", _lifetime),
    Metric("worker_rss_bytes", "gauge", "bytes", "Memory that the worker has resident.", _rss),
    Metric(
        "connections_active",
        "gauge",
        "",
        "Connections that are open.",
        _field("connections_active"),
    ),
    Metric(
        "connections_handled",
        "counter",
        "",
        "Connections that were accepted.",
        _field("connections_handled"),
    ),
    Metric(
        "connections_err",
        "counter",
        "",
        "Connections that ended with an error.",
        _field("connections_err"),
    ),
    Metric(
        "accept_pauses_total",
        "counter",
        "",
        "How often the worker had max_connections, and left new ones in the queue.",
        _field("accept_pauses"),
    ),
    Metric(
        "requests_handled",
        "counter",
        "",
        "Requests that were passed to the application.",
        _field("requests_handled"),
    ),
    Metric(
        "requests_active",
        "gauge",
        "",
        "Requests that are being answered.",
        _field("requests_active"),
    ),
    Metric(
        "requests_waiting",
        "gauge",
        "",
        "Requests that wait for their turn.",
        _field("requests_waiting"),
    ),
    Metric(
        "rejections_total",
        "counter",
        "",
        "Requests and connections that the server turned away itself, by reason.",
        _rejections,
    ),
    Metric(
        "responses_total",
        "counter",
        "",
        "Responses, by protocol and class of the status.",
        _responses,
    ),
    Metric(
        "received_bytes_total",
        "counter",
        "bytes",
        "Bytes that came from clients, without TLS.",
        _field("bytes_received"),
    ),
    Metric(
        "sent_bytes_total",
        "counter",
        "bytes",
        "Bytes that were sent to clients, without TLS.",
        _field("bytes_sent"),
    ),
    Metric(
        "request_latency_seconds",
        "histogram",
        "seconds",
        "Time from a complete request head to the last byte of the response.",
        _histogram("latency"),
    ),
    Metric(
        "queue_time_seconds",
        "histogram",
        "seconds",
        "Time that requests, once read, waited until the application was called.",
        _histogram("queue_time"),
    ),
    Metric(
        "loop_lag_seconds",
        "histogram",
        "seconds",
        "How late timers of the worker's event loop ran: what blocks it shows here.",
        _histogram("loop_lag"),
    ),
    Metric(
        "websockets_active",
        "gauge",
        "",
        "WebSockets that are open.",
        _field("websockets_active"),
    ),
    Metric(
        "websocket_messages_received_total",
        "counter",
        "",
        "Messages that came over WebSockets.",
        _field("websocket_messages_received"),
    ),
    Metric(
        "websocket_messages_sent_total",
        "counter",
        "",
        "Messages that were sent over WebSockets.",
        _field("websocket_messages_sent"),
    ),
    Metric(
        "websocket_round_trip_seconds",
        "histogram",
        "seconds",
        "Time from a ping over a WebSocket to its answer.",
        _histogram("websocket_round_trip"),
    ),
    Metric(
        "static_requests_handled",
        "counter",
        "",
        "Requests that were answered with a static file.",
        _field("static_requests_handled"),
    ),
    Metric(
        "static_requests_err",
        "counter",
        "",
        "Requests for a static file that failed.",
        _field("static_requests_err"),
    ),
    Metric(
        "tls_handshakes_total",
        "counter",
        "",
        "TLS handshakes that were completed.",
        _field("tls_handshakes"),
    ),
    Metric(
        "tls_handshakes_failed_total",
        "counter",
        "",
        "TLS handshakes that failed, by reason.",
        _handshake_failures,
    ),
    Metric(
        "blocking_threads",
        "gauge",
        "",
        "Threads in which the application runs.",
        _field("blocking_threads"),
    ),
    Metric(
        "blocking_queue",
        "gauge",
        "",
        "Calls of the application that wait for a thread.",
        _field("blocking_queue"),
    ),
    Metric(
        "blocking_idle_cumulative",
        "counter",
        "microseconds",
        "Time in which these threads had nothing to do.",
        _field("blocking_idle_cumulative"),
    ),
    Metric(
        "blocking_busy_cumulative",
        "counter",
        "microseconds",
        "Time in which these threads ran the application.",
        _field("blocking_busy_cumulative"),
    ),
    Metric(
        "py_wait_cumulative",
        "counter",
        "microseconds",
        "Time spent waiting for the interpreter's lock.",
        _field("py_wait_cumulative"),
    ),
)
