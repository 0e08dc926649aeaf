"""Servers that share out connections: what one has too many of, others get, and nothing is left.

Both run on one event loop here; tests/arbiter/test_balance.py has real workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from granite._core.server import Server
from granite.arbiter.listeners import open_listeners
from granite.arbiter.slot_sockets import SlotSockets
from granite.settings.config import Config
from tests.patience import PATIENCE
from tests.server.apps import asgi, hello
from tests.server.descriptors import no_more_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a feature of Linux")

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# What a worker with 32 connections more than the least loaded one tolerates is 2, or a little more.
MOST = 4
# Seconds for which only the one with less takes what the other gives away.
ASKED_FOR = 0.005


class Tree:
    """The workers of two slots, on the running loop."""

    def __init__(self, app: Any = hello, **settings: Any) -> None:
        config = Config(**{"port": 0, "metrics": False, **settings})
        self.listeners = open_listeners(config, {})
        self.sockets = SlotSockets(self.listeners, config)
        self.servers: list[Server] = []
        for slot in (1, 2):
            server = Server(asyncio.get_running_loop(), asgi(app), config=config)
            fds = self.sockets.for_slot(slot)
            server.share(slot, *self.sockets.sharing())
            for fd in fds:
                server.listen(fd)
            self.servers.append(server)
        self.clients: list[Client] = []
        self._takers: list[int] = []

    def loads(self) -> list[int]:
        return [server.connections for server in self.servers]

    async def connect(self, count: int, *, at_once: bool = False) -> None:
        """Open connections, each of which is answered once.

        `at_once`: as soon as it is given to somebody. Who is to take a connection is only asked
        for so long; where this process stood still meanwhile, another one is opened in its place.
        """
        while count:
            before = self.loads()
            started = time.monotonic()
            client = await self._open()
            await ask(*client)
            if at_once and time.monotonic() - started >= ASKED_FOR:
                client[1].close()
                await until(lambda loads: self.loads() == loads, before)
                continue
            self.clients.append(client)
            self._takers.append(int(self.loads()[0] == before[0]))
            count -= 1

    async def _open(self) -> Client:
        listener = self.listeners[0]
        if listener.tcp is not None:
            return await asyncio.open_connection(*listener.tcp)
        return await asyncio.open_unix_connection(listener.url[5:])

    def of(self, server: int) -> list[Client]:
        """Return the connections that a server has got."""
        return [
            client
            for client, taker in zip(self.clients, self._takers, strict=True)
            if taker == server
        ]

    def put_into_the_pool(self, position: int = 0) -> socket.socket:
        """Give a connection away as a worker would; return the client's end."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
            accepted, (host, port) = listener.accept()
        # The position of the address, and a sockaddr_storage.
        peer = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host)
        parcel = struct.pack("=i4x128s", position, peer)
        with accepted, socket.socket(fileno=os.dup(self.sockets.sharing()[2])) as give:
            socket.send_fds(give, [parcel], [accepted.fileno()])
        return client

    async def close(self) -> None:
        for _, writer in self.clients:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        for server in self.servers:
            server.close()
        self.sockets.close()
        for listener in self.listeners:
            listener.remove()
        for server in self.servers:
            left = {name: count for name, count in server.counters().items() if count}
            assert left == {}


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert head.startswith(b"HTTP/1.1 200"), head


async def until(condition: Callable[..., bool], *args: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition(*args):
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.001)


@pytest.fixture(autouse=True, scope="module")
def opened_once() -> None:
    """The first loop of libuv opens a pipe, which stays."""

    async def main() -> None:
        Server(asyncio.get_running_loop(), asgi(hello), config=Config()).close()

    asyncio.run(main())


def run(test: Callable[[Tree], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        tree = Tree(**settings)
        try:
            await test(tree)
        finally:
            await tree.close()

    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    asyncio.run(main())
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def owner(tree: Tree, slot: int, pid: int | None = None) -> int:
    """Return who accepts for a slot, and write it where `pid` is given."""
    board, place = tree.sockets.sharing()[0], slot * 64
    found = int.from_bytes(os.pread(board, 4, place), sys.byteorder)
    if pid is not None:
        os.pwrite(board, pid.to_bytes(4, sys.byteorder), place)
    return found


@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_a_shared_socket(tmp_path, bind: str) -> None:
    async def test(tree: Tree) -> None:
        await tree.connect(32, at_once=True)
        first, second = tree.loads()
        assert first + second == 32
        assert abs(first - second) <= MOST

    run(test, **({"uds": str(tmp_path / "x.sock")} if bind == "unix" else {}))


def test_sockets_of_their_own() -> None:
    """What the kernel deals to the one that has more goes to the other."""

    async def test(tree: Tree) -> None:
        await tree.connect(32, at_once=True)
        before = tree.loads()
        for client in tree.of(1):
            client[1].close()
        await until(lambda: tree.servers[1].connections == 0)
        await tree.connect(before[1], at_once=True)
        first, second = tree.loads()
        assert first + second == 32
        assert abs(first - second) <= MOST, before

    run(test, reuse_port=True)


def test_given_connections_know_who_they_are() -> None:
    seen: list[tuple[Any, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["client"], scope["server"]))
        await hello(scope, receive, send)

    async def test(tree: Tree) -> None:
        await tree.connect(32, at_once=True)
        names = [writer.get_extra_info("sockname") for _, writer in tree.clients]
        assert [client for client, _ in seen if client in names] == names
        assert {server for _, server in seen} == {tree.listeners[0].tcp}
        first, second = tree.loads()
        assert abs(first - second) <= MOST

    run(test, app=app, reuse_port=True)


def test_one_that_drains_is_given_nothing() -> None:
    async def test(tree: Tree) -> None:
        await tree.connect(8)
        idle = asyncio.Event()
        tree.servers[1].drain(idle.set)
        assert owner(tree, 2) == 0
        await asyncio.wait_for(idle.wait(), PATIENCE)
        before = tree.loads()[0]
        await tree.connect(8)
        assert tree.loads() == [before + 8, 0]

    run(test)


def test_one_that_drains_takes_what_is_in_the_pool() -> None:
    async def test(tree: Tree) -> None:
        late = [tree.put_into_the_pool() for _ in range(3)]
        idle = asyncio.Event()
        tree.servers[0].drain(idle.set)  # before anybody has looked
        for client in late:
            tree.clients.append(await asyncio.open_connection(sock=client))
            await ask(*tree.clients[-1])
        await asyncio.wait_for(idle.wait(), PATIENCE)

    run(test, reuse_port=True)


def test_what_is_in_the_pool_waits_while_there_are_no_descriptors(caplog) -> None:
    async def test(tree: Tree) -> None:
        clients = [tree.put_into_the_pool() for _ in range(3)]
        with no_more_files():
            await asyncio.sleep(0.3)
            await until(lambda: any("new connections wait" in line for line in caplog.messages))
            assert tree.loads() == [0, 0]
        for client in clients:
            tree.clients.append(await asyncio.open_connection(sock=client))
            await ask(*tree.clients[-1])
        assert sum(tree.loads()) == 3

    run(test, reuse_port=True)


def test_one_that_drains_takes_no_notice_of_what_it_cannot_take(caplog) -> None:
    async def test(tree: Tree) -> None:
        client = tree.put_into_the_pool()
        idle = asyncio.Event()
        with no_more_files():
            tree.servers[0].drain(idle.set)
        await asyncio.wait_for(idle.wait(), PATIENCE)
        tree.clients.append(await asyncio.open_connection(sock=client))
        await ask(*tree.clients[-1])  # by the other one
        assert tree.loads() == [0, 1]

    run(test, reuse_port=True)


def test_what_makes_no_sense_in_the_pool() -> None:
    async def test(tree: Tree) -> None:
        give = tree.sockets.sharing()[2]
        await tree.connect(1)
        for junk in (b"", b"x", bytes(4096)):
            os.write(give, junk)
        nowhere = tree.put_into_the_pool(position=7)
        nowhere.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(nowhere, 1) == b""
        nowhere.close()
        await tree.connect(9)
        assert sum(tree.loads()) == 10

    run(test, reuse_port=True)


def test_nobody_is_waited_for_long() -> None:
    """One that has died, and whose place nobody has cleared, costs the others little."""

    async def test(tree: Tree) -> None:
        tree.servers[1].close()
        owner(tree, 2, 4711)
        await asyncio.wait_for(tree.connect(100), PATIENCE)
        assert tree.loads() == [100, 0]

    run(test)


def test_a_seat_that_nobody_has_is_taken_again() -> None:
    """Its successor, which had it, has died."""

    async def test(tree: Tree) -> None:
        owner(tree, 1, 0)
        await tree.connect(10)
        assert owner(tree, 1) == os.getpid()

    run(test)


def test_a_board_that_tells_of_more_seats_than_it_has() -> None:
    async def test(tree: Tree) -> None:
        os.pwrite(tree.sockets.sharing()[0], (2**31 - 1).to_bytes(4, sys.byteorder), 4)
        await tree.connect(10)
        assert sum(tree.loads()) == 10

    run(test)


def test_a_successor_has_the_seat() -> None:
    async def test(tree: Tree) -> None:
        owner(tree, 1, 4711)
        await tree.connect(10)
        tree.servers[0].close()
        assert owner(tree, 1) == 4711

    run(test)


@pytest.mark.parametrize("slot", [0, -1, 1025])
def test_a_slot_without_a_seat(slot: int) -> None:
    async def test(tree: Tree) -> None:
        with pytest.raises(ValueError, match=rf"from 1 to 1024, got {slot}$"):
            tree.servers[0].share(slot, tree.sockets.sharing()[0])

    run(test)


def test_descriptors_that_are_none() -> None:
    async def test(tree: Tree) -> None:
        with socket.socket() as other:
            for wrong in (-1, other.fileno()):
                with pytest.raises((OSError, ValueError)):
                    tree.servers[0].share(1, wrong)

    run(test)
