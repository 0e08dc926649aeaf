"""Embedded servers of WSGI applications, which run on the program's loop, or in threads."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from granite import Server
from tests.patience import PATIENCE
from tests.server.embedded.apps import get, on
from tests.server.loops import both_loops

pytestmark = both_loops

HIGH_WATER = 65536
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % (2 * HIGH_WATER)


class Upload:
    """Answer with the size of a body, and note where that was read."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.threads: list[threading.Thread] = []
        self.failures: list[str] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.threads.append(threading.current_thread())
        self.begun.set()
        try:
            body = environ["wsgi.input"].read()
        except OSError as exc:
            self.failures.append(str(exc))
            raise
        start_response("200 OK", [])
        return [b"%d" % len(body)]


def test_on_the_loop(loop):
    """The application holds it up while it waits for the body; the body comes all the same."""
    app = Upload()

    def slow_client(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(HEAD + bytes(HIGH_WATER))
            app.begun.wait(PATIENCE)
            client.sendall(bytes(HIGH_WATER))
            answers.append(client.recv(1000).rpartition(b"\r\n")[2])

    answers: list[bytes] = []

    async def main() -> None:
        async with Server(app, port=0) as server:
            await asyncio.to_thread(slow_client, server.port)
            assert (await get(server)).text == "0"
            assert server.config.blocking_threads is None

    on(loop, main())
    assert answers == [b"131072"]
    assert set(app.threads) == {threading.current_thread()}


def test_in_threads(loop):
    """The loop goes on meanwhile, and so do other requests."""
    app = Upload()

    async def main() -> None:
        async with Server(app, port=0, blocking_threads=2) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(HEAD + bytes(HIGH_WATER))
            await asyncio.to_thread(app.begun.wait)
            assert (await get(server)).text == "0"
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0)
            writer.write(bytes(HIGH_WATER))
            assert (await reader.read()).endswith(b"131072")
            assert await stopping is True
            writer.close()

    on(loop, main())
    assert threading.current_thread() not in app.threads


def test_a_thread_that_is_cut_short(loop):
    app = Upload()

    async def main() -> None:
        async with Server(app, port=0, blocking_threads=2) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(HEAD + bytes(HIGH_WATER))
            await asyncio.to_thread(app.begun.wait)
            assert await server.stop(0) is False
            writer.close()

    on(loop, main())
    assert len(app.failures) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_it_hears_of_the_end(loop, threads):
    seen = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        stopping = environ["granite.stopping"]
        while not stopping.is_set():
            yield bytes(100_000)
        seen.append(stopping)

    async def main() -> None:
        async with Server(app, port=0, blocking_threads=threads) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            assert await reader.readexactly(5) == b"HTTP/"
            stopping = asyncio.ensure_future(server.stop())
            await reader.read()
            assert await stopping is True
            writer.close()

    on(loop, main())
    assert len(seen) == 1
