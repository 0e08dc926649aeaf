"""What applications raise when they are told that their client has gone: frameworks make errors of
their own of it, which are no failures of the server or the application.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, answer, body, eventually, start
from tests.server.inside import wait_for
from tests.server.loops import both_loops
from tests.server.raw import Client, request

TOLD = "the application was told that its client has gone, and raised "


class Failure(Exception):  # noqa: N818 (it is no error)
    pass


async def stream(send):
    await send(start())
    while True:
        await send(body(b"x" * 9999, more=True))
        await asyncio.sleep(0)


async def wrapped(receive, send):
    try:
        await stream(send)
    except OSError as exc:
        raise Failure("wrapped") from exc


async def in_its_place(receive, send):
    try:
        await stream(send)
    except OSError:
        raise Failure("in its place") from None


async def by_a_message(receive, send):
    while (await receive())["type"] != "http.disconnect":
        pass
    raise Failure("by a message")


@both_loops
@pytest.mark.parametrize("call", [wrapped, in_its_place, by_a_message])
@pytest.mark.parametrize("leave", [Client.close, Client.reset])
def test_it_is_no_error(connect, serve, log, call, leave):
    async def app(scope, receive, send):
        await call(receive, send)

    server = serve(app)
    client = connect(server)
    client.send(request("/a%20b", "Content-Length: 5", method="POST") + b"123")
    if call is not by_a_message:
        client.until(b"x")
    leave(client)
    eventually(lambda: server.exceptions)
    assert [type(exc) for exc in server.exceptions] == [Failure]
    (line,) = [message for message in log.messages if message.startswith(TOLD)]
    assert line == f"{TOLD}{server.exceptions[0]!r}: POST /a%20b"
    assert not log.errors


def test_it_is_one_where_the_application_was_not_told(connect, serve, log):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        raise Failure

    server = serve(app)
    client = connect(server)
    client.request("/fails")
    assert gate.reached.wait(PATIENCE)
    client.reset()
    wait_for(server, connections_active=0)
    gate.open()
    eventually(lambda: server.exceptions)
    assert "exception in the application: GET /fails" in log.messages


def test_it_is_one_behind_a_response_that_the_client_has(connect, serve, log):
    async def app(scope, receive, send):
        await answer(send, b"hello")
        while (await receive())["type"] != "http.disconnect":
            pass
        raise Failure

    server = serve(app)
    assert connect(server).ask("/fails").body == b"hello"
    eventually(lambda: server.exceptions)
    assert "exception in the application: GET /fails" in log.messages


def test_over_rsgi(connect, serve, log):
    class App:
        async def __rsgi__(self, scope, protocol):
            await protocol.client_disconnect()
            raise Failure("rsgi")

    server = serve(App(), interface="rsgi")
    client = connect(server)
    client.request()
    client.reset()
    eventually(lambda: server.exceptions)
    assert f"{TOLD}Failure('rsgi'): GET /" in log.messages
    assert not log.errors


@pytest.mark.parametrize("threads", [1, 4])
def test_over_wsgi(connect, serve, log, threads):
    seen = Seen()

    def app(environ, start_response):
        write = start_response("200 OK", [])
        seen.put("called")
        try:
            while True:
                write(b"x" * 9999)
        except OSError as exc:
            raise Failure("wsgi") from exc

    server = serve(app, interface="wsgi", blocking_threads=threads)
    client = connect(server)
    client.request()
    assert seen.get() == "called"
    client.reset()
    eventually(lambda: server.exceptions)
    assert f"{TOLD}Failure('wsgi'): GET /" in log.messages
    assert not log.errors
