"""The ids of requests: in the scope, in the fields, in the response, in the application's log."""

from __future__ import annotations

import asyncio
import json
import logging
import re

import pytest

from granite.request_id import RequestIdFilter, current
from tests.server.apps import Seen, answer, attempt, hello, start
from tests.server.logged import Logged
from tests.server.loops import both_loops
from tests.server.raw import request

ID = re.compile(r"[0-9a-f]{32}")
ON = {"request_id_header": "X-Request-ID"}


async def telling(scope, receive, send):
    """Answer with what the application knows of the id."""
    fields = [
        value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"
    ]
    known = [scope["extensions"].get("granite.request_id"), fields, current()]
    await answer(send, json.dumps(known).encode())


def test_off(connect):
    response = connect(telling).ask("/", "X-Request-ID: theirs")
    assert json.loads(response.body) == [None, ["theirs"], "-"]
    assert response.get("x-request-id") is None


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("X-Request-Id: stranger",),
        ("X-Request-Id: a", "A: b", "x-request-id: c"),
        ("X-Request-Id: ",),
    ],
)
@both_loops
def test_a_strangers_id_is_replaced(connect, fields):
    response = connect(telling, forwarded_allow_ips="10.0.0.1", **ON).ask("/", *fields)
    given = response.get("x-request-id")
    assert given is not None
    assert ID.fullmatch(given)
    assert json.loads(response.body) == [given, [given], given]


def test_ids_are_different(serve, connect):
    ids = set()
    for _ in range(2):
        client = connect(serve(hello, **ON))
        for _ in range(200):
            client.request()
        ids |= {client.response().get("x-request-id") for _ in range(200)}
    assert len(ids) == 400
    assert len({one[:16] for one in ids}) == 2
    assert len({one[16:20] for one in ids}) > 300


def test_the_application_sets_it_itself(connect):
    async def app(scope, receive, send):
        await answer(send, fields=[(b"X-REQUEST-ID", b"mine")])

    assert connect(app, **ON).ask().all("x-request-id") == ["mine"]


def test_failures_have_one_too(connect):
    async def app(scope, receive, send):
        await attempt(send, start(200, (b"x-request-id", b"discarded")))
        raise ValueError("no")

    response = connect(app, **ON).ask()
    assert response.status == 500
    assert ID.fullmatch(response.get("x-request-id") or "")


def test_refused_requests_have_one_too(serve, connect, tmp_path):
    logged = Logged(serve, tmp_path / "log")
    try:
        client = connect(logged(hello, access_log_fmt="%(status)s %(rid)s", **ON))
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        response = client.response()
        assert logged.line() == f"400 {response.get('x-request-id')}"
    finally:
        logged.restore()


def test_the_access_log_has_it(serve, connect, tmp_path):
    logged = Logged(serve, tmp_path / "log")
    try:
        response = connect(logged(hello, log_format="json", **ON)).ask()
        assert logged.records(1)[0]["request_id"] == response.get("x-request-id")
    finally:
        logged.restore()


@both_loops
def test_the_applications_own_log(connect):
    seen = Seen()
    logger = logging.Logger("of the application")

    class Handler(logging.Handler):
        def emit(self, record):
            seen.put((record.getMessage(), record.request_id))

    handler = Handler()
    handler.addFilter(RequestIdFilter())
    logger.addHandler(handler)

    async def app(scope, receive, send):
        logger.warning("loop")
        await asyncio.sleep(0)
        logger.warning("later")
        await asyncio.to_thread(logger.warning, "thread")
        await answer(send)

    given = connect(app, **ON).ask().get("x-request-id")
    assert [seen.get() for _ in range(3)] == [(name, given) for name in ("loop", "later", "thread")]
    logger.warning("outside")
    assert seen.get() == ("outside", "-")


def test_pipelined_requests_have_different_ones(connect):
    client = connect(telling, **ON)
    client.send(request() * 3)
    bodies = [json.loads(client.response().body) for _ in range(3)]
    assert len({body[0] for body in bodies}) == 3
    assert all(body == [body[0], [body[0]], body[0]] for body in bodies)


TRUSTING = {**ON, "forwarded_allow_ips": "127.0.0.1"}


@pytest.mark.parametrize(
    "given", ["a", "0af7651916cd43dd8448eb211c80319c", "A.b_c~d:e/f+g=h@i-j", "x" * 128]
)
def test_a_trusted_peers_id_is_taken(connect, given):
    response = connect(telling, **TRUSTING).ask("/", f"X-Request-Id: {given}")
    assert response.get("x-request-id") == given
    assert json.loads(response.body) == [given, [given], given]


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("X-Request-Id: ",),
        ("X-Request-Id: a b",),
        ('X-Request-Id: "a"',),
        ("X-Request-Id: \xe9",),
        ("X-Request-Id: " + "x" * 129,),
        ("X-Request-Id: a", "X-Request-Id: a"),
    ],
)
def test_what_is_no_id_is_replaced(connect, fields):
    response = connect(telling, **TRUSTING).ask("/", *fields)
    given = response.get("x-request-id")
    assert given is not None
    assert ID.fullmatch(given)
    assert json.loads(response.body) == [given, [given], given]
