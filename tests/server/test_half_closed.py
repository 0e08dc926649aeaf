"""Clients that have ended their half of the connection and wait for the answer, in each state of
the application. Who asks is told that the client has gone, since nobody can tell.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, Message, Seen, answer, attempt, body, body_of, eventually, start
from tests.server.loops import both_loops
from tests.server.raw import request

HINT: Message = {"type": "http.response.early_hint", "links": [b"</a>"]}
TRAILERS: Message = {"type": "http.response.trailers", "headers": [(b"x-sum", b"5")]}
# What the application has sent when the client ends its half, and what it sends then.
STATES: dict[str, tuple[list[Message], list[Message]]] = {
    "before anything": ([], [start(), body(b"abc")]),
    "after an early hint": ([HINT], [start(), body(b"abc")]),
    "after the start": ([start()], [body(b"abc")]),
    "after a piece of the body": ([start(), body(b"a", more=True)], [body(b"bc")]),
    "before the trailers": ([{**start(), "trailers": True}, body(b"abc")], [TRAILERS]),
}


@both_loops
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("data", [b"", b"hello"])
def test_who_only_sends_does_not_notice(connect, state, data):
    gate = Gate()
    before, after = STATES[state]

    async def app(scope, receive, send):
        assert await body_of(receive) == data
        for message in before:
            await send(message)
        await gate.wait()
        for message in after:
            await send(message)

    client = connect(app)
    client.request("/", "TE: trailers", method="POST", body=data)
    assert gate.reached.wait(PATIENCE)
    client.end()
    if state == "after an early hint":
        assert client.response().status == 103
    gate.open()
    response = client.response()
    assert (response.status, response.body) == (200, b"abc")
    assert client.ended()


@both_loops
@pytest.mark.parametrize("state", STATES)
def test_who_asks_is_told_and_cannot_send(connect, serve, state):
    seen = Seen()

    async def app(scope, receive, send):
        await body_of(receive)
        for message in STATES[state][0]:
            await send(message)
        seen.put(await receive())
        seen.put(await attempt(send, start(), body()))

    server = serve(app)
    client = connect(server)
    client.request("/", "TE: trailers")
    client.end()
    assert seen.get() == {"type": "http.disconnect"}
    assert [isinstance(error, OSError) for error in seen.get()] == [True, True]
    client.sock.close()
    eventually(lambda: server.counters()["connections"] == 0)
    assert server.exceptions == []


def test_a_task_that_watches_for_the_end_hears_of_it(connect):
    """As frameworks do it that stop a stream when its client leaves."""
    seen = Seen()

    async def app(scope, receive, send):
        await body_of(receive)
        await send(start())
        await send(body(b"a", more=True))
        watching = asyncio.create_task(receive())
        seen.put("watches")
        seen.put(await watching)

    client = connect(app)
    client.request()
    assert seen.get() == "watches"
    client.end()
    assert seen.get() == {"type": "http.disconnect"}


def test_a_client_that_ends_its_half_inside_the_body_gets_a_400(connect):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await receive())
        seen.put(await receive())

    client = connect(app)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
    assert seen.get() == {"type": "http.request", "body": b"hello", "more_body": True}
    client.end()
    assert client.response().status == 400
    assert seen.get() == {"type": "http.disconnect"}


@both_loops
def test_a_client_that_ends_its_half_inside_the_body_of_a_pipelined_request(connect):
    """Also where that has been seen before its turn has come."""
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/first":
            await gate.wait()
            return await answer(send, b"first")
        while (await receive())["type"] != "http.disconnect":
            pass
        return None

    client = connect(app)
    client.request("/first")
    assert gate.reached.wait(PATIENCE)
    client.send(request("/second", "Content-Length: 3", method="POST") + b"x")
    client.end()
    assert client.silent()
    gate.open()
    assert client.response().body == b"first"
    assert client.response().status == 400
    assert client.gone()


def test_an_answer_before_the_end_of_the_half(connect):
    gate = Gate()

    async def app(scope, receive, send):
        await answer(send, b"early")
        await gate.wait()

    client = connect(app)
    client.request()
    assert client.response().body == b"early"
    client.end()
    assert client.ended()
    gate.open()
