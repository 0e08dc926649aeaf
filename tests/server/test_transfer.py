"""Large bodies arrive whole, whatever way they take."""

from __future__ import annotations

import asyncio
import hashlib
import threading

import httpx
import pytest

from tests.patience import PATIENCE
from tests.server.apps import answer, body, body_of, start
from tests.server.loops import both_loops
from tests.server.raw import request

SIZE = 10 * 1024 * 1024
DATA = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(SIZE // 320)) * 10
DIGEST = hashlib.sha256(DATA).hexdigest()


async def digesting(scope, receive, send):
    digest = hashlib.sha256()
    more = True
    while more:
        message = await receive()
        digest.update(message["body"])
        more = message["more_body"]
    await answer(send, digest.hexdigest().encode())


@both_loops
@pytest.mark.parametrize("piece", [SIZE, 65536, 4096])
@pytest.mark.parametrize("length", [True, False], ids=["length", "chunked"])
def test_a_large_response(connect, piece, length):
    async def app(scope, receive, send):
        await send(start(200, *([(b"content-length", b"%d" % len(DATA))] if length else [])))
        for at in range(0, len(DATA), piece):
            await send(body(DATA[at : at + piece], more=True))
        await send(body())

    client = connect(app)
    for _ in range(2):
        response = client.ask()
        assert len(response.body) == len(DATA)
        assert hashlib.sha256(response.body).hexdigest() == DIGEST


@both_loops
def test_a_large_upload(connect):
    client = connect(digesting)
    for _ in range(2):
        assert client.ask(method="POST", body=DATA).body == DIGEST.encode()


@both_loops
def test_a_large_chunked_upload_by_httpx(serve):
    server = serve(digesting)
    pieces = [DATA[at : at + 50_001] for at in range(0, len(DATA), 50_001)]
    with httpx.Client() as client:
        for _ in range(2):
            assert client.post(server.url(), content=iter(pieces)).text == DIGEST


@both_loops
def test_an_echo_in_both_directions_at_once(connect):
    async def app(scope, receive, send):
        await send(start())
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send(body(message["body"], more=more))

    client = connect(app)
    sender = threading.Thread(target=client.request, kwargs={"method": "POST", "body": DATA})
    sender.start()
    response = client.response()
    sender.join(PATIENCE)
    assert hashlib.sha256(response.body).hexdigest() == DIGEST
    assert client.ask(method="POST", body=b"again").body == b"again"


def test_pipelined_large_responses(connect):
    async def app(scope, receive, send):
        if scope["path"] == "/late":
            await asyncio.sleep(0)
        await answer(send, scope["raw_path"] + DATA[:300_000])

    client = connect(app, receive_buffer=65536)
    paths = ["/", "/late"] * 5
    client.send(b"".join(map(request, paths)))
    for path in paths:
        assert client.response().body == path.encode() + DATA[:300_000]


def test_a_large_response_before_the_connection_closes(connect):
    async def app(scope, receive, send):
        await answer(send, DATA)

    client = connect(app, receive_buffer=65536)
    response = client.ask("/", "Connection: close")
    assert hashlib.sha256(response.body).hexdigest() == DIGEST
    assert client.ended()


def test_a_large_response_to_http_1_0(connect):
    async def app(scope, receive, send):
        await send(start())
        await send(body(DATA[:1_000_000], more=True))
        await send(body(DATA[1_000_000:]))

    client = connect(app)
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    response = client.response()
    assert response.framing == "close"
    assert hashlib.sha256(response.body).hexdigest() == DIGEST


def test_httpx_reuses_its_connections(serve):
    ports = set()

    async def app(scope, receive, send):
        ports.add(scope["client"][1])
        await answer(send, await body_of(receive))

    server = serve(app)
    with httpx.Client() as client:
        for number in range(20):
            data = b"x" * number * 5000
            assert client.post(server.url(), content=data).content == data
            assert client.head(server.url()).content == b""
    assert len(ports) == 1
