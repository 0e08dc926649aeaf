"""Listening sockets: taken, given back, and what happens when there are no descriptors left; and
the number of requests after which a server tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time

import httpx
import pytest

from granite._core.server import Server
from granite.settings.config import Config
from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.server.apps import Gate, answer, asgi, eventually, held_up, hello
from tests.server.descriptors import no_more_files
from tests.server.inside import counted, inside, wait_for
from tests.server.loops import both_loops
from tests.server.raw import Client, request


@pytest.fixture
def listening():
    """A function that opens a listening socket."""
    with contextlib.ExitStack() as stack:

        def listening() -> socket.socket:
            return stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        yield listening


def listen(served: TestServer, sock: socket.socket, group: int) -> None:
    inside(served, lambda server: server.listen(sock.fileno(), group))


def answers(sock: socket.socket) -> bool:
    client = Client(*sock.getsockname()[:2])
    try:
        return client.ask().status == 200
    finally:
        client.close()


# groups of listeners


@both_loops
def test_listeners_are_released_by_group(serve, listening):
    served = serve(hello)
    socks = [listening() for _ in range(3)]
    for sock, group in zip(socks, (1, 2, 2), strict=True):
        listen(served, sock, group)
    assert all(answers(sock) for sock in socks)
    inside(served, lambda server: server.release(2))
    assert answers(socks[0])
    assert httpx.get(served.url("/")).status_code == 200  # group 0
    # What comes now waits in the queue, for whoever else has the socket.
    waiting = [Client(*sock.getsockname()) for sock in socks[1:]]
    for client in waiting:
        client.request()
    other = serve(hello)
    for sock in socks[1:]:
        listen(other, sock, 7)
    for client in waiting:
        assert client.response().status == 200
        client.close()


def test_released_listeners_can_be_listened_on_again(serve, listening):
    served = serve(hello)
    sock = listening()
    for _ in range(50):
        listen(served, sock, 1)
        inside(served, lambda server: server.release(1))
    listen(served, sock, 1)
    assert answers(sock)


def test_release_takes_no_connection_away(serve, listening):
    gate = Gate()
    app = held_up(gate, b"hello")
    served = serve(app)
    sock = listening()
    listen(served, sock, 3)
    client = Client(*sock.getsockname())
    client.request()
    assert gate.reached.wait(PATIENCE)
    inside(served, lambda server: server.release(3))
    gate.open()
    assert client.response().status == 200
    client.request()
    assert gate.reached.wait(PATIENCE)
    gate.open()
    assert client.response().status == 200
    client.close()


def test_release_of_no_listener(serve):
    served = serve(hello)
    inside(served, lambda server: server.release(12))
    assert httpx.get(served.url("/")).status_code == 200


def test_nothing_is_lost_when_two_servers_share_a_socket_and_one_releases_it(serve, listening):
    """The connections that are accepted while it happens are answered as well."""
    first, second = serve(hello), serve(hello)
    sock = listening()
    for served in (first, second):
        listen(served, sock, 1)
    for served in (first, second) * 10:
        clients = [Client(*sock.getsockname()) for _ in range(20)]
        inside(served, lambda server: server.release(1))
        clients += [Client(*sock.getsockname()) for _ in range(20)]
        for client in clients:
            client.request()
        assert [client.response().status for client in clients] == [200] * 40
        for client in clients:
            client.close()
        listen(served, sock, 1)


def test_a_server_that_drains_listens_no_more(serve, listening):
    gate = Gate()
    app = held_up(gate, b"hello")
    served = serve(app)
    sock = listening()
    client = Client(served.host, served.port)
    client.request()
    assert gate.reached.wait(PATIENCE)
    assert inside(served, lambda server: server.draining) is False

    def drain(server: Server) -> str:
        server.drain(lambda: None)
        assert server.draining
        with pytest.raises(RuntimeError) as caught:
            server.listen(sock.fileno())
        return str(caught.value)

    assert "draining" in inside(served, drain)
    gate.open()
    assert client.response().status == 200
    client.close()


@pytest.mark.parametrize("make", [lambda: os.open("/dev/null", os.O_RDONLY), lambda: 10**6])
def test_what_is_no_socket_is_an_error(serve, make):
    served = serve(hello)
    fd = make()
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    with pytest.raises(OSError):
        inside(served, lambda server: server.listen(fd))
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208
    if fd < 10**6:
        os.close(fd)


# no descriptors left


@both_loops
def test_connections_wait_while_there_are_no_descriptors(serve, log):
    served = serve(hello)
    clients = [socket.socket() for _ in range(5)]
    for client in clients:
        client.settimeout(PATIENCE)
    with no_more_files():
        began = time.monotonic()
        for client in clients:
            client.connect((served.host, served.port))
            client.sendall(request())
        eventually(lambda: counted(served)["connections_err"] >= 3)
        used = time.process_time()
        time.sleep(0.5)
        used = time.process_time() - used
        failures = counted(served)["connections_err"]
    took = time.monotonic() - began
    assert used < 0.25, "the server must not spin"
    assert failures < 50 * (1 + took)
    told = [message for message in log.messages if message.startswith("accept: ")]
    assert 1 <= len(told) <= 2 + took
    assert "new connections wait" in told[0]
    for client in clients:
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.close()
    assert wait_for(served, connections_active=0)["connections_handled"] == 5


def test_a_server_that_waits_for_descriptors_can_be_closed(serve):
    served = serve(hello, graceful_timeout=0.0)
    client = socket.socket()
    with no_more_files():
        client.connect((served.host, served.port))
        eventually(lambda: counted(served)["connections_err"] >= 1)
        inside(served, lambda server: server.release(0))
    client.close()


# the number of requests


@both_loops
@pytest.mark.parametrize("wanted", [1, 3])
def test_the_callback_comes_once_after_that_many_requests(loop, wanted):
    calls = []

    async def app(scope, receive, send):
        calls.append(scope["path"])
        await answer(send, b"hello")

    async def main():
        running = asyncio.get_running_loop()
        server = Server(
            running,
            asgi(app),
            config=Config(),
            max_requests=wanted,
            on_max_requests=lambda: calls.append("told"),
        )
        with socket.create_server(("127.0.0.1", 0)) as sock:
            server.listen(sock.fileno())
            client = Client(*sock.getsockname())

        def ask() -> None:
            for number in range(wanted + 3):
                assert client.ask(f"/{number}").status == 200

        await running.run_in_executor(None, ask)
        client.close()
        server.close()
        return server

    if loop == "uvloop":
        import uvloop

        server = uvloop.new_event_loop().run_until_complete(main())
    else:
        server = asyncio.run(main())
    assert calls.count("told") == 1
    # From the loop, not from within the request; without eager tasks, before its task runs.
    assert calls.index("told") in (wanted - 1, wanted, wanted + 1)
    assert server.requests == wanted + 3


def test_without_a_number_there_is_no_callback(serve):
    async def main():
        for arguments in (
            {"max_requests": 0, "on_max_requests": lambda: None},
            {"max_requests": 1, "on_max_requests": None},
        ):
            server = Server(asyncio.get_running_loop(), asgi(hello), config=Config(), **arguments)
            with socket.create_server(("127.0.0.1", 0)) as sock:
                server.listen(sock.fileno())
                client = Client(*sock.getsockname())
            assert (await asyncio.to_thread(client.ask)).status == 200
            client.close()
            server.close()

    asyncio.run(main())


def test_extensions_are_in_every_scope():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["extensions"])
        await answer(send, b"hello")

    async def main():
        given = {"granite.test": {"a": 1}}
        server = Server(asyncio.get_running_loop(), asgi(app, given), config=Config())
        with socket.create_server(("127.0.0.1", 0)) as sock:
            server.listen(sock.fileno())
            client = Client(*sock.getsockname())
        for _ in range(2):
            await asyncio.to_thread(client.ask)
        client.close()
        server.close()
        assert seen[0] == seen[1]
        assert seen[0]["granite.test"] == {"a": 1}
        assert seen[0] is not seen[1]
        assert seen[0] is not given

    asyncio.run(main())
