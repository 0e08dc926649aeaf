"""More requests than a worker has places for: who waits, how long, and what never counts."""

from __future__ import annotations

import asyncio
import threading

import pytest

from granite._core.server import Server
from granite.link import Witness
from tests.server.apps import answer, eventually, hello
from tests.server.inside import counted, durations, inside, wait_for
from tests.server.loops import both_loops
from tests.server.overload.holding import occupied, refused
from tests.server.raw import chunked, request


@both_loops
def test_requests_wait_in_their_order(held, serve, connect):
    server, first = occupied(held, serve, connect)
    clients = {}
    for number in range(5):
        clients[f"/{number}"] = client = connect(server)
        client.request(f"/{number}")
        wait_for(server, requests_waiting=number + 1)
    assert counted(server)["requests_active"] == 1
    held.let_go("/first")
    assert first.response().body == b"/first"
    for path, client in clients.items():
        assert held.started.get() == path
        assert held.started.empty
        held.let_go(path)
        assert client.response().body == path.encode()
        assert client.ask("/now").body == b"/now" if path == "/4" else True
    numbers = wait_for(server, requests_waiting=0, requests_active=0)
    assert not any(numbers[f"rejected_{of}"] for of in ("overload", "queue_time", "client_gone"))


@both_loops
@pytest.mark.parametrize("places", [1, 2, 7])
def test_never_more_than_the_limit_run(serve, connect, places):
    running, most = 0, 0

    async def app(scope, receive, send):
        nonlocal running, most
        running += 1
        most = max(most, running)
        slow = scope["path"] == "/slow"
        while slow and most < places:  # noqa: ASYNC110 (over WSGI, each call has its own loop)
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.002 * places if slow else 0)
        running -= 1
        await answer(send, b"hello")

    server = serve(app, backpressure=places)
    clients = [connect(server) for _ in range(20)]
    for _ in range(3):
        for number, client in enumerate(clients):
            client.send(request("/slow" if number % 3 else "/") * 4)
        for client in clients:
            for _ in range(4):
                assert client.response().status == 200
    assert most == places
    assert counted(server)["requests_handled"] == 240


def test_idle_connections_do_not_count(serve, connect):
    server = serve(hello, backpressure=1)
    for _ in range(5):
        client = connect(server)
        assert client.ask().status == 200
        assert client.ask().status == 200
    assert server.counters()["connections"] == 5


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [10, 500_000])
def test_the_body_of_a_request_that_waits(held, serve, connect, framing, size):
    server, first = occupied(held, serve, connect)
    client = connect(server)
    data = b"x" * size
    sender = threading.Thread(
        target=client.send,
        args=(
            request("/body", method="POST", body=data)
            if framing == "length"
            else request("/body", "Transfer-Encoding: chunked", method="POST") + chunked(data),
        ),
    )
    sender.start()
    wait_for(server, requests_waiting=1)
    held.let_go("/first")
    assert first.response().status == 200
    assert held.started.get() == "/body"
    held.let_go("/body")
    assert client.response().body == b"/body" + data
    sender.join()
    assert client.ask("/now").status == 200


def test_a_connection_that_waits_reads_no_further_requests(held, serve, connect):
    server, first = occupied(held, serve, connect)
    client = connect(server)
    client.send(request("/a") + request("/now"))
    wait_for(server, requests_waiting=1)
    held.let_go("/first")
    assert held.started.get() == "/a"
    assert held.started.empty
    held.let_go("/a")
    assert client.response().body == b"/a"
    assert client.response().body == b"/now"
    assert first.response().status == 200


@both_loops
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_leaves_the_queue(held, serve, connect, how):
    server, first = occupied(held, serve, connect)
    clients = [connect(server) for _ in range(3)]
    for number, client in enumerate(clients):
        client.request(f"/{number}")
        wait_for(server, requests_waiting=number + 1)
    getattr(clients[1], how)()
    wait_for(server, requests_waiting=2, rejected_client_gone=1)
    held.let_go("/first")
    for path in ("/0", "/2"):
        assert held.started.get() == path
        held.let_go(path)
    assert clients[2].response().status == 200
    assert first.response().status == 200
    assert counted(server)["requests_handled"] == 3


def test_a_half_closed_client_hears_that_it_was_not_served(held, serve, connect):
    server, first = occupied(held, serve, connect)
    client = connect(server)
    client.request("/never")
    client.end()
    assert refused(client).get("connection") == "close"
    assert client.ended()
    wait_for(server, requests_waiting=0, rejected_client_gone=1)
    held.let_go("/first")
    assert first.response().status == 200


def test_a_client_that_leaves_when_its_turn_has_come_gives_its_place_back(serve, connect):
    """All of it happens in one turn of the event loop: places are handed on all the same."""

    async def app(scope, receive, send):
        await asyncio.sleep(0.001)
        await answer(send, b"hello")

    server = serve(app, backpressure=1)
    for _ in range(10):
        clients = [connect(server) for _ in range(10)]
        for client in clients:
            client.request()
        for client in clients[::2]:
            client.reset()
        for client in clients[1::2]:
            assert client.response().status == 200
    wait_for(server, requests_waiting=0, requests_active=0)
    assert connect(server).ask().status == 200


def test_a_bad_body_of_a_request_that_waits_is_refused(held, serve, connect):
    server, first = occupied(held, serve, connect, max_body_size=100)
    bad, large = connect(server), connect(server)
    for client in (bad, large):
        client.send(request("/never", "Transfer-Encoding: chunked", method="POST"))
    wait_for(server, requests_waiting=2)
    bad.send(b"nonsense\r\n")
    assert bad.response().status == 400
    large.send(chunked(b"x" * 200))
    assert large.response().status == 413
    numbers = wait_for(server, requests_waiting=0, rejected_bad_request=1, rejected_body_size=1)
    assert numbers["rejected_client_gone"] == 0
    held.let_go("/first")
    assert first.response().status == 200
    assert counted(server)["requests_handled"] == 1


def test_a_truncated_body_of_a_request_that_waits_is_refused(held, serve, connect):
    server, first = occupied(held, serve, connect)
    client = connect(server)
    client.send(request("/never", "Content-Length: 10", method="POST") + b"half")
    wait_for(server, requests_waiting=1)
    client.end()
    assert client.response().status == 400
    held.let_go("/first")
    assert first.response().status == 200


def test_the_wait_is_in_the_histogram_of_the_queue(held, serve, connect):
    server, first = occupied(held, serve, connect, metrics=True)
    client = connect(server)
    client.request("/second")
    wait_for(server, requests_waiting=1)
    threading.Event().wait(0.2)
    held.let_go("/first")
    assert held.started.get() == "/second"
    held.let_go("/second")
    assert client.response().status == 200
    _, microseconds = durations(server, "queue_time")
    assert microseconds >= 150_000
    assert first.response().status == 200


def test_a_request_that_waits_is_told_of(held, serve, connect):
    server, first = occupied(held, serve, connect)
    client = connect(server)
    client.request("/second")
    wait_for(server, requests_waiting=1)
    assert inside(server, lambda core: core.waiting) == 1
    assert [path for _, path, _ in inside(server, Server.in_flight)] == ["/first"]
    witness = Witness(-1, lambda: None)
    witness.serving = server._serving
    assert "Requests in flight: 1\n" in inside(server, lambda _: witness._in_flight())
    assert "and 1 that wait for their turn" in inside(server, lambda _: witness._in_flight())
    held.let_go("/first")
    assert held.started.get() == "/second"
    held.let_go("/second")
    assert client.response().status == first.response().status == 200


@both_loops
def test_a_drain_serves_what_waits(held, serve, connect):
    server, first = occupied(held, serve, connect, graceful_timeout=5.0)
    client = connect(server)
    client.request("/second")
    wait_for(server, requests_waiting=1)
    stopped = threading.Event()
    inside(server, lambda core: core.drain(stopped.set))
    held.let_go("/first")
    assert first.response().get("connection") == "close"
    assert held.started.get() == "/second"
    assert not stopped.is_set()
    held.let_go("/second")
    assert client.response().get("connection") == "close"
    eventually(stopped.is_set)


def test_closing_drops_what_waits(held, serve, connect):
    server, first = occupied(held, serve, connect)
    clients = [connect(server) for _ in range(3)]
    for client in clients:
        client.request("/never")
    wait_for(server, requests_waiting=3)
    inside(server, lambda core: asyncio.get_running_loop().call_soon(core.close))
    for client in (first, *clients):
        assert client.gone()
    assert counted(server)["requests_waiting"] == 0


# how long


@both_loops
def test_what_waits_too_long_is_turned_away(held, serve, connect):
    server, first = occupied(held, serve, connect, max_queue_time=0.1, retry_after=7)
    clients = [connect(server) for _ in range(3)]
    for client in clients:
        client.request("/never")
    for client in clients:
        assert refused(client, "7").get("connection") is None
    wait_for(server, requests_waiting=0, rejected_queue_time=3)
    held.let_go("/first")
    assert first.response().status == 200
    for client in clients:  # their connections are as good as before
        assert client.ask("/now").status == 200
    assert counted(server)["requests_handled"] == 4


def test_the_body_of_what_waited_too_long_is_dropped(held, serve, connect):
    server, first = occupied(held, serve, connect, max_queue_time=0.1)
    complete, late, waiting = (connect(server) for _ in range(3))
    complete.send(request("/never", method="POST", body=b"hello"))
    late.send(request("/never", "Content-Length: 10", method="POST") + b"hello")
    fields = ("Content-Length: 10", "Expect: 100-continue")
    waiting.send(request("/never", *fields, method="POST"))
    assert refused(complete).get("connection") is None
    assert refused(late).get("connection") is None
    assert refused(waiting).get("connection") == "close"
    assert waiting.ended()
    late.send(b"world")
    held.let_go("/first")
    assert first.response().status == 200
    for client in (complete, late):
        assert client.ask("/now").status == 200


def test_what_waits_in_time_is_served(held, serve, connect):
    server, first = occupied(held, serve, connect, max_queue_time=30)
    client = connect(server)
    client.request("/second")
    wait_for(server, requests_waiting=1)
    held.let_go("/first")
    assert held.started.get() == "/second"
    held.let_go("/second")
    assert client.response().status == first.response().status == 200
