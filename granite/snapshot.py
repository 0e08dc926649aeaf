"""The table of a snapshot: what a worker counts, as one message of a fixed size.

Owns the order of the numbers; `granite/_core/counters.pxd` has the same order in C, and a test
holds the two against each other. Must not know who counts, who sends and who reads; it is imported
by the arbiter, without the core. No thread of its own.

A snapshot is native signed 64-bit integers. Gauges say what is, counters what has been since the
worker started. A histogram is the number of values in each bucket (those above the bound before and
not above its own), the number above the last bound, and the sum of all values in microseconds.
"""

from __future__ import annotations

import struct

GAUGES = (
    "connections_active",
    "requests_active",
    "requests_waiting",
    "blocking_threads",
    "blocking_queue",
    "websockets_active",
)

PROTOCOLS = ("http1", "http2", "websocket")
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
RESPONSES = tuple(f"responses_{p}_{c}" for p in PROTOCOLS for c in CLASSES)

# Why a request or a connection was turned away, or ended early, by the server itself.
REASONS = (
    "bad_request",  # not understood: 400, 417, 501, 505
    "head_size",  # 414, 431
    "body_size",  # 413
    "head_timeout",  # 408
    "connections_per_ip",  # 429, before anything is read
    "requests_per_ip",  # 429
    "overload",  # 503, at once
    "queue_time",  # 503, after it has waited
    "client_gone",  # while it waited
    "body_timeout",  # 408: the body stopped, or was too slow
    "request_timeout",  # 504, or a cut response
    "write_timeout",  # the client took nothing of its response, or opened no window: reset
    "proxy_header",  # of the PROXY protocol: missing, wrong, or from somebody who must not send it
    "tls",  # a handshake that failed, or records that cannot be read
    "websocket",  # closed, for what came, or for a ping that was not answered
    # connections of HTTP/2 that were ended
    "http2_protocol",  # a rule was broken: PROTOCOL_ERROR, FLOW_CONTROL_ERROR, …
    "http2_resets",  # too many streams were reset
    "http2_pings",
    "http2_settings",
    "http2_empty_frames",
    "http2_invalid_fields",  # such as those without a name
    "http2_windows",  # opened by next to nothing
    "http2_flood",  # PRIORITY, unknown frames, answers that the client does not read
    "http2_continuations",
    "http2_fields",  # fields many times larger than http2_max_headers_size
    "http2_no_pong",  # a PING was not answered
)
REJECTIONS = tuple(f"rejected_{reason}" for reason in REASONS)

# What became of a TLS handshake that was not completed; behind the first ones, the alert that
# either side has sent.
HANDSHAKE_FAILURES = (
    *("closed", "timeout", "plain_http", "not_tls", "other"),
    *("unexpected_message", "bad_record_mac", "record_overflow", "handshake_failure"),
    *("bad_certificate", "unsupported_certificate", "certificate_revoked", "certificate_expired"),
    *("certificate_unknown", "illegal_parameter", "unknown_ca", "access_denied", "decode_error"),
    *("decrypt_error", "protocol_version", "insufficient_security", "internal_error"),
    *("inappropriate_fallback", "user_canceled", "missing_extension", "unsupported_extension"),
    *("unrecognized_name", "certificate_required", "no_application_protocol"),
)

COUNTERS = (
    "connections_handled",
    "connections_err",
    "accept_pauses",  # for there were as many connections as are allowed
    "requests_handled",
    *REJECTIONS,
    "bytes_received",  # as HTTP sees them: without TLS
    "bytes_sent",
    *RESPONSES,
    "websocket_messages_received",
    "websocket_messages_sent",
    "static_requests_handled",
    "static_requests_err",
    "tls_handshakes",
    *(f"tls_handshakes_failed_{reason}" for reason in HANDSHAKE_FAILURES),
    "blocking_idle_cumulative",  # these three in microseconds
    "blocking_busy_cumulative",
    "py_wait_cumulative",
)

HISTOGRAMS = (
    "latency",  # head of the request complete → last byte of the response handed to the transport
    "queue_time",  # read → the application called
    "loop_lag",  # how much later than asked for a timer of the event loop ran
    "websocket_round_trip",  # ping → pong
)

# Upper bounds of a histogram's buckets, in microseconds; the last bucket has none.
BOUNDS = (
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
)

FIELDS: tuple[str, ...] = (
    *GAUGES,
    *COUNTERS,
    *(f"{h}_{part}" for h in HISTOGRAMS for part in (*BOUNDS, "inf", "sum")),
)

INDEX = {name: index for index, name in enumerate(FIELDS)}

_LAYOUT = struct.Struct(f"={len(FIELDS)}q")

SIZE = _LAYOUT.size


def unpack(snapshot: bytes) -> list[int]:
    """Return the numbers of a snapshot, in the order of FIELDS.

    Raises:
        ValueError: it is not SIZE bytes long.
    """
    if len(snapshot) != SIZE:
        raise ValueError(f"expected a snapshot of {SIZE} bytes, got {len(snapshot)}")
    return list(_LAYOUT.unpack(snapshot))


def histogram(values: list[int], name: str) -> tuple[list[int], int]:
    """Return a histogram's numbers, one for each bucket, and its sum in microseconds."""
    first = INDEX[f"{name}_{BOUNDS[0]}"]
    last = first + len(BOUNDS) + 1
    return values[first:last], values[last]
