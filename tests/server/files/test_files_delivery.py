"""How files are sent: to slow clients and those that leave, and that no descriptor stays."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, answer, body, eventually, sending, start, until_it_waits
from tests.server.files.pieces import MIB, descriptors, opened, part, whole
from tests.server.loops import both_loops
from tests.server.raw import request


def test_send_waits_for_a_client_that_does_not_read(connect, make):
    seen = Seen()
    path = make(5 * MIB)

    async def app(scope, receive, send):
        async def stream():
            with opened(path) as file:
                await send(start())
                for number in range(8):
                    await send(part(file, offset=0, more_body=True))
                    sent.append(number)
                await send(body())

        sent: list[int] = []
        task = asyncio.create_task(stream())
        seen.put(await until_it_waits(task, sent))
        await task

    client = connect(app, receive_buffer=4096)
    client.request()
    assert seen.get() < 4
    assert len(client.response().body) == 40 * MIB


def test_a_slow_client_does_not_hold_up_another(connect, serve, make, data):
    async def app(scope, receive, send):
        if scope["path"] == "/":
            await answer(send, b"hello")
        else:
            await sending(start(), whole(make(5 * MIB)))(scope, receive, send)

    server = serve(app)
    slow, quick = connect(server, receive_buffer=4096), connect(server)
    slow.request("/file")
    for _ in range(10):
        assert quick.ask().body == b"hello"
    assert slow.response().body == data[: 5 * MIB]


def test_a_file_that_grows_while_it_is_sent_is_sent_as_it_was(connect, make, data):
    path = make(5 * MIB)
    gate = Gate()

    async def app(scope, receive, send):
        await send(start())
        with opened(path) as file:
            await send(part(file, more_body=True))
        await send(body(b"end"))

    client = connect(app, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    with Path(path).open("ab") as file:
        file.write(b"more")
    assert client.until(b"\r\n") == b"500000"
    assert client.read(5 * MIB) == data[: 5 * MIB]
    assert client.read(15) == b"\r\n3\r\nend\r\n0\r\n\r\n"
    assert not gate.reached.is_set()


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_file_that_is_cut_while_it_is_sent_ends_the_connection(connect, make, log, framing):
    path = make(5 * MIB)

    async def app(scope, receive, send):
        await send(start())
        if framing == "length":
            await send(whole(path))
        else:
            with opened(path) as file:
                await send(part(file, more_body=True))
            await send(body(b"end"))

    client = connect(app, receive_buffer=4096)
    client.send(request("/", version="1.0" if framing == "close" else "1.1"))
    client.until(b"\r\n\r\n")
    os.truncate(path, 0)
    with pytest.raises((ConnectionResetError, AssertionError)):
        client.read(5 * MIB + (3 if framing == "close" else 0))
    eventually(lambda: any("it has become shorter" in message for message in log.messages))


@both_loops
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("more", [True, False])
def test_no_descriptor_stays_when_the_client_leaves(connect, serve, make, how, more):
    path = make(5 * MIB)

    async def app(scope, receive, send):
        await send(start())
        with opened(path) as file:
            await send(part(file, more_body=more))
        if more:
            await send(part(file.name, more_body=True))

    server = serve(app)
    clients = [connect(server, receive_buffer=4096) for _ in range(10)]
    for client in clients:
        client.request()
        client.until(b"\r\n\r\n")
    eventually(lambda: server.counters()["files"] == 10)
    assert descriptors(path) == (20 if more else 10)  # an application that waits has its own
    for client in clients:
        getattr(client, how)()
    eventually(lambda: server.counters()["files"] == server.counters()["connections"] == 0)
    eventually(lambda: descriptors(path) == 0)  # the application closes its own a moment later
    assert not [exc for exc in server.exceptions if not isinstance(exc, OSError)]


def test_no_descriptor_stays_when_the_task_is_cancelled(connect, serve, make):
    path = make(5 * MIB)

    async def app(scope, receive, send):
        await send(start())
        with opened(path) as file:
            task = asyncio.ensure_future(send(part(file, more_body=True)))
            await asyncio.wait([task], timeout=0.05)
            task.cancel()
        raise asyncio.CancelledError

    server = serve(app)
    client = connect(server, receive_buffer=4096)
    client.request()
    with pytest.raises((AssertionError, ConnectionResetError)):
        client.response()
    eventually(lambda: server.counters()["files"] == 0)


def test_no_descriptor_stays_when_the_server_stops(connect, serve, make):
    path = make(5 * MIB)
    server = serve(sending(start(), whole(path)), graceful_timeout=0.1)
    client = connect(server, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    assert (server.counters()["files"], descriptors(path)) == (1, 1)
    server.stop()
    assert (server.counters()["files"], descriptors(path)) == (0, 0)


def test_a_file_is_sent_to_its_end_by_a_server_that_drains(connect, serve, make, data):
    server = serve(sending(start(), whole(make(5 * MIB))), graceful_timeout=600)
    client = connect(server, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert client.read(5 * MIB) == data[: 5 * MIB]
    client.close()
    stopping.join(PATIENCE)
    assert not stopping.is_alive()


def test_a_client_that_takes_nothing_of_a_file_is_cut(connect, serve, make):
    server = serve(sending(start(), whole(make(5 * MIB))), write_timeout=0.5)
    client = connect(server, receive_buffer=4096)
    client.request()
    client.until(b"\r\n\r\n")
    eventually(lambda: server.counters()["connections"] == server.counters()["files"] == 0)


@pytest.mark.slow
def test_a_client_that_is_slow_to_take_a_file_is_not(connect, serve, make, data):
    server = serve(
        sending(start(), whole(make(5 * MIB))),
        write_timeout=5.0,
        keep_alive_timeout=0.5,
        request_timeout=0.5,
    )
    client = connect(server, receive_buffer=65536)
    client.request()
    client.until(b"\r\n\r\n")
    for at in range(0, 5 * MIB, MIB // 2):
        assert client.read(MIB // 2) == data[at : at + MIB // 2]
        time.sleep(0.3)


def test_a_half_closed_client_gets_its_file(connect, make, data):
    client = connect(sending(start(), whole(make(5 * MIB))))
    client.request()
    client.end()
    assert client.response().body == data[: 5 * MIB]


@pytest.mark.parametrize("size", [100, 300_000])
def test_http_1_0(connect, make, data, size):
    client = connect(sending(start(), whole(make(size))))
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert client.response().body == data[:size]
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.response().body == data[:size]
    assert client.ended()


def test_over_a_unix_socket(serve, make, data, tmp_path, transport):
    import http.client
    import socket

    if transport == "tls":
        pytest.skip("the same as over TCP")
    server = serve(sending(start(), whole(make(5 * MIB))), uds=str(tmp_path / "socket"))
    assert server
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(tmp_path / "socket"))
        sock.sendall(request())
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert response.read() == data[: 5 * MIB]


@pytest.mark.parametrize("size", [0, 100, 300_000])
def test_starlette_sends_its_files_so(connect, make, data, size):
    from starlette.responses import FileResponse

    kinds = Seen()

    async def app(scope, receive, send):
        async def noting(message):
            kinds.put(message["type"])
            await send(message)

        await FileResponse(make(size))(scope, receive, noting)

    client = connect(app)
    response = client.ask()
    assert (response.body, response.framing) == (data[:size], "length")
    assert [kinds.get(), kinds.get()] == ["http.response.start", "http.response.pathsend"]
    assert client.ask(method="HEAD").get("content-length") == str(size)
    if size > 100:
        response = client.ask("/", "Range: bytes=100-199")
        assert (response.status, response.body) == (206, data[100:200])


def test_a_relative_path_is_taken_as_open_takes_it(connect, make, data, monkeypatch):
    path = make(300_000)
    monkeypatch.chdir(Path(path).parent)
    assert connect(sending(start(), whole("of-300000"))).ask().body == data[:300_000]
