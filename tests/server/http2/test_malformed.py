"""Requests that are malformed (RFC 9113, 8.1.1): their streams end, the connection goes on, and the
application never hears of them.
"""

from __future__ import annotations

import pytest

from tests.http2.wire import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PROTOCOL_ERROR,
    RST_STREAM,
    frame,
    octets,
    request_fields,
)
from tests.server.apps import Seen, answer, body_of
from tests.server.inside import counted

pytestmark = pytest.mark.c_alone


class Paths(Seen):
    """An application that tells which requests were complete."""

    async def __call__(self, scope, receive, send):
        try:
            await body_of(receive)
        except AssertionError:  # a disconnect
            return
        self.put(scope["path"])
        await answer(send)


@pytest.fixture
def paths():
    return Paths()


def refused(client, stream) -> int:
    """How a malformed request ends: by the status of an answer, or the error of its stream."""
    status = 0
    for found in client.frames():
        assert found.kind != GOAWAY, found
        if found.kind == HEADERS:
            assert found.stream == stream
            status = int(client.fields(found)[":status"])
        elif found.kind == RST_STREAM and found.stream == stream:
            return found.code
        if found.stream == stream and found.flags & END_STREAM:
            return status
    raise AssertionError("the connection ended")


def still_serves(client, paths):
    """Only this request reaches the application."""
    stream = client.request("/good")
    assert client.answer(stream)[":status"] == "200"
    assert paths.get() == "/good"
    assert paths.empty


def good(*extra: tuple[str, str], **pseudo):
    return [*request_fields("/bad", **pseudo), *extra]


def without(name):
    return [pair for pair in request_fields("/bad") if pair[0] != name]


MALFORMED = {
    "name in capitals": good(("X-Upper", "1")),
    "one capital": good(("x-uppeR", "1")),
    "empty name": good(("", "1")),
    "blank in a name": good(("a b", "1")),
    "colon in a name": good(("a:b", "1")),
    "control character in a name": good(("a\x01b", "1")),
    "name above 127": good(("\xe4", "1")),
    "nul in a value": good(("a", "b\0c")),
    "cr in a value": good(("a", "b\rc")),
    "lf in a value": good(("a", "b\nc: d")),
    "blank before a value": good(("a", " b")),
    "tab behind a value": good(("a", "b\t")),
    "connection": good(("connection", "close")),
    "keep-alive": good(("keep-alive", "5")),
    "proxy-connection": good(("proxy-connection", "keep-alive")),
    "transfer-encoding": good(("transfer-encoding", "chunked")),
    "upgrade": good(("upgrade", "websocket")),
    "te": good(("te", "gzip")),
    "te with trailers": good(("te", "trailers, gzip")),
    "pseudo-field behind a field": [
        *without(":path"),
        ("a", "b"),
        (":path", "/bad"),
    ],
    "unknown pseudo-field": [(":what", "1"), *good()],
    "a response's pseudo-field": [(":status", "200"), *good()],
    "protocol without connect": [(":protocol", "websocket"), *good()],
    "no method": without(":method"),
    "no scheme": without(":scheme"),
    "no path": without(":path"),
    "no authority": without(":authority"),
    "two methods": [(":method", "GET"), *good()],
    "two schemes": [(":scheme", "http"), *good()],
    "two paths": [(":path", "/bad"), *good()],
    "two authorities": [(":authority", "test"), *good()],
    "empty method": good(method=""),
    "empty path": [*without(":path"), (":path", "")],
    "path without a slash": [*without(":path"), (":path", "bad")],
    "path that is a uri": [*without(":path"), (":path", "http://test/bad")],
    "asterisk but for options": [*without(":path"), (":path", "*")],
    "blank in a path": [*without(":path"), (":path", "/bad /a")],
    "fragment": [*without(":path"), (":path", "/bad#a")],
    "percent sign alone": [*without(":path"), (":path", "/bad%a")],
    "blank in a method": good(method="G T"),
    "userinfo": good(authority="user@test"),
    "comma in an authority": good(authority="a,b"),
    "empty authority": good(authority=""),
    "host differs": good(("host", "other")),
    "two hosts": good(("host", "test"), ("host", "test")),
    "no length": good(("content-length", "")),
    "length of letters": good(("content-length", "x")),
    "length with a sign": good(("content-length", "+0")),
    "two lengths": good(("content-length", "0"), ("content-length", "0")),
    "a length and no body": good(("content-length", "5")),
    "proxied connect of an extended kind": [(":protocol", "websocket"), *good(method="CONNECT")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_head(wire, serve, paths, fields):
    server = serve(paths)
    client = wire(server)
    client.request("/first")
    assert paths.get() == "/first"
    client.ping()
    assert refused(client, client.headers(fields)) in (PROTOCOL_ERROR, 400)
    still_serves(client, paths)
    assert counted(server)["rejected_bad_request"] == 1


def test_no_octet_of_a_malformed_body_is_a_request(wire, paths):
    client = wire(paths)
    stream = client.headers(good(("X-Upper", "1"), method="POST"), end=False)
    assert refused(client, stream) in (PROTOCOL_ERROR, 400)
    client.data(stream, b"x" * 1000, end=True)
    still_serves(client, paths)


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        (5, [b"four"]),
        (5, [b"sixsix"]),
        (5, [b"fo", b"ur"]),
        (5, [b"hello", b"!"]),
        (0, [b"!"]),
        (5, [b""]),
    ],
)
@pytest.mark.parametrize("read", [True, False], ids=["at once", "piece by piece"])
def test_a_body_of_another_length(wire, paths, length, pieces, read):
    client = wire(paths)
    fields = good(("content-length", str(length)), method="POST")
    stream = client.headers(fields, end=False)
    for number, piece in enumerate(pieces, 1):
        client.data(stream, piece, end=number == len(pieces))
        if read and number < len(pieces):
            client.ping()
    assert refused(client, stream) in (PROTOCOL_ERROR, 400)
    still_serves(client, paths)


@pytest.mark.parametrize(
    "fields",
    [
        [(":path", "/")],
        [("a", "b"), (":status", "200")],
        [("X-Upper", "1")],
        [("connection", "close")],
        [("transfer-encoding", "chunked")],
        [("a", "b\nc")],
        [("a b", "c")],
    ],
)
def test_malformed_trailers(wire, paths, fields):
    client = wire(paths)
    stream = client.request("/bad", end=False, method="POST")
    client.data(stream, b"hello")
    client.headers(fields, stream=stream)
    assert refused(client, stream) in (PROTOCOL_ERROR, 400)
    still_serves(client, paths)


def test_trailers_that_do_not_end_the_stream(wire, paths):
    client = wire(paths)
    stream = client.request("/bad", end=False, method="POST")
    client.headers([("a", "b")], stream=stream, end=False)
    assert refused(client, stream) in (PROTOCOL_ERROR, 400)
    still_serves(client, paths)


@pytest.mark.parametrize("fields", [[(":authority", "a:80")], []], ids=["proper", "with a path"])
def test_connect_is_refused(wire, paths, fields):
    client = wire(paths)
    fields = [(":method", "CONNECT"), *fields] if fields else good(method="CONNECT")
    assert refused(client, client.headers(fields, end=False)) in (PROTOCOL_ERROR, 400, 501)
    still_serves(client, paths)


@pytest.mark.parametrize(("method", "status"), [("TRACE", 501), ("get", 501), ("A" * 33, 501)])
def test_methods_that_are_not_served(wire, paths, method, status):
    client = wire(paths)
    assert refused(client, client.request("/bad", method=method)) == status
    still_serves(client, paths)


def test_te_trailers_is_no_fault(wire, paths):
    client = wire(paths)
    stream = client.request("/good", "te: trailers")
    assert client.answer(stream)[":status"] == "200"


def test_an_expectation_that_is_unknown(wire, paths):
    client = wire(paths)
    stream = client.request("/bad", "expect: much", method="POST", end=False)
    assert refused(client, stream) == 417
    still_serves(client, paths)


def test_fields_with_underscores_may_be_refused(wire, serve, paths):
    client = wire(serve(paths, header_map="refuse"))
    assert refused(client, client.request("/bad", "a_b: 1")) == 400
    still_serves(client, paths)


@pytest.mark.parametrize(
    ("settings", "lines", "path"),
    [
        ({"max_fields": 5}, [f"a{number}: b" for number in range(6)], "/bad"),
        ({"max_field_size": 100}, ["a: " + "b" * 100], "/bad"),
        ({"http2_max_headers_size": 2048}, ["a: " + "b" * 1000, "c: " + "d" * 1000], "/bad"),
    ],
)
def test_heads_that_are_too_large(wire, serve, paths, settings, lines, path):
    server = serve(paths, **settings)
    client = wire(server)
    assert refused(client, client.request(path, *lines)) == 431
    still_serves(client, paths)
    assert counted(server)["rejected_head_size"] == 1


def test_a_body_that_is_too_large(wire, serve, paths):
    server = serve(paths, max_body_size=10)
    client = wire(server)
    stream = client.request("/bad", "content-length: 11", method="POST", end=False)
    assert refused(client, stream) == 413
    stream = client.request("/bad", method="POST", end=False)
    client.data(stream, b"x" * 11)
    assert refused(client, stream) == 413
    still_serves(client, paths)
    assert counted(server)["rejected_body_size"] == 2


@pytest.mark.parametrize("size", [20, 50, 1000])
def test_a_head_in_several_frames(wire, paths, size):
    """CONTINUATION is as good as one frame."""
    client = wire(paths)
    stream = client.new_stream()
    block = client.encoder.encode(octets(request_fields("/good", "a: " + "b" * 100)))
    pieces = [block[at : at + size] for at in range(0, len(block), size)]
    for number, piece in enumerate(pieces, 1):
        last = END_HEADERS if number == len(pieces) else 0
        kind, flags = (HEADERS, END_STREAM) if number == 1 else (CONTINUATION, 0)
        client.send(frame(kind, flags | last, stream, piece))
    assert client.answer(stream)[":status"] == "200"
    assert paths.get() == "/good"
