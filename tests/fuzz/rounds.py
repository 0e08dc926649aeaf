"""Rounds of broken messages against a real server. Whatever comes, it answers, refuses or closes,
goes on serving, keeps nothing and logs no error. What it takes for requests is the same whether a
message comes whole, byte by byte or cut at random, and where no limit is in the way the same as
what the oracle reads. And whatever an application answers, no client takes for whole what is not.

Owns the rounds and what is checked. A seed and a number make a round, and nothing else does. Must
not know where findings go. Runs on the caller's thread, the server on its own.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from granite.testing import TestServer
from tests.fuzz import proxies
from tests.fuzz.answers import Conversation, Failure, Improvising
from tests.fuzz.apps import APPLICATIONS, WSGI_APPLICATIONS
from tests.fuzz.logged import Lines, logged
from tests.fuzz.mutate import mutated
from tests.wire import corpus, oracle
from tests.wire.client import DELIVERIES, Talk, converse, split_responses
from tests.wire.recorder import Recorder
from tests.wire.wsgi_recorder import WsgiRecorder, as_wsgi

__all__ = ["FindingError", "run_round"]

# A refusal without its content.
_REFUSED_HEAD = re.compile(rb"HTTP/1\.1 [45](?:[^\r\n]+\r\n)+\r\n")
_TOO_LARGE = 413, 414, 431
AT_ONCE = 60  # connections that are open at the same time

MESSAGES = [
    case.data
    for kind in ("valid", "invalid")
    for case in corpus.load(kind)
    if len(case.data) <= 1500
]
# Nothing of a message is too large for these.
SPACIOUS = {"max_head_size": 1 << 20, "max_fields": 100_000}
SETTINGS: tuple[dict, ...] = (
    {"max_head_size": 4096, "body_high_water": 2048},
    {"max_head_size": 1024, "max_request_line": 64, "max_field_size": 64, "max_fields": 6},
    {"max_body_size": 4, "write_high_water": 1024, "write_low_water": 64},
    {"http1_keep_alive": False},
    {"max_requests_per_connection": 2, "header_map": "refuse"},
    {"header_map": "dangerous", "body_high_water": 1024},
)
# Applications of ASGI, and those of WSGI with one thread and with several.
INTERFACES: tuple[dict, ...] = (
    *({}, {}),
    *({"interface": "wsgi", "blocking_threads": threads} for threads in (1, 4)),
)
# Behind proxies that are believed whatever they say.
BELIEVING: tuple[dict, ...] = (
    {
        "forwarded_allow_ips": "*",
        "forwarded_headers": (
            *("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
            *("x-forwarded-port", "x-forwarded-prefix", "x-real-ip"),
        ),
        "request_id_header": "x-request-id",
    },
    {"forwarded_allow_ips": "*", "proxy_protocol": "on"},
)


class FindingError(AssertionError):
    """A message that shows a fault: `data` is what was sent."""

    def __init__(self, what: str, data: bytes) -> None:
        super().__init__(what)
        self.data = data


@dataclass
class _Outcome:
    statuses: list[int]
    rest: bytes


def run_round(seed: str, number: int, batches: int = 3) -> int:
    """Run one round; return how many connections it made. Raises FindingError."""
    rng = random.Random(f"{seed} {number}")
    draw = rng.random()
    if draw < 0.6:
        return _compare(rng, batches)
    return _try(rng, batches) if draw < 0.9 else _improvise(rng, batches)


def _compare(rng: random.Random, batches: int) -> int:
    """The same messages in every delivery, for an application that tells what it has seen."""
    recorder: Recorder | WsgiRecorder = Recorder(rng.random() < 0.5)
    settings = SPACIOUS if rng.random() < 0.7 else rng.choice(SETTINGS)
    interface = rng.choice(INTERFACES)
    if interface:
        recorder = WsgiRecorder(rng)
    with _serving(recorder, settings, interface) as (server, lines):
        for _ in range(batches):
            messages = [mutated(MESSAGES, rng) for _ in range(AT_ONCE)]
            readings = [
                _read_all(server, lines, recorder, messages, delivery, rng)
                for delivery in DELIVERIES
            ]
            for message, *by_delivery in zip(messages, *readings, strict=True):
                _check_same(message, dict(zip(DELIVERIES, by_delivery, strict=True)))
                if settings is SPACIOUS:
                    _check_oracle(message, by_delivery[0], bool(interface))
    return batches * AT_ONCE * len(DELIVERIES)


def _try(rng: random.Random, batches: int) -> int:
    """Messages for applications that answer early, late, or in pieces."""
    settings = rng.choice((*SETTINGS, *BELIEVING))
    interface = rng.choice(INTERFACES)
    app = rng.choice(WSGI_APPLICATIONS if interface else APPLICATIONS)
    with _serving(app, settings, interface) as (server, lines):
        for _ in range(batches):
            messages = [mutated(MESSAGES, rng) for _ in range(AT_ONCE)]
            if "proxy_protocol" in settings:
                messages = [mutated(proxies.HEADERS, rng) + message for message in messages]
            talks = [Talk(message, ends=True) for message in messages]
            _converse(server, talks, rng.choice(list(DELIVERIES)), rng)
            for talk in talks:
                _expect(lines, talk, _outcome(talk))
    return batches * AT_ONCE


def _improvise(rng: random.Random, batches: int) -> int:
    """Sound requests in a row for an application whose answers may not be."""
    settings = rng.choice(({}, {"write_high_water": 1024, "write_low_water": 64}))
    with (
        closing(Improvising(str(rng.random()))) as app,
        _serving(app, settings) as (server, lines),
    ):
        for batch in range(batches):
            drawn = [Conversation.drawn(f"/{batch}/{i}", rng) for i in range(AT_ONCE)]
            talks = [conversation.talk for conversation in drawn]
            _converse(server, talks, rng.choice(list(DELIVERIES)), rng)
            for conversation in drawn:
                talk = conversation.talk
                try:
                    faults = list(conversation.faults(app))
                    lines.expect(talk, *conversation.statuses())
                except ValueError as exc:
                    faults = [str(exc)]
                if faults or talk.outcome == "open":
                    raise FindingError(f"{faults}, {talk.outcome}: {talk.received!r}", talk.data)
    return batches * AT_ONCE


@contextmanager
def _serving(
    app, settings: dict, interface: dict | None = None
) -> Iterator[tuple[TestServer, Lines]]:
    believing = settings in BELIEVING
    if not believing:
        settings = {**settings, "forwarded_headers": ()}
    errors = _Errors()
    logger = logging.getLogger("granite.error")
    logger.addHandler(errors)
    try:
        settings = {"lifespan": "off", "http": "1", **settings, **(interface or {})}
        with logged() as lines, TestServer(app, **settings) as server:
            yield server, lines
            _check_alive(
                server, lines, b"PROXY UNKNOWN\r\n" if "proxy_protocol" in settings else b""
            )
    finally:
        logger.removeHandler(errors)
    left = {name: count for name, count in server.counters().items() if count}
    if left:
        raise FindingError(f"left behind: {left}", b"")
    failed = [exc for exc in server.exceptions if not isinstance(exc, (OSError, Failure))]
    if failed or (errors.lines and not isinstance(app, Improvising)):
        raise FindingError(f"errors: {failed} {errors.lines}", b"")
    for fault, sent in lines.faults(ports=not believing):
        raise FindingError(f"the access log: {fault}", sent)


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _converse(server: TestServer, talks: list[Talk], delivery: str, rng: random.Random) -> None:
    address = (server.host, server.port)
    converse(address, talks, DELIVERIES[delivery], rng, lambda talk: False)


def _read_all(
    server: TestServer,
    lines: Lines,
    recorder: Recorder | WsgiRecorder,
    messages: list[bytes],
    delivery: str,
    rng: random.Random,
) -> list[oracle.Reading]:
    # The client ends its half, so that the server has no reason to wait for more.
    talks = [Talk(message, ends=True) for message in messages]
    _converse(server, talks, delivery, rng)
    readings = []
    for talk in talks:
        seen = recorder.seen.pop(talk.port, [])
        outcome = _outcome(talk)
        _expect(lines, talk, outcome)
        last = outcome.statuses[-1] if outcome.statuses else 200
        answered = outcome.statuses.count(200)
        if answered != len(seen):
            what = f"{delivery}: {answered} answers to {seen}, then {talk.outcome}"
            raise FindingError(f"{what}: received {talk.received!r}", talk.data)
        readings.append(oracle.Reading(seen, 0 if last == 200 else last))
    return readings


def _expect(lines: Lines, talk: Talk, outcome: _Outcome) -> None:
    answers = [outcome.statuses]
    if outcome.rest:  # a response that was cut, or one that only the connection's end ends
        answers.append([*outcome.statuses, 200])
    if b"HEAD " in talk.data and outcome.statuses[-1:] == [200]:
        answers.append(outcome.statuses[:-1])  # it was cut where nobody can see it
    lines.expect(talk, *answers)


def _outcome(talk: Talk) -> _Outcome:
    """What came of a connection; it has to be one that a client understands."""

    def need(condition: bool, what: str) -> None:
        if not condition:
            raise FindingError(f"{what}: received {talk.received!r}", talk.data)

    need(talk.outcome in ("eof", "reset"), f"the connection is {talk.outcome}")
    try:
        responses, rest = split_responses(talk.received)
        if _REFUSED_HEAD.fullmatch(rest) and b"HEAD " in talk.data:
            more, rest = split_responses(rest, ["HEAD"])
            responses += more
    except ValueError as exc:
        raise FindingError(f"{exc}: received {talk.received!r}", talk.data) from None
    statuses = [response.status for response in responses]
    need(all(status == 200 for status in statuses[:-1]), "something follows a refusal")
    if statuses and statuses[-1] != 200:
        need(400 <= statuses[-1] < 600, "an odd status")
        need(responses[-1].headers[b"connection"] == b"close", "a refusal that stays")
        need(rest == b"", "something follows a refusal")
    # A response that had begun when the rest of its request turned out to be broken is cut short.
    need(rest == b"" or rest.startswith(b"HTTP/1.1 200 "), "no response")
    return _Outcome(statuses, rest)


def _check_same(message: bytes, readings: dict[str, oracle.Reading]) -> None:
    # Of two faults either may be told: how much has come shows what is too large, the rest what is
    # no syntax.
    told = {
        (repr(reading.requests), 400 if reading.status in _TOO_LARGE else reading.status)
        for reading in readings.values()
    }
    if len(told) > 1:
        raise FindingError(f"read differently: {readings}", message)


def _check_oracle(message: bytes, reading: oracle.Reading, is_wsgi: bool) -> None:
    wanted = oracle.read(message)
    if is_wsgi:
        wanted.requests = [as_wsgi(seen) for seen in wanted.requests]
    if reading != wanted:
        raise FindingError(f"expected {wanted}, got {reading}", message)


def _check_alive(server: TestServer, lines: Lines, introduction: bytes) -> None:
    talk = Talk(introduction + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    _converse(server, [talk], "whole", random.Random())
    lines.expect(talk, [200])
    if _outcome(talk) != _Outcome([200], b""):
        raise FindingError(f"a plain request is not served: {talk.received!r}", talk.data)
