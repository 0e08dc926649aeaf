"""The corpus against a real server: each message whole, byte by byte, and randomly split; for an
application that answers at once and for one that suspends first.
"""

from __future__ import annotations

import logging
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from granite.testing import TestServer
from tests.wire import corpus
from tests.wire.client import DELIVERIES, Talk, converse, split_responses
from tests.wire.recorder import Recorder

SEED = int(os.environ.get("GRANITE_TEST_SEED", "1"))

VALID = corpus.load("valid")
INVALID = corpus.load("invalid")
CASES = [*VALID, *INVALID]

PLAIN = b"GET /after HTTP/1.1\r\nHost: after\r\n\r\n"


@dataclass
class Run:
    """What came of every case, sent in one way."""

    talks: dict[str, Talk]
    seen: dict[int, list[corpus.Seen]]
    records: list[logging.LogRecord]
    errors: list[BaseException]
    counters: dict[str, int]


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(scope="module", params=["at-once", "suspending"])
def app(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=list(DELIVERIES))
def run(request: pytest.FixtureRequest, app: str) -> Iterator[Run]:
    logger = logging.getLogger("granite.error")
    collector = _Collector()
    level = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.INFO)
    try:
        yield _run(request.param, Recorder(app == "suspending"), collector)
    finally:
        logger.setLevel(level)
        logger.removeHandler(collector)


def _run(delivery: str, recorder: Recorder, collector: _Collector) -> Run:
    talks = {
        case.name: Talk(case.data + (PLAIN if _goes_on(case) else b""), case.ends) for case in CASES
    }
    cases = {id(talks[case.name]): case for case in CASES}

    def done(talk: Talk) -> bool:
        case = cases[id(talk)]
        try:
            responses, _ = split_responses(talk.received, _methods(case))
        except ValueError:
            return True
        # One response more than there are requests: to the plain request, or the refusal, after
        # which the connection must close.
        return len(responses) > len(case.requests) and responses[-1].status == 200

    # A byte at a time, all cases take a while together.
    names = ("keep_alive_timeout", "request_head_timeout", "request_body_timeout")
    patience: dict[str, Any] = {**dict.fromkeys(names, 300.0), "min_body_rate": 0}
    with TestServer(recorder, lifespan="off", http="1", **patience) as server:
        converse(
            (server.host, server.port),
            list(talks.values()),
            DELIVERIES[delivery],
            random.Random(SEED),
            done,
        )
    return Run(talks, recorder.seen, collector.records, server.exceptions, server.counters())


def _goes_on(case: corpus.Case) -> bool:
    """Whether the connection has to serve one more request after the case's."""
    return not case.status and case.stays_open and not case.ends


def _methods(case: corpus.Case) -> list[str]:
    return [seen.method for seen in case.requests]


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.name)
def test_valid(run: Run, case: corpus.Case) -> None:
    talk = run.talks[case.name]
    responses, rest = split_responses(talk.received, _methods(case))
    seen = run.seen.get(talk.port, [])
    after = seen.pop() if _goes_on(case) and seen else None
    for one, wanted in zip(seen, case.requests, strict=False):
        if wanted.headers is None:
            one.headers = None
    assert seen == case.requests
    assert rest == b""
    assert [response.status for response in responses] == [200] * (len(seen) + _goes_on(case))
    if _goes_on(case):
        assert after is not None
        assert after.raw_path == b"/after"
    else:
        assert talk.outcome == "eof"
        if not case.ends:
            assert responses[-1].headers[b"connection"] == b"close"
    if after is not None:
        seen.append(after)


@pytest.mark.parametrize("case", INVALID, ids=lambda case: case.name)
def test_invalid(run: Run, case: corpus.Case) -> None:
    talk = run.talks[case.name]
    responses, rest = split_responses(talk.received, _methods(case))
    assert len(run.seen.get(talk.port, [])) == len(case.requests)
    assert [response.status for response in responses[:-1]] == [200] * len(case.requests)
    assert responses[-1].status == case.status
    assert responses[-1].headers[b"connection"] == b"close"
    assert rest == b""
    assert talk.outcome == "eof"


def test_refusals_are_told_and_do_not_flood_the_log(run: Run) -> None:
    assert run.errors == []
    assert [record for record in run.records if record.levelno > logging.INFO] == []
    lines = [record.getMessage() for record in run.records]
    sums = [line for line in lines if "turned away within a second" in line]
    more = sum(int(count) for line in sums for count in re.findall(r"(\d+) more for", line))
    assert len(lines) - len(sums) + more == len(INVALID)
    assert not any("\n" in line for line in lines)


def test_nothing_is_left(run: Run) -> None:
    assert {name: count for name, count in run.counters.items() if count} == {}


def test_each_case_is_one_rule_of_a_named_section() -> None:
    assert len(CASES) >= 500
    assert len({(case.data, case.ends) for case in CASES}) == len(CASES)
    for case in CASES:
        assert re.fullmatch(r"(rfc\d{4}-\d+(\.\d+)*|other)-[a-z0-9.-]+", case.name), case.name
