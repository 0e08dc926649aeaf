"""TestServer with applications of WSGI, which are served without asyncio."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import httpx
import pytest

from granite.errors import LoadError
from granite.testing import TestServer
from tests.patience import PATIENCE

HIGH_WATER = 65536
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % (2 * HIGH_WATER)


class App:
    """Answer with the path and the size of the body; raise for /raise."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.failures: list[str] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        assert asyncio._get_running_loop() is None
        self.begun.set()
        if environ["PATH_INFO"] == "/raise":
            raise KeyError("asked for")
        try:
            size = len(environ["wsgi.input"].read())
        except OSError as exc:
            self.failures.append(str(exc))
            raise
        start_response("200 OK", [])
        name = threading.current_thread().name
        return [f"{environ['PATH_INFO']} {size} {name}".encode()]


def test_with():
    with TestServer(App()) as server:
        answer = httpx.post(server.url("/a"), content=b"12345")
        assert answer.text == "/a 5 granite test server"
        assert server.counters()["running"] == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url())
    assert not any(server.counters().values())
    server.stop()


def test_async_with():
    async def main() -> None:
        async with TestServer(App()) as server, httpx.AsyncClient() as client:
            assert (await client.get(server.url("/b"))).text.startswith("/b 0")

    asyncio.run(main())


def test_exceptions_stay_readable():
    with TestServer(App()) as server:
        assert httpx.get(server.url("/raise")).status_code == 500
    assert [type(exc) for exc in server.exceptions] == [KeyError]


def test_several_at_a_time_in_threads_of_their_own():
    with TestServer(App()) as one, TestServer(App(), blocking_threads=2) as two:
        assert httpx.get(one.url()).text.endswith("granite test server")
        assert not httpx.get(two.url()).text.endswith("granite test server")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_request_that_waits_is_aborted(threads):
    app = App()
    with TestServer(app, graceful_timeout=0.1, blocking_threads=threads) as server:
        with socket.create_connection((server.host, server.port)) as client:
            client.sendall(HEAD + bytes(HIGH_WATER))
            assert app.begun.wait(PATIENCE)
            server.stop()
    assert len(app.failures) == 1
    assert not any(server.counters().values())


def test_a_request_that_waits_is_finished():
    app = App()
    with TestServer(app, graceful_timeout=30.0) as server:
        with socket.create_connection((server.host, server.port)) as client:
            client.sendall(HEAD + bytes(HIGH_WATER))
            assert app.begun.wait(PATIENCE)
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            client.sendall(bytes(HIGH_WATER))
            answer = b""
            while data := client.recv(1000):
                answer += data
            assert b"/ 131072 granite" in answer
            stopping.join()


def test_another_interface_than_the_applications():
    with pytest.raises(LoadError, match="expected an ASGI application"):
        TestServer(App(), interface="asgi").start()
