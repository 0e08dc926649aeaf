"""The metrics' port over real sockets, with good clients and bad ones."""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import struct
import threading
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from granite.arbiter.poller import Poller
from granite.errors import BootError
from granite.metrics import clients
from granite.metrics.exporter import Exporter
from granite.settings.config import Config
from tests.patience import PATIENCE
from tests.unit.metrics.views import FakeView, one_to_n, open_files, read_all, running

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def server():
    view = FakeView({1: 100, 2: 200})
    view.totals.beat(1, 100, one_to_n())
    with running(view) as found:
        yield found


def read_answer(client: socket.socket) -> tuple[int, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(1)
        assert part, data
        data += part
    length = int(data.lower().partition(b"content-length: ")[2].split()[0])
    body = b""
    while len(body) < length:
        body += client.recv(length - len(body))
    return int(data.split()[1]), body


def ended(client: socket.socket) -> bool:
    """Wait until the server ends the connection; say whether it was without a reset."""
    try:
        return read_all(client) == b""
    except ConnectionResetError:
        return False


def test_the_four_answers(server):
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        metrics = client.get("/metrics")
        assert metrics.status_code == 200
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert len(list(text_string_to_metric_families(metrics.text))) > 30
        stats = client.get("/stats")
        assert stats.headers["content-type"] == "application/json"
        assert stats.json()["workers"][0]["pid"] == 100
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").text == "ready\n"
        assert client.get("/").status_code == 404
        assert "/metrics" in client.get("/metric").text
        post = client.post("/metrics", content=b"x" * 100_000)
        assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")
        head = client.head("/metrics")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 1000
    assert json.loads(server.get("/stats?x=y")[1])["ready"] is True


def test_not_ready(server):
    server.view.ready, server.view.reason = False, "1 of 2 workers ready"
    assert server.get("/readyz") == (503, "not ready: 1 of 2 workers ready\n")
    assert server.get("/healthz") == (200, "ok\n")
    assert json.loads(server.get("/stats")[1])["reason"] == "1 of 2 workers ready"
    server.view.ready = True
    assert server.get("/readyz") == (200, "ready\n")


def test_a_failure_of_the_view_is_answered_and_survived(server):
    def fail():
        raise RuntimeError("no such thing")

    server.view.workers = fail
    assert server.get("/metrics") == (500, "RuntimeError: no such thing\n")
    assert server.get("/healthz") == (200, "ok\n")


def test_a_connection_stays(server):
    with server.connect() as client:
        for _ in range(3):
            client.sendall(GET)
            assert read_answer(client) == (200, b"ok\n")
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_answer(client)[0] == 404
        assert ended(client)


def test_a_request_byte_by_byte(server):
    with server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in LAST:
            client.send(bytes([byte]))
        assert read_answer(client) == (200, b"ok\n")
        assert ended(client)


def test_pipelined_requests_are_answered_in_order(server):
    paths = ["/healthz", "/x", "/readyz", "/metrics", "/healthz"] * 20
    requests = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths]
    with server.connect() as client:
        client.sendall(b"".join(requests))
        expected = {"/x": 404}
        assert [read_answer(client)[0] for _ in paths] == [expected.get(p, 200) for p in paths]
        client.sendall(LAST + GET)
        assert read_answer(client)[0] == 200
        assert ended(client), "what follows the last request is dropped, not reset"


def test_others_are_answered_between_pipelined_requests(server):
    """A turn of the loop answers one request of a connection."""
    sent, answered = threading.Event(), threading.Event()
    waits = {1: sent, 100: answered}
    calls, waited = itertools.count(1), []
    workers = server.view.workers

    def look():
        if event := waits.get(next(calls)):
            waited.append(event.wait(PATIENCE))
        return workers()

    with server.connect() as many, server.connect() as one:
        one.sendall(GET)
        read_answer(one)
        turns = server.turns
        server.view.workers = look
        many.sendall(b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        one.sendall(GET)
        sent.set()
        assert read_answer(one)[0] == 200
        answered.set()
        assert [read_answer(many)[0] for _ in range(200)] == [200] * 200
        assert waited == [True, True]
        assert server.turns - turns >= 190  # the last ones may be counted a moment later


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
def test_bad_requests_are_told_and_closed(server, data, status):
    with server.connect() as client:
        client.sendall(data)
        answered, text = read_answer(client)
        assert (answered, text[:9]) == (status, b"expected ")
        assert ended(client)
    assert server.get("/healthz")[0] == 200


def test_a_client_that_ends_its_side(server):
    with server.connect() as client:
        client.sendall(GET)
        client.shutdown(socket.SHUT_WR)
        assert read_answer(client) == (200, b"ok\n")
        assert ended(client)


def test_resets_are_survived(server):
    for data in (b"", GET[:10], GET, GET * 100, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50):
        for _ in range(20):
            client = server.connect()
            client.sendall(data)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
    assert server.get("/healthz") == (200, "ok\n")


def test_a_client_that_does_not_read_holds_nobody_up(server):
    """Its answers wait for it, no more of its requests are read, and then it is closed."""
    with server.connect() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(0.2)
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100
        with pytest.raises(TimeoutError):  # noqa: PT012
            for _ in range(10_000):
                slow.sendall(request)
        assert server.get("/healthz") == (200, "ok\n")
        slow.settimeout(PATIENCE)
        assert b"200 OK" in slow.recv(4096)


def test_a_client_that_never_reads_is_closed(monkeypatch):
    monkeypatch.setattr(clients, "_SEND_TIME", 0.2)
    with running() as server, server.connect() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100
        with pytest.raises(ConnectionError):  # noqa: PT012
            for _ in range(100_000):
                slow.sendall(request)
        assert server.get("/healthz") == (200, "ok\n")


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: "])
def test_who_is_too_slow_with_a_head_is_closed(monkeypatch, sent):
    monkeypatch.setattr(clients, "_HEAD_TIME", 0.2)
    begun = time.monotonic()
    with running() as server, server.connect() as client:
        client.sendall(sent)
        late = time.monotonic() - begun >= 0.2  # what comes after the end is reset
        assert ended(client) or late


def test_a_dribbling_client_gets_no_more_time(monkeypatch):
    monkeypatch.setattr(clients, "_HEAD_TIME", 0.5)
    with running() as server, server.connect() as client:
        started = time.monotonic()
        client.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        while not select.select([client], [], [], 0.05)[0]:
            client.sendall(b"x")
            assert time.monotonic() - started < PATIENCE


def test_an_idle_connection_is_closed(monkeypatch):
    monkeypatch.setattr(clients, "_IDLE_TIME", 0.1)
    with running() as server, server.connect() as client:
        client.sendall(GET)
        assert read_answer(client)[0] == 200
        assert ended(client)


def test_a_client_that_never_closes_is_closed(monkeypatch):
    monkeypatch.setattr(clients, "_LINGER_TIME", 0.2)
    with running() as server, server.connect() as client:
        client.sendall(LAST)
        assert read_answer(client)[0] == 200
        assert ended(client)
        deadline = time.monotonic() + PATIENCE
        with pytest.raises(OSError):  # noqa: PT012
            while time.monotonic() < deadline:
                client.sendall(b"x")
                time.sleep(0.01)


def test_many_connections_leave_room_for_a_probe(server):
    before = open_files()
    crowd = [server.connect() for _ in range(200)]
    try:
        for client in crowd[:100]:
            client.sendall(b"GET /hea")
        assert server.get("/healthz") == (200, "ok\n")
        assert open_files() - before <= 200 + clients._MOST + 1
        # The one that was heard last is still served.
        crowd[-1].sendall(GET)
        assert read_answer(crowd[-1])[0] == 200
    finally:
        for client in crowd:
            client.close()


def test_many_at_once(server):
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(20):
                assert server.get("/readyz") == (200, "ready\n")
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert failures == []


def test_without_descriptors_it_waits_and_goes_on(server, monkeypatch):
    calls = []
    real = server.exporter._socket

    class Full:
        def _accept(self):
            calls.append(1)
            raise OSError(24, "Too many open files")

        def __getattr__(self, name):
            return getattr(real, name)

    monkeypatch.setattr("granite.metrics.exporter._PAUSE", 0.2)
    server.exporter._socket = Full()
    begun = time.monotonic()
    with server.connect() as client:
        client.sendall(LAST)
        while len(calls) < 3:
            assert time.monotonic() < begun + PATIENCE
            time.sleep(0.01)
        assert len(calls) < 17 + (time.monotonic() - begun) / 0.2, "it does not spin"
        server.exporter._socket = real
        assert read_answer(client) == (200, b"ok\n")


def test_the_address_is_in_use():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BootError) as caught:
            Exporter(Config(metrics_port=port), Poller(), FakeView())
    assert str(caught.value) == (
        f"cannot serve metrics on 127.0.0.1:{port}: address already in use; "
        "see metrics_address and metrics_port"
    )


@pytest.mark.parametrize("address", ["192.0.2.1", "no-such-host.invalid", "x" * 70, "ü..x"])
def test_an_address_that_cannot_be_had(address):
    with pytest.raises(BootError, match=r"^cannot serve metrics on .*metrics_port$"):
        Exporter(Config(metrics_address=address, metrics_port=0), Poller(), FakeView())


@pytest.mark.parametrize("address", ["localhost", "0.0.0.0", "*"])
def test_addresses(address):
    with running(metrics_address=address) as server:
        host = {"localhost": "127.0.0.1"}.get(address, "0.0.0.0")
        assert server.exporter.url in (
            f"http://{host}:{server.port}/metrics",
            f"http://[::1]:{server.port}/metrics",
        )
        if "[" not in server.exporter.url:
            assert server.get("/healthz") == (200, "ok\n")


@pytest.mark.parametrize(
    ("address", "hosts"), [("::1", ["::1"]), ("::", ["::1", "127.0.0.1"])], ids=["one", "all"]
)
def test_ipv6(address, hosts):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs IPv6")
    with running(metrics_address=address) as server:
        assert server.exporter.url == f"http://[{address}]:{server.port}/metrics"
        for host in hosts:
            with socket.create_connection((host, server.port), timeout=PATIENCE) as client:
                client.sendall(LAST)
                assert read_answer(client) == (200, b"ok\n")


def test_a_socket_that_was_handed_over():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    poller, view = Poller(), FakeView()
    exporter = Exporter(Config(), poller, view, fd=os.dup(listener.fileno()))
    assert exporter.url == f"http://127.0.0.1:{port}/metrics"
    assert exporter.passing() == [("metrics:127.0.0.1:9090", 0, exporter.fd)]
    exporter.close()
    assert exporter.fd == -1
    listener.close()


def turn(poller: Poller, exporter: Exporter, until: float = 0.0) -> None:
    poller.wait(time.monotonic() + until)
    exporter.manage(time.monotonic())


def test_hold_lets_clients_wait():
    poller = Poller()
    exporter = Exporter(Config(metrics_port=0), poller, FakeView())
    address = exporter.url.partition("//")[2].partition("/")[0].split(":")
    exporter.hold()
    exporter.hold()
    with socket.create_connection((address[0], int(address[1])), timeout=PATIENCE) as client:
        client.sendall(LAST)
        turn(poller, exporter, 0.05)
        assert not select.select([client], [], [], 0)[0]
        exporter.go_on()
        exporter.go_on()
        while not select.select([client], [], [], 0)[0]:
            turn(poller, exporter, 0.05)
        assert read_answer(client) == (200, b"ok\n")
    exporter.close()


def test_a_child_gives_everything_up_and_the_parent_keeps_it():
    poller = Poller()
    exporter = Exporter(Config(metrics_port=0), poller, FakeView())
    address = exporter.url.partition("//")[2].partition("/")[0].split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=PATIENCE) as client:
        turn(poller, exporter, PATIENCE)
        pid = os.fork()
        if pid == 0:
            before = open_files()
            exporter.close_in_child()
            os._exit(before - open_files())
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
        client.sendall(LAST)
        while not select.select([client], [], [], 0)[0]:
            turn(poller, exporter, 0.05)
        assert read_answer(client) == (200, b"ok\n")
    exporter.close()
