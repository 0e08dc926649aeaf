"""RSGI: the ways to answer, streams, clients that leave, and what happens to those who misuse
them.
"""

from __future__ import annotations

import asyncio

import pytest

from granite._core.rsgi import ProtocolClosed, ProtocolError
from tests.server.apps import Gate, Seen, eventually
from tests.server.loops import both_loops
from tests.server.rsgi_apps import raises, served

MIB = 1024 * 1024
TEXT = [("content-type", "text/plain")]


# the response


@both_loops
def test_ways_to_answer(connect, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    async def app(scope, protocol):
        if scope.path == "/empty":
            protocol.response_empty(200, TEXT)
        elif scope.path == "/str":
            protocol.response_str(status=201, headers=TEXT, body="é")
        elif scope.path == "/bytes":
            protocol.response_bytes(202, TEXT, b"bytes")
        elif scope.path == "/bytearray":
            protocol.response_bytes(202, tuple(TEXT), bytearray(b"bytes"))
        elif scope.path == "/file":
            protocol.response_file(200, TEXT, str(path))
        elif scope.path == "/path":
            protocol.response_file(200, TEXT, path)
        elif scope.path == "/range":
            protocol.response_file_range(206, TEXT, str(path), 2, 5)
        elif scope.path == "/range-beyond":
            protocol.response_file_range(206, TEXT, str(path), 8, 50)
        elif scope.path == "/stream":
            stream = protocol.response_stream(200, TEXT)
            await stream.send_bytes(b"bytes")
            await stream.send_bytes(b"")
            await stream.send_str("é")
            await stream.send_bytes(memoryview(b"view"))

    client = connect(served(app))
    for way, status, body in [
        ("empty", 200, b""),
        ("str", 201, "é".encode()),
        ("bytes", 202, b"bytes"),
        ("bytearray", 202, b"bytes"),
        ("file", 200, b"0123456789"),
        ("path", 200, b"0123456789"),
        ("range", 206, b"234"),
        ("range-beyond", 206, b"89"),
        ("stream", 200, "bytesé".encode() + b"view"),
    ]:
        for method in ("GET", "HEAD"):
            response = client.ask(f"/{way}", method=method)
            assert (response.status, response.get("content-type")) == (status, "text/plain"), way
            if method == "GET":
                assert response.body == body
                assert response.framing == ("chunked" if way == "stream" else "length")


@pytest.mark.parametrize("kind", ["none", "directory", "nul", "long", "under a file"])
def test_a_file_that_is_not_there_is_a_404(connect, tmp_path, kind):
    (tmp_path / "file").touch()
    path = {
        "none": tmp_path / "none",
        "directory": tmp_path,
        "nul": "a\0b",
        "long": "/" + "x" * 5000,
        "under a file": tmp_path / "file" / "more",
    }[kind]

    async def app(scope, protocol):
        protocol.response_file(200, [("content-length", "5")], str(path))

    client = connect(served(app))
    for _ in range(2):
        response = client.ask()
        assert (response.status, response.body) == (404, b"Not Found")


def test_a_file_that_fails_otherwise_is_the_applications_error(connect, serve, tmp_path):
    (tmp_path / "link").symlink_to("link")
    server = serve(served(_file(str(tmp_path / "link"))))
    assert connect(server).ask().status == 500
    [exc] = server.exceptions
    assert "can't be sent" in str(exc)


def _file(path):
    async def app(scope, protocol):
        protocol.response_file(200, [], path)

    return app


def test_what_is_refused_leaves_the_response_open(connect, tmp_path):
    seen = Seen()
    (tmp_path / "file").write_bytes(b"abc")

    async def app(scope, protocol):
        text, data, file = protocol.response_str, protocol.response_bytes, str(tmp_path / "file")
        seen.put(raises(TypeError, text, 200, {"a": "b"}, ""))
        seen.put(raises(TypeError, text, 200, [(b"a", b"b")], ""))
        seen.put(raises(TypeError, text, 200, [("a", "b", "c")], ""))
        seen.put(raises(TypeError, text, "200", [], ""))
        seen.put(raises(TypeError, text, 200, [], b""))
        seen.put(raises(TypeError, data, 200, [], "text"))
        seen.put(raises(TypeError, data, 200, [], 5))
        seen.put(raises(ValueError, text, 101, [], ""))
        seen.put(raises(UnicodeEncodeError, text, 200, [("a", "☃")], ""))
        seen.put(raises(RuntimeError, text, 200, [("a", "b\r\nc: d")], ""))
        seen.put(raises(RuntimeError, text, 200, [("a b", "c")], ""))
        seen.put(raises(RuntimeError, text, 200, [("content-length", "1")], "long"))
        seen.put(raises(RuntimeError, protocol.response_file, 200, [("content-length", "1")], file))
        seen.put(raises(ValueError, protocol.response_file_range, 206, [], file, 5, 5))
        seen.put(raises(ValueError, protocol.response_file_range, 206, [], file, -1, 5))
        text(200, [], "fine")

    client = connect(served(app))
    for _ in range(2):
        assert client.ask().body == b"fine"
        assert all(seen.get() for _ in range(15))


def test_a_request_gets_one_response(connect):
    seen = Seen()

    async def app(scope, protocol):
        if scope.path == "/stream":
            await protocol.response_stream(200, []).send_bytes(b"first")
        else:
            protocol.response_str(200, [], "first")
        seen.put(raises(ProtocolError, protocol.response_str, 200, [], "second"))
        seen.put(raises(ProtocolError, protocol.response_stream, 200, []))
        seen.put(raises(ProtocolError, protocol.response_file, 200, [], "/"))

    client = connect(served(app))
    for path in ("/", "/stream"):
        assert client.ask(path).body == b"first"
        for _ in range(3):
            assert "one response" in seen.get()


def test_no_response_is_a_500(connect, log):
    async def app(scope, protocol):
        return None

    assert connect(served(app)).ask("/none").status == 500
    [record] = log.errors
    assert record.getMessage() == "the application returned without a response: GET /none"


def test_an_exception_is_a_500(connect, serve, log):
    async def app(scope, protocol):
        raise KeyError("asked for")

    server = serve(served(app))
    client = connect(server)
    assert [client.ask().status for _ in range(2)] == [500, 500]
    assert [type(exc) for exc in server.exceptions] == [KeyError, KeyError]
    assert "exception in the application: GET /" in log.messages


def test_no_awaitable_is_a_500(connect, serve):
    class App:
        def __rsgi__(self, scope, protocol):
            return 5

    server = serve(App())
    assert connect(server).ask().status == 500
    [exc] = server.exceptions
    assert str(exc).startswith("an application of RSGI must return an awaitable, not int")


# streams


@both_loops
def test_the_head_of_a_stream_leaves_at_once(connect):
    gate = Gate()

    async def app(scope, protocol):
        stream = protocol.response_stream(200, [("x-a", "b")])
        await gate.wait()
        await stream.send_str("later")

    client = connect(served(app))
    client.request()
    head = client.until(b"\r\n\r\n")
    assert b"x-a: b" in head
    assert b"transfer-encoding: chunked" in head
    gate.open()
    assert client.until(b"0\r\n\r\n") == b"5\r\nlater\r\n"
    client.request()
    gate.open()
    assert client.response().body == b"later"


def test_a_stream_of_a_declared_length(connect, log):
    async def app(scope, protocol):
        stream = protocol.response_stream(200, [("content-length", "6")])
        await stream.send_bytes(b"abc")
        if scope.path == "/whole":
            await stream.send_bytes(b"def")

    client = connect(served(app))
    response = client.ask("/whole")
    assert (response.body, response.framing) == (b"abcdef", "length")
    client.request("/short")
    assert client.until(b"\r\n\r\n")
    assert client.rest() == b"abc"
    assert "shorter than its content-length" in log.messages[-1]


def test_a_stream_that_raises_is_cut_short(connect, serve):
    async def app(scope, protocol):
        await protocol.response_stream(200, []).send_str("begun")
        raise KeyError("asked for")

    server = serve(served(app))
    client = connect(server)
    client.request()
    client.until(b"\r\n\r\n")
    assert client.rest() == b"5\r\nbegun\r\n"
    assert [type(exc) for exc in server.exceptions] == [KeyError]


def test_a_stream_ends_with_the_call(connect):
    seen = Seen()

    async def app(scope, protocol):
        stream = protocol.response_stream(200, [])
        await stream.send_str("x")
        seen.put(stream)

    client = connect(served(app))
    assert client.ask().body == b"x"
    stream = seen.get()
    assert "was answered" in raises(ProtocolError, stream.send_str, "late")
    assert "was answered" in raises(ProtocolError, stream.send_bytes, b"late")
    assert "a str" in raises(TypeError, stream.send_str, b"")
    assert "bytes" in raises(TypeError, stream.send_bytes, "")


# the client's leaving


@both_loops
@pytest.mark.parametrize("leave", ["close", "reset"])
def test_client_disconnect(connect, serve, leave):
    seen = Seen()

    async def app(scope, protocol):
        seen.put("called")
        seen.put(await protocol.client_disconnect())
        protocol.response_str(200, [], "nobody gets this")
        seen.put(raises(ProtocolError, protocol.response_stream, 200, []))

    server = serve(served(app))
    client = connect(server)
    client.request()
    assert seen.get() == "called"
    getattr(client, leave)()
    assert seen.get() is None
    assert "one response" in seen.get()
    eventually(lambda: not server.counters()["running"])
    assert not server.exceptions


@both_loops
def test_a_stream_raises_when_the_client_has_gone(connect, serve, log):
    seen = Seen()

    async def app(scope, protocol):
        stream = protocol.response_stream(200, [])
        gone = asyncio.ensure_future(protocol.client_disconnect())
        seen.put("called")
        await gone
        for data in (b"x", b"y"):
            try:
                await stream.send_bytes(data)
            except ProtocolClosed as exc:  # noqa: PERF203
                seen.put(isinstance(exc, OSError))
        await stream.send_bytes(b"x")

    server = serve(served(app))
    client = connect(server)
    client.request()
    assert seen.get() == "called"
    client.reset()
    assert [seen.get(), seen.get()] == [True, True]
    eventually(lambda: not server.counters()["exchanges"])
    assert not server.exceptions
    assert not log.errors


def test_a_response_ends_the_wait_for_a_disconnect(connect):
    seen = Seen()
    tasks = []

    async def app(scope, protocol):
        tasks.append(asyncio.ensure_future(_tell(protocol, seen)))
        await asyncio.sleep(0)
        protocol.response_str(200, [], "answer")

    assert connect(served(app)).ask().body == b"answer"
    assert seen.get() is None


async def _tell(protocol, seen):
    seen.put(await protocol.client_disconnect())


@both_loops
def test_a_stream_waits_for_a_client_that_does_not_read(connect):
    seen = Seen()
    piece, total = b"x" * 65536, 24 * MIB // 65536

    async def app(scope, protocol):
        async def stream():
            transport = protocol.response_stream(200, [])
            for _ in range(total):
                await transport.send_bytes(piece)
                sent.append(None)

        sent: list[None] = []
        task = asyncio.create_task(stream())
        before = -1
        while len(sent) != before:
            before = len(sent)
            await asyncio.wait([task], timeout=0.1)
        seen.put(before)
        await task

    client = connect(served(app), receive_buffer=4096)
    client.request()
    assert seen.get() < total
    assert len(client.response().body) == total * len(piece)
