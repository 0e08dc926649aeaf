"""Bytes are parsed in the order in which they came, whatever the server is doing when they come."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.wire.client import split_responses

FIRST = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
SECOND = b"POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef"
LARGE = 8 * 1024 * 1024  # more than what the buffers of both sockets hold


@pytest.mark.parametrize("cut", [1, 20, len(SECOND) - 3, len(SECOND)])
@pytest.mark.parametrize("size", [2, LARGE])
def test_what_comes_behind_bytes_that_wait(cut: int, size: int) -> None:
    """The rest of a pipelined request comes when its begin still waits for the first response.

    A large response leaves the reactor with work at the socket, so that it reads before it returns
    to what waits.
    """
    entered = threading.Event()
    sent = threading.Event()
    seen: list[tuple[str, bytes]] = []

    async def app(scope, receive, send) -> None:
        body = (await receive())["body"]
        seen.append((scope["path"], body))
        await asyncio.sleep(0)
        if scope["path"] == "/first":
            entered.set()
            assert sent.wait(PATIENCE)  # blocks the server, so that all bytes are there afterwards
        await send({"type": "http.response.start", "status": 200})
        large = scope["path"] == "/first"
        await send({"type": "http.response.body", "body": bytes(size if large else 2)})

    with TestServer(app, lifespan="off") as server:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.settimeout(PATIENCE)
            sock.connect((server.host, server.port))
            sock.sendall(FIRST + SECOND[:cut])
            assert entered.wait(PATIENCE)
            sock.sendall(SECOND[cut:] + FIRST.replace(b"first", b"third"))
            sent.set()
            data = bytearray()
            while len(data) < size or len(split_responses(bytes(data))[0]) < 3:
                received = sock.recv(1 << 20)
                assert received, bytes(data[-300:])
                data += received
    assert [path for path, _ in seen] == ["/first", "/second", "/third"]
    assert b"".join(body for _, body in seen) == b"abcdef"[: len(seen[1][1])]
    assert [response.status for response in split_responses(bytes(data))[0]] == [200, 200, 200]
