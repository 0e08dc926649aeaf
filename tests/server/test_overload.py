"""More requests than a worker has places for: who waits, who gets a 503, what never counts."""

from __future__ import annotations

import asyncio
import threading

import pytest

from granite._core.server import Server
from granite.link import Witness
from tests.server.apps import Seen, answer, body_of, echo_body, eventually, hello
from tests.server.inside import counted, durations, inside, wait_for
from tests.server.loops import both_loops
from tests.server.raw import chunked, request


class Held:
    """An application whose calls wait, each until the test lets it go; `/now` is not held."""

    def __init__(self) -> None:
        self.started = Seen()
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}

    async def __call__(self, scope, receive, send):
        data = await body_of(receive)
        event = asyncio.Event()
        with self._lock:
            self._waiting[scope["path"]] = asyncio.get_running_loop(), event
        self.started.put(scope["path"])
        if scope["path"] != "/now":
            await event.wait()
        await answer(send, scope["path"].encode() + data)

    def let_go(self, path: str) -> None:
        with self._lock:
            loop, event = self._waiting.pop(path)
        loop.call_soon_threadsafe(event.set)


@pytest.fixture
def held() -> Held:
    return Held()


def occupied(held, serve, connect, **settings):
    """A server with one place, which /first has."""
    server = serve(held, **{"backpressure": 1, **settings})
    first = connect(server)
    first.request("/first")
    assert held.started.get() == "/first"
    return server, first


def refused(client, retry_after="1"):
    response = client.response()
    assert response.status == 503
    assert response.get("retry-after") == retry_after
    return response


# waiting


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
        await asyncio.sleep(0.002 * places if scope["path"] == "/slow" else 0)
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


# rejecting


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
