"""Applications that fail: what the client gets, what is logged, and who else is affected."""

from __future__ import annotations

import asyncio

import pytest

from granite.errors import LoadError
from tests.server.apps import Seen, answer, body, eventually, sending, start
from tests.server.loops import both_loops
from tests.server.raw import request


class Failure(Exception):  # noqa: N818 (it is no error)
    pass


def failing(*messages, suspended=False):
    """An application that raises after these messages."""

    async def app(scope, receive, send):
        for message in messages:
            await send(message)
        if suspended:
            await asyncio.sleep(0)
        raise Failure("as asked")

    return app


suspended_or_not = pytest.mark.parametrize("suspended", [False, True])


@both_loops
@suspended_or_not
@pytest.mark.parametrize("started", [False, True], ids=["before start", "after start"])
def test_an_exception_before_the_first_body_is_a_500(connect, serve, log, suspended, started):
    messages = [start(200, (b"x-gone", b"1"), (b"content-length", b"5"))] if started else []
    server = serve(failing(*messages, suspended=suspended))
    client = connect(server)
    response = client.ask("/fails")
    assert (response.status, response.reason) == (500, "Internal Server Error")
    assert response.framing == "length"
    assert response.get("x-gone") is None
    assert b"as asked" not in response.body
    assert [type(exc) for exc in server.exceptions] == [Failure]
    (record,) = log.errors
    assert record.name == "granite.error"
    assert "GET /fails" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is server.exceptions[0]
    assert record.exc_info[2] is not None


@suspended_or_not
def test_a_500_leaves_the_connection_in_a_known_state(connect, suspended):
    client = connect(failing(suspended=suspended))
    response = client.ask()
    assert response.status == 500
    if response.get("connection") == "close":
        assert client.ended()
    else:
        assert client.ask().status == 500


@both_loops
@suspended_or_not
@pytest.mark.parametrize("length", [True, False], ids=["length", "chunked"])
def test_an_exception_after_the_first_body_closes_the_connection(
    connect, serve, log, suspended, length
):
    head = start(200, (b"content-length", b"100")) if length else start()
    server = serve(failing(head, body(b"part", more=True), suspended=suspended))
    client = connect(server)
    client.request()
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.rest() == (b"part" if length else b"4\r\npart\r\n")
    assert [type(exc) for exc in server.exceptions] == [Failure]
    assert len(log.errors) == 1


@suspended_or_not
def test_an_exception_after_the_response_is_only_logged(connect, serve, log, suspended):
    server = serve(failing(start(), body(b"done"), suspended=suspended))
    client = connect(server)
    for _ in range(3):
        assert client.ask().body == b"done"
    eventually(lambda: len(server.exceptions) == 3)
    assert len(log.errors) == 3


def test_a_failure_leaves_pipelined_neighbours_alone(connect):
    async def app(scope, receive, send):
        if scope["path"].startswith("/late"):
            await asyncio.sleep(0)
        if scope["path"].endswith("/fail"):
            await send(start(201))
            raise Failure
        await answer(send, scope["raw_path"])

    client = connect(app)
    paths = ["/a", "/late/b", "/c", "/late/fail", "/d", "/fail", "/e"]
    client.send(b"".join(map(request, paths)))
    for path in paths:
        response = client.response()
        if path.endswith("/fail"):
            assert response.status == 500
            if response.get("connection") == "close":
                assert client.gone()
                return
        else:
            assert (response.status, response.body) == (200, path.encode())


@both_loops
@suspended_or_not
def test_returning_without_a_response_is_a_500(connect, serve, log, suspended):
    async def app(scope, receive, send):
        if suspended:
            await asyncio.sleep(0)

    server = serve(app)
    assert connect(server).ask("/nothing").status == 500
    assert ["without a response" in message for message in log.messages] == [True]
    assert server.exceptions == []


@suspended_or_not
def test_returning_after_the_start_is_a_500(connect, log, suspended):
    async def app(scope, receive, send):
        await send(start(201))
        if suspended:
            await asyncio.sleep(0)

    assert connect(app).ask().status == 500
    assert len(log.errors) == 1


@suspended_or_not
def test_returning_within_the_body_closes_the_connection(connect, log, suspended):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"part", more=True))
        if suspended:
            await asyncio.sleep(0)

    client = connect(app)
    client.request()
    client.until(b"\r\n\r\n")
    assert client.rest() == b"4\r\npart\r\n"
    assert ["without completing" in message for message in log.messages] == [True]


@both_loops
@suspended_or_not
def test_a_cancelled_error_is_a_500_and_no_fault(connect, serve, log, suspended):
    async def app(scope, receive, send):
        if suspended:
            await asyncio.sleep(0)
        raise asyncio.CancelledError

    server = serve(app)
    assert connect(server).ask().status == 500
    assert server.exceptions == []
    assert log.errors == []


@pytest.mark.parametrize("value", [None, 5, b"body", [b"body"], iter(())])
def test_an_application_that_returns_no_awaitable_is_a_500(connect, serve, log, value):
    server = serve(lambda scope, receive, send: value)
    assert connect(server).ask().status == 500
    (error,) = server.exceptions
    assert isinstance(error, TypeError)
    assert "awaitable" in str(error)
    assert type(value).__name__ in str(error)
    assert len(log.errors) == 1


def test_a_wsgi_application_is_refused(serve):
    with pytest.raises(LoadError, match="expected an ASGI application"):
        serve(lambda environ, start_response: [b"hello"], interface="asgi")


def test_an_exception_in_the_call_itself_is_a_500(connect, serve):
    def app(scope, receive, send):
        raise Failure("in the call")

    server = serve(app)
    client = connect(server)
    assert client.ask().status == 500
    assert isinstance(server.exceptions[0], Failure)


@pytest.mark.parametrize("error", [StopAsyncIteration, StopIteration, KeyError])
def test_exceptions_with_a_meaning_for_coroutines_are_a_500(connect, error):
    async def app(scope, receive, send):
        raise error

    assert connect(app).ask().status == 500


def test_an_exception_after_the_client_has_left_is_logged(connect, serve, log):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await receive())
        try:
            await receive()
            raise Failure("late")
        finally:
            seen.put(None)

    server = serve(app)
    client = connect(server)
    client.request()
    seen.get()
    client.close()
    assert seen.get() is None
    assert connect(server).sock is not None
    server.stop()
    assert [type(exc) for exc in server.exceptions] == [Failure]


def test_an_exception_while_the_body_is_still_coming(connect, serve):
    async def app(scope, receive, send):
        await receive()
        raise Failure

    server = serve(app)
    client = connect(server)
    client.send(request("/", "Content-Length: 10", method="POST") + b"12345")
    response = client.response()
    assert response.status == 500
    client.send(b"67890")
    if response.get("connection") == "close":
        assert client.gone()
    else:
        assert client.ask().status == 500


def test_a_failure_of_one_client_does_not_touch_another(connect, serve):
    async def app(scope, receive, send):
        if scope["path"] == "/fail":
            await send(start())
            await send(body(b"x", more=True))
            raise Failure
        await answer(send, b"fine")

    server = serve(app)
    fine, failing_one = connect(server), connect(server)
    assert fine.ask().body == b"fine"
    failing_one.request("/fail")
    failing_one.rest()
    assert fine.ask().body == b"fine"


def test_sending_nothing_else_after_a_refused_message_is_a_500(connect, serve):
    server = serve(sending({"type": "http.response.body", "body": b""}))
    assert connect(server).ask().status == 500
    assert [type(exc) for exc in server.exceptions] == [RuntimeError]
