"""RSGI: the scope and the request's body, and what happens to those who misuse them."""

from __future__ import annotations

import asyncio
import socket

import pytest

from granite._core import rsgi
from granite._core.rsgi import ProtocolClosed, ProtocolError
from tests.server.apps import Gate, Seen, eventually
from tests.server.loops import both_loops
from tests.server.raw import Client, chunked, request
from tests.server.rsgi_apps import raises, served

MIB = 1024 * 1024


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


def test_names_for_applications():
    from granite import rsgi as public

    assert {name: getattr(public, name) for name in public.__all__} == {
        name: getattr(rsgi, name) for name in public.__all__
    }
