"""RSGI: the scope, the request's body, the ways to answer, and what happens to those who misuse
them.
"""

from __future__ import annotations

import asyncio
import socket

import pytest

from granite._core import rsgi
from granite._core.rsgi import ProtocolClosed, ProtocolError
from tests.server.apps import Gate, Seen, eventually
from tests.server.loops import both_loops
from tests.server.raw import Client, chunked, request

MIB = 1024 * 1024
TEXT = [("content-type", "text/plain")]


def served(handler):
    """An application of RSGI."""

    class App:
        async def __rsgi__(self, scope, protocol):
            await handler(scope, protocol)

    return App()


def raises(error, call, *arguments):
    """Whether a call raises just this, and what it says."""
    with pytest.raises(error) as caught:
        call(*arguments)
    assert caught.type is error
    return str(caught.value)


# the scope


@both_loops
def test_scope(connect, serve):
    seen = Seen()

    async def app(scope, protocol):
        names = [name for name in dir(scope) if not name.startswith("_") and name != "headers"]
        seen.put({name: getattr(scope, name) for name in names})
        protocol.response_empty(200, [])

    server = serve(served(app))
    client = connect(server)
    client.ask("/a%20b/%C3%A9?q=a%20b&r", method="POST")
    host, port = client.sock.getsockname()
    assert seen.get() == {
        "proto": "http",
        "rsgi_version": "1.6",
        "http_version": "1.1",
        "server": f"127.0.0.1:{server.port}",
        "client": f"{host}:{port}",
        "scheme": "http",
        "method": "POST",
        "path": "/a b/é",
        "query_string": "q=a%20b&r",
        "authority": None,
    }
    client.send(request("/", version="1.0"))
    found = seen.get()
    assert (found["http_version"], found["query_string"]) == ("1", "")


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_addresses_of_ipv6_are_in_brackets(connect):
    seen = Seen()

    async def app(scope, protocol):
        seen.put((scope.server, scope.client))
        protocol.response_empty(200, [])

    client = connect(served(app), host="::1")
    assert client.ask().status == 200
    assert seen.get() == tuple(
        f"[::1]:{name[1]}" for name in (client.sock.getpeername(), client.sock.getsockname())
    )


def test_addresses_at_a_unix_socket(serve, tmp_path):
    seen = Seen()

    async def app(scope, protocol):
        seen.put((scope.server, scope.client))
        protocol.response_empty(200, [])

    path = str(tmp_path / "s")
    serve(served(app), uds=path)
    client = Client.at(path)
    assert client.ask().status == 200
    client.close()
    assert seen.get() == (f"unix:{path}", "unix:")


def test_what_proxies_tell(connect):
    seen = Seen()

    async def app(scope, protocol):
        seen.put((scope.client, scope.scheme))
        protocol.response_empty(200, [])

    client = connect(served(app), forwarded_allow_ips="127.0.0.1")
    client.ask("/", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    assert seen.get() == ("192.0.2.1:0", "https")


def test_headers_are_a_mapping(connect):
    seen = Seen()

    async def app(scope, protocol):
        headers = scope.headers
        seen.put((list(headers), len(headers), headers.keys(), headers.values(), headers.items()))
        seen.put([name in headers for name in ("host", "HOST", "x-é", "x-no", "x-☃")])
        seen.put((headers["X-Two"], headers.get("x-two"), headers.get("x"), headers.get("x", 1)))
        seen.put((headers.get_all("X-TWO"), headers.get_all("x-no"), headers["x-latin"]))
        seen.put(raises(KeyError, headers.__getitem__, "x-no"))
        seen.put(raises(TypeError, headers.get, b"host"))
        seen.put(dict(headers))
        protocol.response_empty(200, [])

    connect(served(app)).ask("/", "X-Two: a", "x-latin: \xe9", "X-TWO: b")
    names = ["host", "x-two", "x-latin"]
    values = ["test", "a", "\xe9", "b"]
    pairs = list(zip([*names, "x-two"], values, strict=True))
    assert seen.get() == (names, 3, names, values, pairs)
    assert seen.get() == [True, True, False, False, False]
    assert seen.get() == ("a", "a", None, 1)
    assert seen.get() == (["a", "b"], [], "\xe9")
    assert seen.get() == "'x-no'"
    assert "to be a str" in seen.get()
    assert seen.get() == {"host": "test", "x-two": "a", "x-latin": "\xe9"}


@pytest.mark.parametrize("name", ["Scope", "Headers", "HTTPProtocol", "HTTPStreamTransport"])
def test_only_the_server_makes_what_an_application_gets(name):
    assert "cannot create" in raises(TypeError, getattr(rsgi, name))


# the request's body


@both_loops
@pytest.mark.parametrize("size", [0, 5, 4 * MIB])
@pytest.mark.parametrize("way", ["whole", "pieces"])
def test_body(connect, size, way):
    async def app(scope, protocol):
        if way == "whole":
            body = await protocol()
        else:
            body = b"".join([piece async for piece in protocol])
        protocol.response_bytes(200, [], body)

    body = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    assert connect(served(app)).ask(method="POST", body=body).body == body


@both_loops
def test_body_in_pieces_as_they_come(connect):
    seen = Seen()

    async def app(scope, protocol):
        async for piece in protocol:
            seen.put(piece)
        protocol.response_empty(200, [])

    client = connect(served(app))
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    for piece in (b"one", b"two"):
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert seen.get() == piece
    client.send(b"0\r\n\r\n")
    assert client.response().status == 200
    assert seen.empty


@both_loops
def test_a_body_that_is_waited_for_is_asked_for(connect):
    async def app(scope, protocol):
        protocol.response_bytes(200, [], await protocol())

    client = connect(served(app))
    client.send(request("/", "Expect: 100-continue", "Content-Length: 2", method="POST"))
    assert client.response().status == 100
    client.send(b"ok")
    assert client.response().body == b"ok"


def test_a_body_is_read_once(connect):
    seen = Seen()

    async def app(scope, protocol):
        if scope.path == "/whole":
            await protocol()
        else:
            iterator = aiter(protocol)
            assert aiter(iterator) is iterator
            async for _ in iterator:
                pass
        for again in (protocol(), _first(protocol)):
            try:
                await again
            except ProtocolError as exc:  # noqa: PERF203
                seen.put(str(exc))
        protocol.response_empty(200, [])

    client = connect(served(app))
    for path in ("/whole", "/pieces"):
        assert client.ask(path, method="POST", body=b"abc").status == 200
        for _ in range(2):
            assert "read once" in seen.get()


async def _first(protocol):
    async for piece in protocol:
        return piece
    return None


def test_a_body_that_was_given_up_waiting_for_is_not_lost(connect):
    gate = Gate()
    client = connect(served(lambda scope, protocol: _cancelled(protocol, gate)))
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    client.send(b"3\r\none\r\n")
    gate.open()
    client.send(chunked(b"two"))
    assert client.response().body == b"onetwo"


async def _cancelled(protocol, gate):
    task = asyncio.ensure_future(protocol())
    await asyncio.wait([task], timeout=0.05)
    task.cancel()
    await gate.wait()
    protocol.response_bytes(200, [], await protocol())


@both_loops
def test_a_body_that_ends_early_raises(connect, serve):
    seen = Seen()

    async def app(scope, protocol):
        try:
            await protocol()
        except ProtocolClosed as exc:
            seen.put(isinstance(exc, RuntimeError))
            raise

    server = serve(served(app))
    client = connect(server)
    client.send(request("/", "Content-Length: 10", method="POST") + b"part")
    client.reset()
    assert seen.get()
    eventually(lambda: not server.counters()["exchanges"])
    assert not server.exceptions


def test_a_body_after_the_response(connect):
    seen = Seen()

    async def app(scope, protocol):
        protocol.response_empty(202, [])
        try:
            seen.put(await protocol())
        except ProtocolError as exc:
            seen.put(str(exc))

    client = connect(served(app))
    client.send(request("/", "Content-Length: 3", method="POST"))
    assert client.response().status == 202
    assert "was answered" in seen.get()
    client.send(b"abc")
    assert client.ask("/", method="POST", body=b"abc").status == 202
    assert seen.get() in (b"abc", "the request was answered: its response is complete")


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


def test_names_for_applications():
    from granite import rsgi as public

    assert {name: getattr(public, name) for name in public.__all__} == {
        name: getattr(rsgi, name) for name in public.__all__
    }
