"""Broken messages against a real server: whatever comes, it answers, refuses or closes, goes on
serving, and keeps nothing.

`GRANITE_FUZZ_SEED` picks another seed, `GRANITE_FUZZ_COUNT` the number of messages of each run; a
failure names the seed and the message.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Iterator

import pytest

from granite.testing import TestServer
from tests.fuzz.mutate import mutated
from tests.wire import corpus
from tests.wire.client import DELIVERIES, Talk, converse, split_responses

SEED = os.environ.get("GRANITE_FUZZ_SEED", "granite")
COUNT = int(os.environ.get("GRANITE_FUZZ_COUNT", "400"))
AT_ONCE = 100  # connections that are open at the same time

MESSAGES = [
    case.data
    for kind in ("valid", "invalid")
    for case in corpus.load(kind)
    if len(case.data) <= 2000
]
SETTINGS = {"lifespan": "off", "max_head_size": 4096, "body_high_water": 2048}


def _start(scope) -> dict:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"x-method", scope["method"].encode())],
    }


async def _read(receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def answers_at_once(scope, receive, send) -> None:
    await send(_start(scope))
    await send({"type": "http.response.body", "body": b"ok"})


async def echoes(scope, receive, send) -> None:
    body = await _read(receive)
    if body is not None:
        await send(_start(scope))
        await send({"type": "http.response.body", "body": body})


async def suspends(scope, receive, send) -> None:
    await asyncio.sleep(0)
    body = await _read(receive)
    await asyncio.sleep(0)
    if body is not None:
        await send(_start(scope))
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": body})


async def streams(scope, receive, send) -> None:
    await send(_start(scope))
    for size in (1, 0, 5000, 100):
        await send({"type": "http.response.body", "body": bytes(size), "more_body": True})
        await asyncio.sleep(0)
    await _read(receive)
    await send({"type": "http.response.body", "body": b"end"})


@pytest.fixture(autouse=True)
def _no_errors_are_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.WARNING, "granite.error")
    yield
    assert caplog.records == []


@pytest.mark.parametrize("app", [answers_at_once, echoes, suspends, streams])
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_answer_refuse_or_close(app, delivery: str) -> None:
    rng = random.Random(f"{SEED} {app.__name__} {delivery}")
    with TestServer(app, **SETTINGS) as server:
        address = (server.host, server.port)
        for _ in range(0, COUNT, AT_ONCE):
            # The client ends its half, so that the server has no reason to wait for more.
            talks = [Talk(mutated(MESSAGES, rng), ends=True) for _ in range(AT_ONCE)]
            converse(address, talks, DELIVERIES[delivery], rng, lambda talk: False)
            for talk in talks:
                _check(talk)
        _check_alive(address)
    assert {name: count for name, count in server.counters().items() if count} == {}
    assert [e for e in server.exceptions if not isinstance(e, OSError)] == []


def _check(talk: Talk) -> None:
    note = f"seed {SEED!r}, sent {talk.data!r}, received {talk.received!r}"
    assert talk.outcome in ("eof", "reset"), note
    try:
        responses, rest = split_responses(talk.received)
    except ValueError as exc:
        raise AssertionError(f"{exc}: {note}") from None
    statuses = [response.status for response in responses]
    assert all(status == 200 for status in statuses[:-1]), note
    if statuses and statuses[-1] != 200:
        assert 400 <= statuses[-1] < 600, note
        assert responses[-1].headers[b"connection"] == b"close", note
        assert rest == b"", note
    # A response that had begun when the rest of its request turned out to be broken is cut short.
    assert rest == b"" or rest.startswith(b"HTTP/1.1 200 "), note


def _check_alive(address: tuple[str, int]) -> None:
    talk = Talk(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    converse(address, [talk], DELIVERIES["whole"], random.Random(), lambda talk: False)
    responses, rest = split_responses(talk.received)
    assert [response.status for response in responses] == [200]
    assert rest == b""
