"""How long tests wait for what must happen, and their servers for them: a busy machine is slow."""

from __future__ import annotations

PATIENCE = 60.0  # seconds

# What servers wait for their clients, where a test does not say. By default that is not long, and a
# slow test would find its connection ended between two of its steps.
PATIENT = dict.fromkeys(
    (
        *("keep_alive_timeout", "request_head_timeout", "request_body_timeout", "write_timeout"),
        *("min_body_rate_grace", "ws_handshake_timeout", "ws_ping_timeout", "ws_close_timeout"),
        "http2_keep_alive_timeout",
    ),
    10 * PATIENCE,
)
