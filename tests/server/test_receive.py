"""receive(): the body as it arrives, then the wait for the disconnect."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, answer, body, body_of, echo_body, start
from tests.server.loops import both_loops
from tests.server.raw import chunked, request

EMPTY = {"type": "http.request", "body": b"", "more_body": False}
DISCONNECT = {"type": "http.disconnect"}


def upload(length: int) -> bytes:
    return request("/", f"Content-Length: {length}", method="POST")


@pytest.mark.parametrize("fields", [(), ("Content-Length: 0",)])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_empty_body_is_one_message(connect, method, fields):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await receive())
        await answer(send)

    connect(app).ask("/", *fields, method=method)
    assert seen.get() == EMPTY


def test_an_empty_chunked_body_is_one_message(connect):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await receive())
        await answer(send)

    client = connect(app)
    client.send(request("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n")
    assert client.response().status == 200
    assert seen.get() == EMPTY


@both_loops
def test_a_small_body_is_one_message(connect):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await receive())
        await answer(send)

    connect(app).ask(method="POST", body=b"hello")
    message = seen.get()
    assert message == {"type": "http.request", "body": b"hello", "more_body": False}
    assert type(message["body"]) is bytes
    assert type(message["more_body"]) is bool


@both_loops
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_the_body_comes_in_pieces_as_it_arrives(connect, coding):
    seen = Seen()

    async def app(scope, receive, send):
        while True:
            message = await receive()
            seen.put(message)
            if not message["more_body"]:
                return await answer(send)

    client = connect(app)
    pieces = [b"one", b"three", b"five"]
    if coding == "length":
        client.send(upload(sum(map(len, pieces))))
    else:
        client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    for number, piece in enumerate(pieces):
        if coding == "length":
            client.send(piece)
        else:
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        more = coding == "chunked" or number < 2
        assert seen.get() == {"type": "http.request", "body": piece, "more_body": more}
    if coding == "chunked":
        client.send(b"0\r\n\r\n")
        assert seen.get() == EMPTY
    assert client.response().status == 200


def test_what_has_arrived_meanwhile_is_joined(connect):
    seen, gate = Seen(), Gate()

    async def app(scope, receive, send):
        await receive()
        await gate.wait()
        seen.put(await body_of(receive))
        await answer(send)

    client = connect(app)
    client.send(upload(300) + b"-")
    assert gate.reached.wait(PATIENCE)
    for _ in range(299):
        client.send(b"+")
    gate.open()
    assert client.response().status == 200
    assert seen.get() == b"+" * 299


@pytest.mark.parametrize(
    "data",
    [
        chunked(b"hello, ", b"world"),
        b"7\r\nhello, \r\n5\r\nworld\r\n0\r\n\r\n",
        b"0007\r\nhello, \r\n5;ext\r\nworld\r\n0;last\r\n\r\n",
        b'7;a=b;c="d;e"\r\nhello, \r\n5\r\nworld\r\n0\r\n\r\n',
        b"c\r\nhello, world\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
        b"C\r\nhello, world\r\n0\r\nHost: other\r\nExpect: nothing\r\n\r\n",
        chunked(*(b"%c" % byte for byte in b"hello, world")),
    ],
    ids=[
        "plain",
        "spelled out",
        "extensions",
        "quoted extension",
        "trailers",
        "odd trailers",
        "bytes",
    ],
)
@pytest.mark.parametrize("split", ["whole", "per byte"])
def test_a_chunked_request(connect, data, split):
    client = connect(echo_body)
    data = request("/", "Transfer-Encoding: chunked", method="POST") + data
    for _ in range(2):
        if split == "whole":
            client.send(data)
        else:
            client.send_per_byte(data)
        assert client.response().body == b"hello, world"


@both_loops
@pytest.mark.parametrize("how", ["close", "reset", "end"])
@pytest.mark.parametrize("size", [0, 5, 5000])
def test_after_the_body_it_waits_for_the_client_to_leave(connect, how, size):
    seen = Seen()

    async def app(scope, receive, send):
        await body_of(receive)
        seen.put("body")
        for _ in range(3):
            seen.put(await receive())

    # Less than the body may be buffered, so that reading was paused meanwhile.
    client = connect(app, body_high_water=1024)
    client.request(method="POST", body=b"x" * size)
    assert seen.get() == "body"
    assert client.silent(0.05)
    assert seen.empty
    getattr(client, how)()
    assert [seen.get(), seen.get(), seen.get()] == [DISCONNECT] * 3


@both_loops
def test_after_the_response_is_complete_it_returns_a_disconnect(connect):
    seen = Seen()

    async def app(scope, receive, send):
        waiter = asyncio.create_task(receive()) if scope["path"] == "/waiting" else None
        seen.put(await (waiter or receive()))
        waiter = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await answer(send, b"done")
        seen.put(await waiter)
        seen.put(await receive())

    client = connect(app)
    for path in ("/", "/waiting"):
        assert client.ask(path).body == b"done"
        assert [seen.get(), seen.get(), seen.get()] == [EMPTY, DISCONNECT, DISCONNECT]


@both_loops
@pytest.mark.parametrize("size", [0, 5, 10], ids=["none", "half", "whole"])
def test_a_body_that_was_not_read_is_not_told_after_the_response(connect, size):
    seen, gate = Seen(), Gate()

    async def app(scope, receive, send):
        await answer(send, b"done")
        await gate.wait()
        seen.put(await receive())

    client = connect(app)
    client.send(upload(10 if size else 0) + b"x" * size)
    assert client.response().body == b"done"
    gate.open()
    assert seen.get() == DISCONNECT


@both_loops
@pytest.mark.parametrize("how", ["close", "reset", "end"])
@pytest.mark.parametrize("coding", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_a_body_that_breaks_off_ends_in_a_disconnect(connect, how, coding):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await receive())
        seen.put(await receive())

    client = connect(app)
    client.send(request("/", coding, method="POST") + b"5\r\nhi")
    message = seen.get()
    assert message["body"] == (b"hi" if "chunked" in coding else b"5\r\nhi")
    assert message["more_body"]
    getattr(client, how)()
    assert seen.get() == DISCONNECT
    if how == "end":
        assert client.response().status == 400
        assert client.ended()


@both_loops
def test_receive_works_as_a_task(connect):
    seen = Seen()

    async def app(scope, receive, send):
        for wait in (asyncio.create_task, asyncio.ensure_future):
            seen.put(await wait(receive()))
        await answer(send)

    client = connect(app)
    client.send(upload(6) + b"one")
    assert seen.get() == {"type": "http.request", "body": b"one", "more_body": True}
    client.send(b"two")
    assert seen.get() == {"type": "http.request", "body": b"two", "more_body": False}
    assert client.response().status == 200


@both_loops
def test_receive_with_a_timeout_loses_nothing(connect):
    timeouts = Seen()

    async def app(scope, receive, send):
        pieces: list[bytes] = []
        while True:
            try:
                message = await asyncio.wait_for(receive(), 0.005)
            except asyncio.TimeoutError:
                timeouts.put(len(pieces))
                continue
            pieces.append(message["body"])
            if not message["more_body"]:
                return await answer(send, b"".join(pieces))

    client = connect(app)
    client.send(upload(40))
    for number in range(4):
        timeouts.get()
        timeouts.get()
        client.send(b"%09d\n" % number)
    assert client.response().body == b"".join(b"%09d\n" % number for number in range(4))


@both_loops
def test_two_waiters_share_the_messages(connect):
    seen = Seen()

    async def app(scope, receive, send):
        async def wait(name):
            while (message := await receive())["type"] == "http.request":
                seen.put(message["body"])
            seen.put(name)

        waiters = [asyncio.create_task(wait(name)) for name in ("a", "b")]
        await asyncio.sleep(0)
        seen.put("waiting")
        await asyncio.gather(*waiters)

    client = connect(app)
    client.send(upload(6))
    assert seen.get() == "waiting"
    for piece in (b"one", b"two"):
        client.send(piece)
        assert seen.get() == piece
    client.close()
    assert sorted([seen.get(), seen.get()]) == ["a", "b"]


@both_loops
def test_a_waiting_receive_can_be_cancelled(connect):
    async def app(scope, receive, send):
        waiter = asyncio.create_task(receive())
        await asyncio.sleep(0)
        waiter.cancel()
        try:
            await waiter
        except asyncio.CancelledError:
            await send(start())
            await send(body(b"", more=True))
            await send(body(await body_of(receive)))

    client = connect(app)
    client.send(upload(5))
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    client.send(b"hello")
    assert client.read(15) == b"5\r\nhello\r\n0\r\n\r\n"


def test_a_receive_that_is_never_awaited_loses_nothing(connect):
    async def app(scope, receive, send):
        receive()
        cancelled = asyncio.ensure_future(receive())
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await answer(send, await body_of(receive))

    assert connect(app).ask(method="POST", body=b"all of it").body == b"all of it"


@both_loops
def test_cancelled_receives_leave_nothing_behind(connect):
    seen = Seen()

    async def app(scope, receive, send):
        await receive()
        for _ in range(300):
            waiter = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            waiter.cancel()
            await asyncio.wait([waiter])
        del waiter
        gc.collect()
        seen.put(sum(isinstance(thing, asyncio.Future) for thing in gc.get_objects()))
        await answer(send)

    connect(app).ask()
    assert seen.get() < 50


def test_starlettes_is_disconnected(connect):
    requests = pytest.importorskip("starlette.requests")
    seen, gate = Seen(), Gate()

    async def app(scope, receive, send):
        request = requests.Request(scope, receive)
        seen.put(await request.body())
        seen.put(await request.is_disconnected())
        await gate.wait()
        while not await request.is_disconnected():  # noqa: ASYNC110 (that is the point)
            await asyncio.sleep(0.001)
        seen.put("gone")

    client = connect(app)
    client.request(method="POST", body=b"hello")
    assert seen.get() == b"hello"
    assert seen.get() is False
    gate.open()
    client.close()
    assert seen.get() == "gone"
