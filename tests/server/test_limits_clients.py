"""Limits of connections and of clients: how many there are, and how much an address may ask."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, answer, eventually, hello
from tests.server.conftest import Serve
from tests.server.inside import counted, wait_for
from tests.server.loops import both_loops
from tests.server.raw import Client, request

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only there all of 127.0.0.0/8 is the loopback"
)


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """As everywhere, but that nobody is a proxy: by default the loopback is."""

    def started(app, **settings):
        return serve(app, **{"forwarded_allow_ips": "", **settings})

    return started


@pytest.fixture
def come(serve) -> Iterator:
    """A function that connects from the address 127.0.0.`number`."""
    with ExitStack() as stack:

        def come(server, number=1) -> Client:
            client = Client(server.host, server.port, source=f"127.0.0.{number}")
            stack.callback(client.close)
            return client

        yield come


def turned_away(client, retry_after="1"):
    response = client.response()
    assert (response.status, response.get("retry-after")) == (429, retry_after)
    return response


# connections of a worker


@both_loops
def test_more_connections_than_allowed_wait(come, serve, log):
    server = serve(hello, max_connections=2)
    first, second = come(server), come(server)
    assert first.ask().status == second.ask().status == 200
    waiting = [come(server) for _ in range(3)]
    for client in waiting:
        client.request()
    assert waiting[0].silent(0.2)
    eventually(lambda: counted(server)["accept_pauses"])
    assert counted(server)["connections_active"] == 2
    assert first.ask().status == 200
    first.close()
    assert waiting[0].response().status == 200
    assert waiting[1].silent(0.1)
    second.close()
    waiting[0].close()
    for client in waiting[1:]:
        assert client.response().status == 200
    told = [line for line in log.messages if line.startswith("max_connections: 2 are open")]
    assert len(told) == 1


def test_connections_come_and_go_at_the_limit(serve, connect):
    server = serve(hello, max_connections=3)

    def visit():
        for _ in range(20):
            client = Client(server.host, server.port)
            assert client.ask().status == 200
            client.close()

    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(server)["connections_handled"] == 160
    eventually(lambda: server.counters()["connections"] == 0)


def test_a_drain_with_connections_in_the_queue(come, serve):
    server = serve(hello, max_connections=1)
    first, waiting = come(server), come(server)
    assert first.ask().status == 200
    waiting.request()
    wait_for(server, accept_pauses=1)


# connections of an address


@both_loops
def test_connections_of_an_address(come, serve):
    server = serve(hello, max_connections_per_ip=2)
    kept = [come(server) for _ in range(2)]
    for client in kept:
        assert client.ask().status == 200
    response = turned_away(come(server))
    assert response.get("connection") == "close"
    assert response.body == b"Too Many Requests"
    assert come(server, 2).ask().status == 200
    for client in kept:
        assert client.ask().status == 200
    kept[0].close()
    wait_for(server, connections_active=2)
    assert come(server).ask().status == 200
    turned_away(come(server))
    numbers = wait_for(server, rejected_connections_per_ip=2)
    assert numbers["connections_handled"] == 4
    assert numbers["responses_http1_4xx"] == 2


def test_a_client_that_has_asked_already_reads_the_answer(come, serve):
    server = serve(hello, max_connections_per_ip=1)
    assert come(server).ask().status == 200
    for _ in range(50):
        client = Client.__new__(Client)
        client.__dict__.update(come(server).__dict__)
        client.request()
        turned_away(client)
    url = f"http://{server.host}:{server.port}/"
    with httpx.Client(trust_env=False) as visitor:
        assert visitor.get(url).status_code == 429


def test_a_flood_of_connections_is_a_few_lines(come, serve, log):
    server = serve(hello, max_connections_per_ip=1)
    assert come(server).ask().status == 200
    for _ in range(100):
        turned_away(come(server))
    lines = [
        line
        for line in log.messages
        if line.endswith(": 429, more connections than max_connections_per_ip")
    ]
    assert 10 <= len(lines) < 100
    assert lines[0].startswith("127.0.0.1:")


def test_ipv6_counts_by_network(serve, connect):
    try:
        server = serve(hello, max_connections_per_ip=2, bind="[::1]:0")
    except OSError:
        pytest.skip("no IPv6")
    clients = [connect(server) for _ in range(2)]
    for client in clients:
        assert client.ask().status == 200
    turned_away(connect(server))


def test_an_ipv4_client_of_an_ipv6_socket_is_the_same_client(serve):
    try:
        server = serve(hello, max_connections_per_ip=1, bind="[::]:0")
    except OSError:
        pytest.skip("no IPv6")
    with ExitStack() as stack:

        def come(source: str) -> Client:
            client = Client("127.0.0.1", server.port, source=source)
            stack.callback(client.close)
            return client

        assert come("127.0.0.1").ask().status == 200
        turned_away(come("127.0.0.1"))
        assert come("127.0.0.2").ask().status == 200


def test_unix_sockets_have_no_address(serve, tmp_path):
    server = serve(
        hello, uds=str(tmp_path / "sock"), max_connections_per_ip=1, max_requests_per_ip="1/m"
    )
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(tmp_path / "sock"))) as client:
        for _ in range(5):
            assert client.get("http://test/").status_code == 200
    with ExitStack() as stack:
        for _ in range(5):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(str(tmp_path / "sock"))
            sock.sendall(request())
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
    assert server is not None


# requests of an address


@both_loops
def test_requests_of_an_address(come, serve):
    server = serve(hello, max_requests_per_ip="1/m", max_requests_per_ip_burst=5)
    first, second = come(server), come(server)
    statuses = [client.ask().status for client in (first, second) * 5]
    assert statuses == [200] * 5 + [429] * 5  # all connections together
    assert come(server, 2).ask().status == 200
    numbers = counted(server)
    assert numbers["rejected_requests_per_ip"] == 5
    assert numbers["requests_handled"] == 6


def test_the_rate_comes_back(come, serve):
    server = serve(hello, max_requests_per_ip=20, max_requests_per_ip_burst=1)
    client = come(server)
    began = time.monotonic()
    served = 0
    while served < 10:
        client.request()
        response = client.response()
        served += response.status == 200
        assert response.get("connection") is None
    # Nine intervals, but for the coarseness of the clock.
    assert 0.35 < time.monotonic() - began < PATIENCE


def test_the_burst_of_a_second_is_the_default(come, serve):
    server = serve(hello, max_requests_per_ip=7)
    client = come(server)
    client.send(request() * 7)
    for _ in range(7):
        assert client.response().status == 200


def test_pipelined_requests_and_their_bodies(come, serve):
    server = serve(hello, max_requests_per_ip="1/m", max_requests_per_ip_burst=3)
    client = come(server)
    client.send(request("/", method="POST", body=b"x" * 100) * 20)
    assert [client.response().status for _ in range(20)] == [200] * 3 + [429] * 17
    assert client.silent(0.02)


def test_retry_after_is_when_a_request_is_welcome(come, serve):
    server = serve(hello, max_requests_per_ip="1/m", max_requests_per_ip_burst=1)
    client = come(server)
    assert client.ask().status == 200
    client.request()
    response = client.response()
    assert response.status == 429
    assert 30 < int(response.get("retry-after")) <= 60


def test_one_per_second_says_so(come, serve):
    server = serve(hello, max_requests_per_ip=1)
    client = come(server)
    client.send(request() * 3)
    assert client.response().status == 200
    turned_away(client)


def test_what_is_over_the_rate_does_not_wait_for_a_place(come, serve):
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/wait":
            await gate.wait()
        await answer(send, b"hello")

    server = serve(app, backpressure=1, max_requests_per_ip="1/m", max_requests_per_ip_burst=1)
    first, second = come(server, 1), come(server, 2)
    first.request("/wait")
    assert gate.reached.wait(PATIENCE)
    second.request()
    wait_for(server, requests_waiting=1)
    turned_away_client = come(server, 2)
    assert turned_away_client.ask().status == 429
    gate.open()
    assert first.response().status == second.response().status == 200


# behind a proxy


PROXIED = {"forwarded_allow_ips": "127.0.0.1", "max_connections_per_ip": 1}


def told_by_proxy(number):
    return f"X-Forwarded-For: 203.0.113.{number}"


def test_a_proxy_is_no_client(come, serve):
    server = serve(hello, max_requests_per_ip="1/m", **PROXIED)
    for _ in range(3):
        client = come(server)
        for _ in range(3):
            assert client.ask().status == 200
    other = come(server, 2)
    assert other.ask().status == 200
    assert other.ask().status == 429
    turned_away(come(server, 2))
    assert server.counters()["addresses"] == 1


def test_the_rate_is_that_of_the_client_behind_the_proxy(come, serve):
    server = serve(hello, max_requests_per_ip="1/m", max_requests_per_ip_burst=2, **PROXIED)
    first, second = come(server), come(server)
    statuses = [client.ask("/", told_by_proxy(1)).status for client in (first, second) * 2]
    assert statuses == [200, 200, 429, 429]
    assert first.ask("/", told_by_proxy(2)).status == 200
    # Who is no proxy cannot speak for others.
    liar = come(server, 2)
    statuses = [liar.ask("/", told_by_proxy(number)).status for number in (3, 4, 5)]
    assert statuses == [200, 200, 429]
    assert first.ask("/", told_by_proxy(3)).status == 200


def test_many_clients_behind_a_proxy_and_a_small_table(come, serve):
    server = serve(hello, max_requests_per_ip="1/m", ip_table_size=5, **PROXIED)
    proxy = come(server)
    statuses = [proxy.ask("/", told_by_proxy(number)).status for number in range(50)]
    assert statuses == [200] * 50
    recent = [proxy.ask("/", told_by_proxy(number)).status for number in (49, 45, 44)]
    assert recent == [429, 429, 200]


# the table


def test_an_address_gives_way_to_others(come, serve):
    server = serve(hello, max_requests_per_ip="1/m", max_requests_per_ip_burst=1, ip_table_size=3)

    def visit(number):
        client = come(server, number)
        status = client.ask().status
        client.close()
        eventually(lambda: server.counters()["connections"] == 0)
        return status

    assert [visit(1), visit(2), visit(3), visit(1)] == [200, 200, 200, 429]
    assert visit(4) == 200  # in the place of the second
    assert [visit(1), visit(3), visit(4)] == [429, 429, 429]
    assert visit(2) == 200


def test_an_address_with_connections_keeps_its_place(come, serve):
    server = serve(hello, max_requests_per_ip="1/m", max_requests_per_ip_burst=1, ip_table_size=2)
    kept = come(server, 1)
    assert kept.ask().status == 200
    for number in range(2, 20):
        client = come(server, number)
        assert client.ask().status == 200
        client.close()
        eventually(lambda: server.counters()["connections"] == 1)
    assert kept.ask().status == 429
    assert come(server, 1).ask().status == 429
    assert server.counters()["addresses"] == 1


def test_more_addresses_than_places_are_let_in(come, serve):
    server = serve(hello, max_connections_per_ip=1, ip_table_size=2)
    clients = [come(server, number) for number in range(1, 6)]
    for client in clients:
        assert client.ask().status == 200
    turned_away(come(server, 1))
    assert come(server, 5).ask().status == 200  # not known
    for client in clients:
        client.close()
    eventually(lambda: server.counters()["addresses"] == 0)


@pytest.mark.parametrize("size", [1, 5, 64])
def test_many_addresses_in_a_small_table(come, serve, size):
    server = serve(hello, max_connections_per_ip=2, ip_table_size=size)
    for _ in range(3):
        clients = [come(server, number) for number in range(1, 60)]
        for client in clients[::2]:
            client.ask()
        for client in clients:
            client.close()
    eventually(lambda: server.counters()["addresses"] == 0)
    assert come(server, 1).ask().status == 200
