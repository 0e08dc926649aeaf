"""More requests than a worker has places for: who gets a 503 at once, and what frees a place."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.server.apps import answer, echo_body, eventually, hello
from tests.server.inside import inside, wait_for
from tests.server.loops import both_loops
from tests.server.overload.holding import occupied, refused
from tests.server.raw import chunked, request


@both_loops
def test_rejected_at_once_and_served_again(held, serve, connect):
    server, first = occupied(held, serve, connect, overload="reject", retry_after=3)
    client = connect(server)
    for _ in range(3):
        client.request("/never")
        response = refused(client, "3")
        assert response.get("connection") is None
        assert response.body == b"Service Unavailable"
        assert response.get("date")
        assert response.get("server") == "granite"
    assert held.started.empty
    numbers = wait_for(server, rejected_overload=3, requests_waiting=0)
    assert (numbers["requests_handled"], numbers["responses_http1_5xx"]) == (1, 3)
    held.let_go("/first")
    assert first.response().status == 200
    assert client.ask("/now").body == b"/now"


def test_pipelined_requests_are_rejected_one_by_one(held, serve, connect):
    server, first = occupied(held, serve, connect, overload="reject")
    client = connect(server)
    client.send(request("/never", method="POST", body=b"x" * 20) * 50)
    for _ in range(50):
        refused(client)
    assert client.silent(0.02)
    held.let_go("/first")
    assert first.response().status == 200
    assert client.ask("/now").body == b"/now"


def test_a_rejected_head_has_no_body(held, serve, connect):
    server, first = occupied(held, serve, connect, overload="reject")
    client = connect(server)
    response = client.ask("/never", method="HEAD")
    assert (response.status, response.get("content-length")) == (503, "19")
    assert client.ask("/never").status == 503
    held.let_go("/first")
    assert first.response().status == 200


def test_the_body_of_a_rejected_request_is_dropped(held, serve, connect):
    server, first = occupied(held, serve, connect, overload="reject")
    client = connect(server)
    client.send(request("/never", "Content-Length: 100000", method="POST"))
    refused(client)
    client.send(b"x" * 100_000)
    client.request("/never", "Transfer-Encoding: chunked", method="POST")
    refused(client)
    client.send(chunked(b"x" * 1000, b"y" * 1000)[:-2] + b"X-Trailer: x\r\n" * 50 + b"\r\n")
    client.request("/never")
    refused(client)
    held.let_go("/first")
    assert first.response().status == 200


def test_a_large_body_of_a_rejected_request_ends_the_connection(held, serve, connect):
    server, first = occupied(held, serve, connect, overload="reject")
    client = connect(server)
    client.send(request("/never", "Content-Length: 100000000", method="POST"))
    refused(client)
    client.send_until_blocked(b"x" * 3_000_000)
    assert client.gone()
    held.let_go("/first")
    assert first.response().status == 200


def test_no_body_is_asked_for_that_is_not_read(held, serve, connect):
    server, first = occupied(held, serve, connect, overload="reject")
    client = connect(server)
    fields = ("Content-Length: 10", "Expect: 100-continue")
    client.request("/never", *fields, method="POST")
    assert refused(client).get("connection") == "close"
    assert client.ended()
    held.let_go("/first")
    assert first.response().status == 200


def test_http_1_0_is_rejected_in_its_own_words(held, serve, connect):
    server, first = occupied(held, serve, connect, overload="reject", retry_after=0)
    client = connect(server)
    client.send(b"GET /never HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert refused(client, None).get("connection") == "keep-alive"
    client.send(b"GET /never HTTP/1.0\r\n\r\n")
    assert refused(client, None).get("connection") == "close"
    assert client.ended()
    held.let_go("/first")
    assert first.response().status == 200


def test_a_flood_is_a_few_lines(held, serve, connect, log):
    server, first = occupied(held, serve, connect, overload="reject")
    client = connect(server)
    client.send(request("/never") * 500)
    for _ in range(500):
        refused(client)
    held.let_go("/first")
    assert first.response().status == 200
    told = [
        line
        for line in log.messages
        if line.endswith(": 503, more requests at once than backpressure allows")
    ]
    assert 10 <= len(told) < 100
    eventually(lambda: any(line.endswith(" more for overload") for line in log.messages))


def test_an_application_that_answers_before_the_body_frees_its_place(serve, connect):
    server = serve(hello, backpressure=1, overload="reject")
    client = connect(server)
    client.send(request("/", "Content-Length: 10", method="POST"))
    assert client.response().status == 200
    assert connect(server).ask().status == 200
    client.send(b"x" * 10)
    assert client.ask().status == 200


def test_a_call_that_runs_on_after_its_response_keeps_its_place(serve, connect):
    seen: list[asyncio.Event] = []

    async def app(scope, receive, send):
        await answer(send, b"hello")
        if scope["path"] == "/background":
            seen.append(asyncio.Event())
            await seen[0].wait()

    server = serve(app, backpressure=1, overload="reject")
    client = connect(server)
    assert client.ask("/background").status == 200
    assert client.ask().status == 503
    inside(server, lambda _: seen[0].set())
    wait_for(server, requests_active=0)
    assert client.ask().status == 200


@pytest.mark.parametrize("how", ["raises", "no answer", "cancelled"])
def test_an_application_that_fails_frees_its_place(serve, connect, how):
    async def app(scope, receive, send):
        await asyncio.sleep(0)
        if how == "raises":
            raise ValueError("on purpose")
        if how == "cancelled":
            raise asyncio.CancelledError

    server = serve(app, backpressure=1, overload="reject")
    for _ in range(3):
        assert connect(server).ask().status == 500
        wait_for(server, requests_active=0)


def test_without_a_limit_nothing_waits(held, serve, connect):
    server = serve(held)
    clients = [connect(server) for _ in range(20)]
    for number, client in enumerate(clients):
        client.request(f"/{number}")
    paths = {held.started.get() for _ in clients}
    for path in paths:
        held.let_go(path)
    for client in clients:
        assert client.response().status == 200


def test_bodies_are_streamed_through_one_place(serve, connect):
    server = serve(echo_body, backpressure=1)
    clients = [connect(server) for _ in range(5)]
    data = b"x" * 200_000
    threads = [
        threading.Thread(
            target=client.request, args=("/",), kwargs={"method": "POST", "body": data}
        )
        for client in clients
    ]
    for thread in threads:
        thread.start()
    for client in clients:
        assert client.response().body == data
    for thread in threads:
        thread.join()
