"""What the server counts, and the durations that it measures where metrics are on."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time

import httpx
import pytest

from granite import snapshot
from granite._core.server import Server
from granite.snapshot import HANDSHAKE_FAILURES
from tests.patience import PATIENCE
from tests.server.apps import Gate, answer, body, body_of, hello, start
from tests.server.inside import counted, durations, inside, wait_for
from tests.server.loops import both_loops
from tests.server.raw import request

HISTOGRAMS = ("latency", "queue_time", "loop_lag")


async def by_path(scope, receive, send):
    """Answer with the status that the path says."""
    await answer(send, b"", status=int(scope["path"][1:]))


def test_a_server_that_has_done_nothing(serve):
    served = serve(hello, metrics=True)
    message = inside(served, Server.snapshot)
    assert len(message) == snapshot.SIZE
    assert not any(snapshot.unpack(message))


@both_loops
def test_connections_and_requests(serve, connect):
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/wait":
            await gate.wait()
        await answer(send, b"hello")

    served = serve(app)
    client, other = connect(served), connect(served)
    for _ in range(3):
        assert client.ask().status == 200
    client.request("/wait")
    assert gate.reached.wait(PATIENCE)
    numbers = wait_for(served, connections_handled=2)
    assert numbers["connections_active"] == 2
    assert numbers["requests_active"] == 1
    assert numbers["requests_handled"] == 4
    assert numbers["responses_http1_2xx"] == 3
    gate.open()
    assert client.response().status == 200
    numbers = counted(served)
    assert numbers["requests_active"] == 0
    assert numbers["requests_handled"] == numbers["responses_http1_2xx"] == 4
    for end in (client, other):
        end.close()
    numbers = wait_for(served, connections_active=0)
    assert numbers["connections_handled"] == 2
    assert numbers["connections_err"] == 0


def test_responses_by_class(connect, serve):
    served = serve(by_path)
    client = connect(served)
    statuses = [200, 204, 301, 304, 404, 418, 499, 500, 599, 600, 999]
    for status in statuses:
        assert client.ask(f"/{status}").status == status
    numbers = counted(served)
    counts = [numbers[f"responses_http1_{of}"] for of in snapshot.CLASSES]
    assert counts == [0, 2, 2, 3, 4]  # what is beyond 599 is an error, too
    assert not any(
        numbers[f"responses_{protocol}_{of}"]
        for protocol in ("http2", "websocket")
        for of in snapshot.CLASSES
    )


def test_an_interim_response_and_a_failed_application_are_counted(connect, serve):
    async def app(scope, receive, send):
        await body_of(receive)
        await send(start(200))
        raise ValueError("before anything has left")

    served = serve(app)
    client = connect(served)
    client.send(
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
    )
    assert client.response().status == 100
    client.send(b"x")
    assert client.response().status == 500
    numbers = counted(served)
    counts = [numbers[f"responses_http1_{of}"] for of in snapshot.CLASSES]
    assert counts == [1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000, 431, "head_size"),
    ],
)
def test_rejected_requests(connect, serve, sent, status, reason):
    served = serve(hello)
    client = connect(served)
    client.send(sent)
    assert client.response().status == status
    numbers = counted(served)
    assert {of: numbers[of] for of in snapshot.REJECTIONS if numbers[of]} == {
        f"rejected_{reason}": 1
    }
    assert numbers["requests_handled"] == 0
    assert numbers[f"responses_http1_{status // 100}xx"] == 1


def test_a_request_whose_body_is_cut_is_rejected_after_it_was_handled(connect, serve):
    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    served = serve(app)
    client = connect(served)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfive!")
    client.end()
    assert client.response().status == 400
    numbers = wait_for(served, requests_active=0)
    assert (numbers["requests_handled"], numbers["rejected_bad_request"]) == (1, 1)


@both_loops
@pytest.mark.parametrize("size", [0, 10, 100_000, 5_000_000])
def test_bytes_in_and_out(connect, serve, size):
    async def app(scope, receive, send):
        await body_of(receive)
        await answer(send, b"y" * size)

    served = serve(app)
    client = connect(served)
    asked = request("/", method="POST", body=b"x" * size)
    client.send(asked)
    answered = bytes(client.until(b"\r\n\r\n")) + b"\r\n\r\n"
    assert len(client.read(size)) == size
    # The last bytes may have arrived before libuv has told that they left.
    wait_for(served, bytes_received=len(asked), bytes_sent=len(answered) + size)


def test_a_streamed_response_is_counted_as_it_leaves(connect, serve):
    gate = Gate()

    async def app(scope, receive, send):
        await send(start(200, (b"content-length", b"2000")))
        await send(body(b"x" * 1000, more=True))
        await gate.wait()
        await send(body(b"x" * 1000))

    served = serve(app)
    client = connect(served)
    client.request()
    head = bytes(client.until(b"\r\n\r\n")) + b"\r\n\r\n"
    client.read(1000)
    assert gate.reached.wait(PATIENCE)
    wait_for(served, bytes_sent=len(head) + 1000)
    gate.open()
    client.read(1000)
    wait_for(served, bytes_sent=len(head) + 2000)


@both_loops
def test_over_tls_bytes_are_those_of_http(serve, authority):
    async def app(scope, receive, send):
        await body_of(receive)
        await answer(send, b"y" * 1_000_000)

    served = serve(app, **authority.settings)
    asked = request("/", method="POST", body=b"x" * 300_000)
    with (
        socket.create_connection((served.host, served.port), 30) as plain,
        authority.trusting().wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(asked)
        answered = b""
        while b"\r\n\r\n" not in answered:
            answered += sock.recv(65536)
        whole = answered.index(b"\r\n\r\n") + 4 + 1_000_000
        while len(answered) < whole:
            answered += sock.recv(65536)
        numbers = wait_for(served, bytes_received=len(asked), bytes_sent=whole)
    assert numbers["tls_handshakes"] == 1
    assert failures(numbers) == {}


def failures(numbers: dict[str, int]) -> dict[str, int]:
    """Return how many handshakes have failed, by reason."""
    found = {reason: numbers[f"tls_handshakes_failed_{reason}"] for reason in HANDSHAKE_FAILURES}
    return {reason: count for reason, count in found.items() if count}


def test_tls_handshakes_that_fail(serve, authority):
    served = serve(hello, **authority.settings)
    with httpx.Client(verify=authority.trusting()) as client:
        assert client.get(served.url("/")).status_code == 200
    # A client that does not trust the certificate.
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.url("/"), verify=ssl.create_default_context())
    # One that speaks something else, one that leaves within, one that does not begin.
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""):
        with socket.create_connection((served.host, served.port), 30) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1000):
                pass
    numbers = wait_for(served, connections_active=0, connections_handled=5)
    assert numbers["tls_handshakes"] == 1
    assert failures(numbers) == {"unknown_ca": 1, "plain_http": 1, "closed": 1}


def test_a_reset_connection_is_an_error_and_an_end_is_none(connect, serve):
    served = serve(hello)
    client, other = connect(served), connect(served)
    client.ask()
    other.ask()
    other.close()
    client.reset()
    numbers = wait_for(served, connections_active=0)
    assert numbers["connections_err"] == 1


# durations


def test_without_metrics_nothing_is_measured(connect, serve):
    served = serve(hello)
    connect(served).ask()
    for name in HISTOGRAMS:
        assert not any(durations(served, name)[0])


@both_loops
def test_durations(connect, serve):
    async def app(scope, receive, send):
        await asyncio.sleep(0.02)
        await answer(send, b"hello")

    served = serve(app, metrics=True)
    client = connect(served)
    for _ in range(3):
        client.ask()
    buckets, total = durations(served, "latency")
    assert sum(buckets) == 3
    assert not any(buckets[:6])  # nothing up to 10 ms
    assert total >= 3 * 19_000
    buckets, total = durations(served, "queue_time")
    assert sum(buckets) == 3
    assert 0 < total < 3 * 60_000_000


def test_a_request_that_waits_for_the_one_before_it_waits_in_the_queue(connect, serve):
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/first":
            await gate.wait()
        await answer(send, b"hello")

    served = serve(app, metrics=True)
    client = connect(served)
    client.send(request("/first") + request("/second"))
    assert gate.reached.wait(PATIENCE)
    time.sleep(0.06)
    gate.open()
    assert [client.response().status for _ in range(2)] == [200, 200]
    buckets, total = durations(served, "queue_time")
    assert sum(buckets) == 2
    assert total >= 60_000
    buckets, total = durations(served, "latency")
    assert sum(buckets) == 2
    assert 60_000 <= total < 60_000_000


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (-1.0, 0),
        (0.0, 0),
        (0.0001, 0),
        (0.000101, 1),
        (0.1, 9),
        (0.1001, 10),
        (10.0, 15),
        (10.001, 16),
        (3600.0, 16),
    ],
)
def test_the_lag_of_the_loop(serve, seconds, bucket):
    served = serve(hello)
    inside(served, lambda server: server.note_lag(seconds))
    buckets, total = durations(served, "loop_lag")
    assert [number for number, count in enumerate(buckets) if count] == [bucket]
    assert total == pytest.approx(max(seconds, 0) * 1e6, abs=1)


# requests in flight


@both_loops
def test_requests_in_flight(connect, serve):
    gates = {f"/{number}": Gate() for number in range(3)}

    async def app(scope, receive, send):
        if scope["path"] in gates:
            await gates[scope["path"]].wait()
        await answer(send, b"hello")

    served = serve(app)
    assert inside(served, Server.in_flight) == []
    clients = [connect(served) for _ in gates]
    for client, path in zip(clients, gates, strict=True):
        client.request(f"{path}?query", method="POST")
        assert gates[path].reached.wait(PATIENCE)
    connect(served).ask("/other")
    told = inside(served, Server.in_flight)
    assert [(method, path) for method, path, _ in told] == [
        ("POST", "/0"),
        ("POST", "/1"),
        ("POST", "/2"),
    ]
    ages = [seconds for _, _, seconds in told]
    assert ages == sorted(ages, reverse=True)
    assert all(0 <= seconds < 60 for seconds in ages)
    left = set(gates)
    for number in (1, 0, 2):  # from the middle, the front and the end
        gates[f"/{number}"].open()
        assert clients[number].response().status == 200
        left -= {f"/{number}"}
        wait_for(served, requests_active=len(left))
        assert {path for _, path, _ in inside(served, Server.in_flight)} == left
    assert inside(served, Server.in_flight) == []


def test_at_most_a_hundred_in_flight_are_told(connect, serve):
    started = threading.Semaphore(0)
    futures = []

    async def app(scope, receive, send):
        futures.append(asyncio.get_running_loop().create_future())
        started.release()
        await futures[-1]
        await answer(send, b"hello")

    def let_go(server: Server) -> None:
        for future in futures:
            future.set_result(None)

    served = serve(app)
    clients = []
    for number in range(105):
        clients.append(connect(served))
        clients[-1].request(f"/{number}")
        assert started.acquire(timeout=PATIENCE)
    told = inside(served, Server.in_flight)
    assert [path for _, path, _ in told] == [f"/{number}" for number in range(100)]
    inside(served, let_go)
    for client in clients:
        assert client.response().status == 200
    wait_for(served, requests_active=0)


def test_a_request_whose_call_blocks_the_loop_is_in_flight(connect, serve):
    told = []

    async def app(scope, receive, send):
        # What a signal handler that interrupts it would see.
        told.append(served._serving.server.in_flight())
        await answer(send, b"hello")

    served = serve(app)
    assert connect(served).ask("/blocks").status == 200
    assert [(method, path) for method, path, _ in told[0]] == [("GET", "/blocks")]
