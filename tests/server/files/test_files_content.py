"""Files: http.response.pathsend and http.response.zerocopysend, and what is sent of them.

Runs over plain TCP, where the system sends files, and over TLS, where they pass through memory.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.server.apps import Seen, answer, body, sending, start
from tests.server.files.pieces import MIB, SIZES, length, opened, part, whole
from tests.server.loops import both_loops
from tests.server.raw import request


@both_loops
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("eager", [True, False])
def test_a_path_is_the_whole_body(connect, make, data, size, eager):
    path = make(size)

    async def app(scope, receive, send):
        assert scope["extensions"]["http.response.pathsend"] == {}
        if not eager:
            await asyncio.sleep(0)
        await send(start(200, (b"x", b"y")))
        await send(whole(path))

    client = connect(app)
    for _ in range(3):
        response = client.ask()
        assert (response.framing, response.get("content-length")) == ("length", str(size))
        assert response.body == data[:size]


@both_loops
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_file_between_pieces_of_the_body(connect, make, data, size, framing):
    async def app(scope, receive, send):
        assert scope["extensions"]["http.response.zerocopysend"] == {}
        await send(start(200, *([length(size + 11)] if framing == "length" else [])))
        await send(body(b"before", more=True))
        with opened(make(size)) as file:  # closed before all of it has left
            await send(part(file, more_body=True))
        await send(body(b"after"))

    client = connect(app)
    for _ in range(1 if framing == "close" else 3):
        client.send(request("/", version="1.0" if framing == "close" else "1.1"))
        response = client.response()
        assert response.framing == framing
        assert response.body == b"before" + data[:size] + b"after"


@pytest.mark.parametrize("size", SIZES)
def test_a_file_as_the_end_of_the_body(connect, make, data, size):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"before", more=True))
        with opened(make(size)) as file:
            await send(part(file))

    client = connect(app)
    for _ in range(3):
        assert client.ask().body == b"before" + data[:size]


@pytest.mark.parametrize(
    ("offset", "count", "wanted"),
    [
        (0, None, slice(None)),
        (None, 100_000, slice(100_000)),
        (100_000, None, slice(100_000, None)),
        (100_000, 100_000, slice(100_000, 200_000)),
        (299_999, 1, slice(299_999, 300_000)),
        (299_999, 1000, slice(299_999, 300_000)),  # as os.sendfile() has it: at most so many
        (300_000, None, slice(0)),
        (500_000, 5, slice(0)),
        (7, 0, slice(0)),
        (2**62, 2**62, slice(0)),
    ],
)
@pytest.mark.parametrize("as_number", [True, False])
def test_ranges(connect, make, data, offset, count, wanted, as_number):
    message = {}
    if offset is not None:
        message["offset"] = offset
    if count is not None:
        message["count"] = count

    async def app(scope, receive, send):
        with opened(make(300_000)) as file:
            await send(start())
            await send(part(file.fileno() if as_number else file, **message))

    client = connect(app)
    for _ in range(2):
        assert client.ask().body == data[:300_000][wanted]


@pytest.mark.parametrize("kind", ["number", "raw", "buffered"])
def test_without_an_offset_it_goes_on_where_the_file_is(connect, make, data, kind):
    seen = Seen()

    async def app(scope, receive, send):
        with opened(make(300_000), 0 if kind != "buffered" else -1) as file:
            given = file.fileno() if kind == "number" else file
            assert file.read(10) == data[:10]
            await send(start())
            await send(part(given, count=5, more_body=True))
            await send(part(given, count=100_000, more_body=True))
            await send(part(given, count=20, offset=0, more_body=True))
            seen.put(file.tell())
            await send(part(given))
            seen.put(file.tell())

    assert connect(app).ask().body == data[10:100_015] + data[:20] + data[100_015:300_000]
    assert (seen.get(), seen.get()) == (100_015, 300_000)


def test_one_file_many_times(connect, make, data):
    async def app(scope, receive, send):
        await send(start())
        with opened(make(20_000)) as file:
            for _ in range(100):
                await send(part(file, offset=0, more_body=True))
        await send(body())

    response = connect(app).ask()
    assert response.body == data[:20_000] * 100
    assert len(response.chunks) == 100


@pytest.mark.parametrize("fields", [[], [length(300_000)]])
@pytest.mark.parametrize("message", ["path", "file"])
def test_head(connect, make, fields, message):
    async def app(scope, receive, send):
        await send(start(200, *fields))
        with opened(make(300_000)) as file:
            await send(whole(file.name) if message == "path" else part(file))

    client = connect(app)
    for _ in range(2):
        response = client.ask(method="HEAD")
        assert (response.get("content-length"), response.framing) == ("300000", "none")
    assert client.silent(0.02)


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(connect, make, status):
    client = connect(sending(start(status), whole(make(300_000))))
    for _ in range(2):
        assert client.ask().status == status
    assert client.silent(0.02)


def test_trailers_behind_a_file(connect, make, data):
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"5")]}
    client = connect(sending({**start(), "trailers": True}, whole(make(300_000)), trailers))
    for _ in range(2):
        response = client.ask("/", "TE: trailers")
        assert (response.body, response.trailers) == (data[:300_000], [("x-sum", "5")])


@pytest.mark.parametrize("size", [100, 300_000])
def test_pipelined(connect, make, data, size):
    async def app(scope, receive, send):
        if scope["path"] == "/file":
            await sending(start(), whole(make(size)))(scope, receive, send)
        else:
            await answer(send, scope["raw_path"])

    client = connect(app)
    client.send((request("/a") + request("/file") + request("/b")) * 10)
    for _ in range(10):
        assert client.response().body == b"/a"
        assert client.response().body == data[:size]
        assert client.response().body == b"/b"


@pytest.mark.slow
def test_pipelined_requests_do_not_take_descriptors(connect, serve, make, data):
    server = serve(sending(start(), whole(make(5 * MIB))))
    client = connect(server, receive_buffer=4096)
    client.send(request() * 20)
    client.until(b"\r\n\r\n")
    assert server.counters()["files"] <= 2
    assert client.read(5 * MIB) == data[: 5 * MIB]
    for _ in range(19):
        assert server.counters()["files"] <= 2
        assert client.response().body == data[: 5 * MIB]
