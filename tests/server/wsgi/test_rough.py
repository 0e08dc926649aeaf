"""Clients that leave at any moment, and applications that do everything: nothing is left behind."""

from __future__ import annotations

import hashlib
import random
import tempfile
import threading

import pytest

from tests.patience import PATIENCE
from tests.server.apps import eventually
from tests.server.raw import Client
from tests.server.test_rough import behave_badly, many_behave_badly
from tests.server.wsgi.apps import PLAIN

SMALLEST = {"write_high_water": 1024, "write_low_water": 0, "body_high_water": 1024}


def anything(environ, start_response):
    """Do what the path says, and else something that depends on it."""
    stream, path = environ["wsgi.input"], environ["PATH_INFO"]
    chance = random.Random(path + environ["QUERY_STRING"])
    way = chance.randrange(7) if environ["REQUEST_METHOD"] == "GET" else chance.randrange(3)
    if path == "/raise":
        raise ValueError("asked for")
    write = start_response("200 OK", PLAIN)
    if way == 0:
        return [stream.read()]
    if way == 1:
        return iter(lambda: stream.read(1000), b"")
    if way == 2:
        return [stream.readline(100)]
    if way == 3:
        for _ in range(5):
            write(bytes(20_000))
        return []
    if way == 4:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.truncate(300_000)
        return environ["wsgi.file_wrapper"](file)
    if way == 5:
        environ["wsgi.early_hints"]([("Link", "</a>")])
        return (bytes(5000) for _ in range(50))
    return [bytes(200_000)]


@pytest.mark.parametrize("small", [False, True], ids=["defaults", "smallest"])
@pytest.mark.parametrize("seed", range(4))
def test_clients_that_leave_at_any_moment_leave_nothing_behind(connect, serve, seed, small):
    server = serve(anything, graceful_timeout=0.3, **(SMALLEST if small else {}))
    chance = random.Random(f"{seed} {small}")
    for _ in range(20):
        behave_badly(connect(server, receive_buffer=chance.choice([0, 4096])), chance)
    eventually(lambda: server.counters()["running"] == 0)
    assert connect(server).ask("/").status == 200


HURRIED = {
    "request_head_timeout": 0.3,
    "keep_alive_timeout": 0.3,
    "request_body_timeout": 0.3,
    "write_timeout": 0.3,
    "connection_timeout": 1,
    "request_timeout": 0.2,
    "request_timeout_grace": 0.1,
    "backpressure": 2,
    "max_queue_time": 0.2,
}


@pytest.mark.slow
def test_clients_that_leave_while_every_deadline_passes_leave_nothing_behind(serve):
    """Many at once, so that they meet in the queue, in threads, and at the limits as well."""
    server = serve(anything, graceful_timeout=0.3, **HURRIED)
    many_behave_badly(server, 10, 0.4)
    eventually(lambda: not server.counters()["connections"])


def test_a_server_that_ends_in_the_middle_of_everything(serve):
    """Threads are in their calls, bodies half-way, responses suspended."""
    server = serve(anything, graceful_timeout=0.1, **SMALLEST)
    chance = random.Random(5)
    clients = [Client(server.host, server.port, receive_buffer=4096) for _ in range(20)]
    for number, client in enumerate(clients):
        size = chance.choice([0, 10, 5000])
        head = f"{'POST' if size else 'GET'} /{number} HTTP/1.1\r\nHost: a\r\n"
        client.send(f"{head}Content-Length: {size}\r\n\r\n".encode() + bytes(size // 2))
    server.stop()
    for client in clients:
        client.close()


def test_the_smallest_marks_lose_nothing(connect):
    data = random.Random(1).randbytes(600_000)

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return iter(lambda: environ["wsgi.input"].read(3000), b"")

    client = connect(app, receive_buffer=8192, **SMALLEST)
    for _ in range(2):
        sender = threading.Thread(target=client.request, kwargs={"method": "POST", "body": data})
        sender.start()
        response = client.response()
        sender.join(PATIENCE)
        assert hashlib.sha256(response.body).digest() == hashlib.sha256(data).digest()
