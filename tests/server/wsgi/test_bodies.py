"""The response's body: what an application returns or writes, and clients that do not keep up."""

from __future__ import annotations

import threading

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Seen, eventually
from tests.server.raw import request
from tests.server.wsgi.apps import PLAIN, Closing, Gate, answering, returning

MIB = 1024 * 1024


class Sized:
    """An iterable of one piece that has a length, as some frameworks' responses are."""

    def __len__(self):
        return 1

    def __iter__(self):
        yield b"sized"


class Indexed:
    """Iterated over in the way of old."""

    def __getitem__(self, index):
        return [b"in", b"dex", b"ed"][index]


class Rows(list):
    """A list that is not what it seems."""

    def __iter__(self):
        yield b"own iteration"


# what is returned


@pytest.mark.parametrize(
    ("make", "body", "framing"),
    [
        (list, b"", "length"),
        (lambda: (), b"", "length"),
        (lambda: [b""], b"", "length"),
        (lambda: [b"one"], b"one", "length"),
        (lambda: (b"one",), b"one", "length"),
        (lambda: [b"one", b"", b"two"], b"onetwo", "length"),
        (lambda: (b"one", b"two"), b"onetwo", "length"),
        (lambda: [bytearray(b"one"), memoryview(b"two")], b"onetwo", "length"),
        (lambda: [bytes(MIB)], bytes(MIB), "length"),
        (lambda: [bytes(MIB), b"x"], bytes(MIB) + b"x", "chunked"),
        (lambda: iter([]), b"", "length"),
        (lambda: iter([b"one", b"two"]), b"onetwo", "chunked"),
        (lambda: (piece for piece in [b"", b"one", b"", b"two", b""]), b"onetwo", "chunked"),
        (lambda: {b"one": 1}, b"one", "chunked"),
        (Sized, b"sized", "chunked"),
        (Indexed, b"indexed", "chunked"),
        (lambda: Rows([b"other"]), b"own iteration", "chunked"),
        (lambda: Closing([b"one", b"two"]), b"onetwo", "chunked"),
        (lambda: map(bytes, [b"one", b"two"]), b"onetwo", "chunked"),
    ],
)
def test_what_is_returned(connect, make, body, framing):
    client = connect(returning(lambda environ: make()))
    for _ in range(2):
        response = client.ask()
        assert (response.body, response.framing) == (body, framing)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_body_of_unknown_length(connect, version):
    """HTTP/1.0 knows no chunks: the end of the connection is its end."""
    client = connect(returning(lambda environ: iter([b"one", b"two"])))
    client.send(request(version=version))
    response = client.response()
    assert response.body == b"onetwo"
    assert response.framing == ("close" if version == "1.0" else "chunked")


def test_each_piece_is_on_its_way_before_the_next_is_asked_for(connect):
    gate = Gate()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        for number in range(3):
            yield b"piece %d" % number
            gate.wait()

    client = connect(app)
    client.request()
    client.until(b"\r\n\r\n")
    for number in range(3):
        assert client.read(12) == b"7\r\npiece %d\r\n" % number
        gate.reach()
        gate.open()
    assert client.read(5) == b"0\r\n\r\n"


def test_the_head_leaves_with_the_first_piece_only(connect):
    gate = Gate()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b""
        gate.wait()
        yield b"first"

    client = connect(app)
    client.request()
    gate.reach()
    assert client.silent()
    gate.open()
    assert client.response().body == b"first"


def test_write(connect):
    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        assert write(b"one ") is None
        write(b"")
        write(bytearray(b"two "))
        for wrong in ("text", None, 5):
            with pytest.raises(TypeError):
                write(wrong)
        return [b"three"] if environ["PATH_INFO"] == "/more" else []

    client = connect(app)
    assert client.ask().body == b"one two "
    assert client.ask("/more").body == b"one two three"


@pytest.mark.parametrize("pieces", [[], [b""], [b"", b""]])
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_write_of_the_whole_body(connect, serve, kind, pieces):
    """As its length says; what is returned then adds nothing."""

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])(b"hello")
        return kind(pieces)

    server = serve(app)
    client = connect(server)
    for _ in range(2):
        assert client.ask().body == b"hello"
    assert server.exceptions == []


def test_write_sends_at_once(connect):
    gate = Gate()

    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"one")
        gate.wait()
        write(b"two")
        with pytest.raises(RuntimeError, match="complete"):
            write(b"more")
        return []

    client = connect(app)
    client.request()
    client.until(b"\r\n\r\n")
    assert client.read(3) == b"one"
    gate.open()
    assert client.read(3) == b"two"
    gate.open()
    assert client.ask().body == b"onetwo"


def test_write_waits_for_a_slow_client(connect):
    """It returns when there is room for more."""
    written = Seen()

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        for number in range(200):
            write(bytes([number]) * 65536)
            written.put(number)
        return [b"end"]

    client = connect(app, receive_buffer=4096, write_high_water=65536)
    client.request()
    head = client.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert written.get() == 0
    body = b""
    while size := int(client.until(b"\r\n"), 16):
        body += client.read(size)
        client.read(2)
    assert body == b"".join(bytes([number]) * 65536 for number in range(200)) + b"end"


# a client that does not keep up


@pytest.mark.parametrize("way", ["iterate", "write"])
def test_a_slow_client_holds_the_application_back(connect, serve, threads, way):
    """And nobody else, but that write() keeps the only thread."""
    pieces = Closing([bytes(65536)] * 1000)

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        if environ["PATH_INFO"] == "/quick":
            return [b"quick"]
        if way == "iterate":
            return pieces
        for piece in pieces:
            write(piece)
        return []

    server = serve(app, write_high_water=65536)
    slow = connect(server, receive_buffer=4096)
    slow.request()
    slow.until(b"\r\n\r\n")
    if way == "iterate" or threads > 1:
        quick = connect(server)
        assert [quick.ask("/quick").body for _ in range(5)] == [b"quick"] * 5
    slow.close()
    eventually(lambda: server.counters()["running"] == 0)
    assert pieces.given < 900
    assert pieces.closed == (way == "iterate")
    assert server.exceptions == []


def test_a_slow_client_gets_everything(connect):
    data = [bytes([number % 256]) * 10_000 for number in range(500)]
    client = connect(
        returning(lambda environ: iter(data)), receive_buffer=4096, write_high_water=16384
    )
    client.request()
    assert client.response().body == b"".join(data)
    assert client.ask().body == b"".join(data)


def test_many_slow_clients_at_once(connect, serve):
    """More than there are threads, with one thread all of them suspended by turns."""
    data = [bytes([number]) * 40_000 for number in range(100)]
    server = serve(returning(lambda environ: iter(data)), write_high_water=16384)
    clients = [connect(server, receive_buffer=4096) for _ in range(8)]
    found = []

    def read(client):
        client.request()
        found.append(client.response().body == b"".join(data))

    threads = [threading.Thread(target=read, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [True] * 8


# keep-alive, pipelines


def test_pipelined_requests(connect):
    client = connect(returning(lambda environ: iter([environ["RAW_URI"].encode(), b"."])))
    client.send(b"".join(request(f"/{n}") for n in range(50)))
    assert [client.response().body for _ in range(50)] == [b"/%d." % n for n in range(50)]


def test_the_applications_connection_close(connect):
    client = connect(answering(b"x", headers=[("Connection", "close")]))
    assert client.ask().get("connection") == "close"
    assert client.ended()
