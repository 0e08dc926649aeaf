"""Rounds of broken conversations over HTTP/2 against a real server: whatever comes, what it sends
is sound, the connection ends, it goes on serving, keeps nothing and logs no error.

Owns a round and what is checked. A seed and a number make a round, and nothing else does.
"""

from __future__ import annotations

import logging
import random

from granite.testing import TestServer
from tests.fuzz.apps import APPLICATIONS, WSGI_APPLICATIONS, with_websockets
from tests.fuzz.frames import conversation, judged
from tests.fuzz.rounds import FindingError
from tests.http2.client import Client
from tests.wire.client import DELIVERIES, Talk, converse

__all__ = ["run_http2_round"]

AT_ONCE = 40  # connections that are open at the same time

_SETTINGS: tuple[dict, ...] = (
    {},
    {"http2_initial_stream_window_size": 1024, "http2_max_headers_size": 2000},
    {"http2_max_concurrent_streams": 2, "body_high_water": 1024, "max_fields": 6},
    {"max_body_size": 4, "http2_max_send_buffer_size": 1024, "http2_adaptive_window": True},
    {"max_requests_per_connection": 2, "header_map": "refuse", "backpressure": 1},
    {"http": "2", "http2_max_frame_size": 100_000, "ws_max_queue": 1, "ws_max_message_size": 4000},
)
_INTERFACES: tuple[dict, ...] = ({}, {}, {"interface": "wsgi"}, {"blocking_threads": 4})


def run_http2_round(seed: str, number: int, batches: int = 2) -> int:
    """Run one round; return how many connections it made. Raises FindingError."""
    rng = random.Random(f"http2 {seed} {number}")
    interface = rng.choice(_INTERFACES)
    app = rng.choice(WSGI_APPLICATIONS) if interface else with_websockets(rng.choice(APPLICATIONS))
    settings = {"lifespan": "off", **rng.choice(_SETTINGS), **interface}
    errors = _Errors()
    logger = logging.getLogger("granite.error")
    logger.addHandler(errors)
    try:
        with TestServer(app, **settings) as server:
            for _ in range(batches):
                _converse(server, rng)
            client = Client(server.host, server.port)
            answered = client.ask()
            client.close()
    finally:
        logger.removeHandler(errors)
    left = {name: count for name, count in server.counters().items() if count}
    failed = [exc for exc in server.exceptions if not isinstance(exc, OSError)]
    if left or failed or errors.lines or answered.status != 200:
        raise FindingError(f"left {left}, {failed}, {errors.lines}, then {answered}", b"")
    return batches * AT_ONCE


def _converse(server: TestServer, rng: random.Random) -> None:
    talks = [Talk(conversation(rng), ends=True) for _ in range(AT_ONCE)]
    delivery = DELIVERIES[rng.choice(list(DELIVERIES))]
    converse((server.host, server.port), talks, delivery, rng, lambda talk: False)
    for talk in talks:
        if talk.outcome == "open":
            raise FindingError(f"the connection is open: received {talk.received!r}", talk.data)
        if talk.received.startswith(b"HTTP/1.1 "):  # the preface was broken
            continue
        try:
            judged(talk.received, whole=talk.outcome == "eof")
        except ValueError as exc:
            raise FindingError(f"{exc}: received {talk.received!r}", talk.data) from None


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
