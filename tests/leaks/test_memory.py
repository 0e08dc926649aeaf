"""Memory stays flat: the process's own pages over many requests of every kind."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import sys
from pathlib import Path

import pytest

from granite._core import buf
from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.wire.client import split_responses

pytestmark = [
    pytest.mark.no_sanitizer,
    pytest.mark.skipif(
        not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's smaps_rollup"
    ),
    pytest.mark.skipif(buf.DEBUG, reason="debug builds keep more"),
]

LARGE = Path(sys.executable).resolve()
BATCH = 50  # pipelined requests
WARM_UP = 60  # batches
BATCHES = 400
ALLOWED = 1024 * 1024  # bytes: what the issue of fragmentation may cost

GET = b"GET /%d?q HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nX-Number: %d\r\n\r\n"
POST = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + bytes(1000)
CHUNKED = (
    b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3e8\r\n" + bytes(1000) + b"\r\n0\r\nX: y\r\n\r\n"
)


async def app(scope, receive, send) -> None:
    while (await receive())["more_body"]:
        pass
    kind = scope["path"][-1]
    if kind == "3":
        await asyncio.sleep(0)
    if kind == "4":
        await send({"type": "http.response.early_hint", "links": [b"</a>"]})
    await responses.get(kind, send_pieces)(scope, send)


async def send_pieces(scope, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
    if scope["path"].endswith("7"):
        for _ in range(3):
            await send({"type": "http.response.body", "body": bytes(5000), "more_body": True})
    await send({"type": "http.response.body", "body": b"ok"})


async def send_path(scope, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": __file__})


async def send_trailers(scope, send) -> None:
    fields = scope["extensions"].get("granite.request.trailers", [])
    await send({"type": "http.response.start", "status": 200, "trailers": True})
    await send({"type": "http.response.body", "body": b"ok"})
    await send({"type": "http.response.trailers", "headers": [*fields, (b"a", b"b")]})


async def send_file(scope, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    with LARGE.open("rb") as file:
        message = {"type": "http.response.zerocopysend", "file": file, "more_body": True}
        await send({**message, "count": 20_000})
        await send({**message, "count": 10})
    await send({"type": "http.response.body"})


responses = {"5": send_trailers, "6": send_path, "8": send_file}


def private_bytes() -> int:
    """The memory that this process alone has."""
    gc.collect()
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB$", text, re.MULTILINE)))


def batch(sock: socket.socket, number: int) -> None:
    messages = []
    for i in range(number * BATCH, (number + 1) * BATCH):
        message = (GET, POST, CHUNKED)[i % 3]
        messages.append(message % ((i, i) if message is GET else i))
    sock.sendall(b"".join(messages))
    data = b""
    count = 0
    while count < BATCH:
        data += sock.recv(1 << 20)
        responses, data = split_responses(data)
        assert all(response.status == 200 for response in responses)
        count += len(responses)
    assert data == b""


def refused(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nX: y\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_twenty_thousand_requests_leave_memory_flat() -> None:
    with TestServer(app, lifespan="off") as server:
        address = (server.host, server.port)
        with socket.create_connection(address) as sock:
            sock.settimeout(PATIENCE)
            before = 0
            for number in range(WARM_UP + BATCHES):
                if number == WARM_UP:
                    before = private_bytes()
                batch(sock, number)
                if number % 4 == 0:
                    refused(address)
            assert private_bytes() - before <= ALLOWED


def test_a_failing_application_leaves_memory_flat(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope, receive, send) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": bytes(9000), "more_body": True})
        raise ValueError(scope)

    caplog.set_level("CRITICAL", "granite.error")
    with TestServer(fails, lifespan="off") as server:
        before = 0
        for number in range(600):
            if number == 200:
                before = private_bytes()
            path = b"/late" if number % 2 else b"/"
            with socket.create_connection((server.host, server.port)) as sock:
                sock.settimeout(PATIENCE)
                sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                while sock.recv(65536):
                    pass
            server.exceptions.clear()
        assert private_bytes() - before <= ALLOWED
