"""The threads of a WSGI application: how many there are, what waits for them, what goes to and fro
between them and the reactor.
"""

from __future__ import annotations

import os
import threading
import time

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Seen
from tests.server.inside import counted, durations, wait_for
from tests.server.raw import request

PIECE = b"x" * 65536


def answer(start_response, body: bytes = b"hello"):
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Held:
    """An application whose calls wait until the test lets all of them go; `/now` does not."""

    def __init__(self) -> None:
        self.threads = Seen()
        self.go = threading.Event()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] != "/now":
            self.threads.put(threading.current_thread())
            assert self.go.wait(PATIENCE)
        return answer(start_response, environ["PATH_INFO"].encode())


@pytest.fixture
def held():
    held = Held()
    yield held
    held.go.set()


def ask(connect, server, *paths):
    clients = [connect(server) for _ in paths]
    for client, path in zip(clients, paths, strict=True):
        client.request(path)
    return clients


def test_there_are_as_many_threads_as_there_is_work_for(serve, connect, held):
    server = serve(held, interface="wsgi", blocking_threads=4)
    assert counted(server)["blocking_threads"] == 0
    assert connect(server).ask("/now").body == b"/now"
    assert counted(server)["blocking_threads"] == 1
    clients = ask(connect, server, "/a", "/b", "/c", "/d", "/e", "/f")
    threads = {held.threads.get() for _ in range(4)}
    assert len(threads) == 4
    assert all(thread.daemon and thread.name.startswith("granite-") for thread in threads)
    numbers = wait_for(server, blocking_queue=2)
    assert numbers["blocking_threads"] == 4
    assert numbers["requests_active"] == 6
    held.go.set()
    assert [client.response().body for client in clients] == [
        b"/a",
        b"/b",
        b"/c",
        b"/d",
        b"/e",
        b"/f",
    ]
    assert {held.threads.get() for _ in range(2)} <= threads
    wait_for(server, blocking_queue=0, requests_active=0)


def test_calls_wait_in_their_order(serve, connect, held):
    order = []

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/held":
            return held(environ, start_response)
        order.append(environ["PATH_INFO"])
        assert go.wait(PATIENCE)
        return answer(start_response)

    go = threading.Event()
    server = serve(app, interface="wsgi", blocking_threads=2)
    paths = [f"/{number}" for number in range(12)]
    clients = []
    for number, path in enumerate(["/held", *paths]):
        clients += ask(connect, server, path)
        wait_for(server, requests_active=number + 1)
    go.set()  # one thread goes on with all that wait
    for client in clients[1:]:
        assert client.response().status == 200
    assert order == paths


def test_idle_threads_end_but_for_one(serve, connect, held):
    server = serve(held, interface="wsgi", blocking_threads=3, blocking_threads_idle_timeout=5)
    clients = ask(connect, server, "/a", "/b", "/c")
    threads = [held.threads.get() for _ in clients]
    held.go.set()
    for client in clients:
        assert client.response().status == 200
    wait_for(server, blocking_threads=1)
    assert connect(server).ask("/now").body == b"/now"
    deadline = time.monotonic() + PATIENCE
    while sum(thread.is_alive() for thread in threads) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_queue_is_bounded_by_the_back_pressure(serve, connect, held):
    server = serve(held, interface="wsgi", blocking_threads=2, backpressure=3, overload="reject")
    clients = ask(connect, server, "/a", "/b", "/c")
    held.threads.get()
    held.threads.get()
    wait_for(server, blocking_queue=1, requests_active=3)
    assert connect(server).ask("/now").status == 503
    held.go.set()
    for client in clients:
        assert client.response().status == 200


def test_a_call_that_overruns_is_logged_with_its_stack(serve, connect, held, log):
    server = serve(
        held,
        interface="wsgi",
        blocking_threads=2,
        request_timeout=3,
        request_timeout_grace=0.5,
    )
    client = connect(server)
    client.request("/slow")
    held.threads.get()
    assert client.response().status == 504
    deadline = time.monotonic() + PATIENCE
    while not (found := [record for record in log.records if "its thread" in record.getMessage()]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "/slow" in found[0].getMessage()
    assert "test_wsgi_threads.py" in (found[0].exc_text or "")
    assert connect(server).ask("/now").body == b"/now"


def test_what_a_thread_reads_comes_as_it_is_read(serve, connect):
    sizes = Seen()

    def app(environ, start_response):
        total = 0
        while piece := environ["wsgi.input"].read(100_000):
            total += len(piece)
            sizes.put(total)
        return answer(start_response, str(total).encode())

    server = serve(app, interface="wsgi", blocking_threads=2, body_high_water=65536)
    client = connect(server)
    client.send(request("/", "Content-Length: 300000", method="POST"))
    client.send(b"x" * 150_000)
    assert sizes.get() == 100_000
    client.send(b"x" * 150_000)
    assert client.response().body == b"300000"
    assert sizes.get() == 200_000
    assert sizes.get() == 300_000


def test_a_body_that_is_cut_is_an_error_in_the_thread(serve, connect):
    raised = Seen()

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except OSError as exc:
            raised.put(type(exc).__name__)
            raise
        return answer(start_response)

    server = serve(app, interface="wsgi", blocking_threads=2, body_high_water=65536)
    client = connect(server)
    client.send(request("/", "Content-Length: 300000", method="POST"))
    client.send(b"x" * 100_000)
    wait_for(server, requests_active=1, blocking_threads=1)
    client.close()
    assert raised.get() == "ClientDisconnected"
    wait_for(server, requests_active=0)


def test_a_thread_waits_for_a_slow_client(serve, connect):
    sent, closed = Seen(), {"/slow": threading.Event(), "/fast": threading.Event()}

    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            for number in range(400):
                sent.put(number)
                yield PIECE
        finally:
            closed[environ["PATH_INFO"]].set()

    server = serve(app, interface="wsgi", blocking_threads=2)
    client = connect(server, receive_buffer=4096)
    client.request("/slow")
    assert sent.get() == 0
    assert connect(server).ask("/fast").body == PIECE * 400
    assert closed["/fast"].wait(PATIENCE)
    assert not closed["/slow"].is_set()
    client.close()
    assert closed["/slow"].wait(PATIENCE)
    wait_for(server, requests_active=0)


def test_a_file_is_sent_though_the_application_closes_it(serve, connect, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    server = serve(app, interface="wsgi", blocking_threads=3)
    client = connect(server)
    for _ in range(20):
        assert client.ask("/").body == path.read_bytes()
    wait_for(server, requests_active=0)


def test_what_waits_for_a_thread_never_begins_once_the_server_has_ended(serve, connect):
    started = Seen()

    def app(environ, start_response):
        started.put(environ["PATH_INFO"])
        body = environ["wsgi.input"].read()  # which does not come to its end
        return answer(start_response, body)

    server = serve(
        app, interface="wsgi", blocking_threads=2, graceful_timeout=0.2, body_high_water=65536
    )
    clients = [connect(server) for _ in range(4)]
    for number, client in enumerate(clients):
        client.send(request(f"/{number}", "Content-Length: 300000", method="POST"))
        client.send(b"x" * 100_000)
        wait_for(server, requests_active=number + 1)
    wait_for(server, blocking_queue=2)
    assert {started.get(), started.get()} == {"/0", "/1"}
    server.stop()
    for client in clients:
        assert client.gone()
    assert started.empty


def test_times_of_threads_are_counted_where_metrics_are_on(serve, connect, held):
    server = serve(held, interface="wsgi", blocking_threads=2, metrics=True)
    client = connect(server)
    client.request("/a")
    held.threads.get()
    time.sleep(0.05)  # what is counted
    held.go.set()
    assert client.response().status == 200
    assert client.ask("/now").status == 200
    deadline = time.monotonic() + PATIENCE
    while counted(server)["blocking_busy_cumulative"] < 50_000:
        assert time.monotonic() < deadline
    assert sum(durations(server, "queue_time")[0]) == 2


# one thread


def test_a_response_without_an_end_leaves_others_their_turn(serve, connect):
    """One whose client keeps up, so that nothing but fairness interrupts it."""
    closed = threading.Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/now":
            return answer(start_response)
        return endless(start_response)

    def endless(start_response):
        start_response("200 OK", [])
        try:
            while True:
                yield b"tick"
        finally:
            closed.set()

    server = serve(app, interface="wsgi")
    client = connect(server)
    reading = threading.Event()
    done = threading.Event()

    def read() -> None:
        client.request("/")
        while not done.is_set():
            client.read(100_000)
            reading.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert reading.wait(PATIENCE)
        for _ in range(5):
            assert connect(server).ask("/now").body == b"hello"
    finally:
        done.set()
        reader.join(PATIENCE)
    client.close()
    assert closed.wait(PATIENCE)
    wait_for(server, requests_active=0)


def test_many_slow_calls_leave_the_reactor_its_turn(serve, connect):
    """A request that comes while others wait is read before all of them have run."""
    running = Seen()

    def app(environ, start_response):
        running.put(environ["PATH_INFO"])
        time.sleep(0.02)
        return answer(start_response)

    server = serve(app, interface="wsgi", backpressure=20, overload="reject")
    clients = ask(connect, server, *[f"/{number}" for number in range(10)])
    for _ in range(3):
        running.get()
    assert counted(server)["requests_active"] < 10
    for client in clients:
        assert client.response().status == 200
