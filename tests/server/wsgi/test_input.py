"""wsgi.input: reading the request's body, in all ways that a file can be read."""

from __future__ import annotations

import hashlib
import io
import json
import random
import threading

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Seen
from tests.server.raw import chunked, request
from tests.server.wsgi.apps import PLAIN, Gate, echo

TEXT = b"first\nsecond, which is longer\n\n\nlast without an end"
CALLS = [
    ("read",),
    ("read", -1),
    ("read", None),
    ("read", 0),
    ("read", 1),
    ("read", 7),
    ("read", 10**6),
    ("readline",),
    ("readline", -1),
    ("readline", None),
    ("readline", 0),
    ("readline", 3),
    ("readline", 100),
    ("readlines",),
    ("readlines", 0),
    ("readlines", None),
    ("readlines", 8),
    ("readlines", 1),
    ("__next__",),
]


def attempt(stream, name, *arguments):
    """What a call returns, or raises."""
    try:
        return getattr(stream, name)(*arguments)
    except (StopIteration, TypeError, OverflowError) as exc:
        return type(exc)


def attempts(stream, calls):
    return [attempt(stream, *call) for call in calls]


def some_calls(seed):
    chance = random.Random(seed)
    return [chance.choice(CALLS) for _ in range(chance.randrange(1, 12))] + [("read",), ("read",)]


@pytest.mark.parametrize("pieces", ["whole", "chunks", "bytes"])
def test_it_reads_as_a_file_does(connect, pieces):
    """Whatever is read after whatever else, as io.BytesIO has it."""
    seen = Seen()

    def app(environ, start_response):
        calls = some_calls(environ["QUERY_STRING"])
        seen.put((calls, attempts(environ["wsgi.input"], calls)))
        start_response("200 OK", PLAIN)
        return []

    client = connect(app, body_high_water=1024)
    head = request("/?%s", "Transfer-Encoding: chunked", method="POST")
    for seed in range(40):
        if pieces == "whole":
            client.request(f"/?{seed}", method="POST", body=TEXT)
        else:
            size = 1 if pieces == "bytes" else 9
            parts = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
            client.send(head.replace(b"%s", b"%d" % seed) + chunked(*parts))
        assert client.response().status == 200
        calls, found = seen.get()
        assert found == attempts(io.BytesIO(TEXT), calls), calls


def test_sizes_that_are_none(connect):
    calls = [
        *(("read", "5"), ("read", 2.5), ("read", b""), ("readline", "5"), ("readlines", "5")),
        ("read", 10**30),
    ]
    seen = Seen()

    def app(environ, start_response):
        seen.put(attempts(environ["wsgi.input"], calls))
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read()]

    assert connect(app).ask(method="POST", body=b"whole").body == b"whole"
    assert seen.get() == [TypeError] * 5 + [OverflowError]


def test_what_comes_in_pieces_is_read_as_it_comes(connect):
    """A body that is larger than what is kept of it; the client sends on when it has been read."""
    gate = Gate()
    seen = Seen()

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        seen.put(stream.read(4096) == b"a" * 4096)
        gate.wait()
        seen.put(stream.readline())
        start_response("200 OK", PLAIN)
        return [stream.read()]

    client = connect(app, body_high_water=4096)
    client.send(request("/", "Content-Length: 4112", method="POST") + b"a" * 4096)
    assert seen.get()
    gate.reach()
    gate.open()
    client.send(b"line")
    client.send(b"\nr")
    assert seen.get() == b"line\n"
    client.send(b"est of it.")
    assert client.response().body == b"rest of it."


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_is_much_larger_than_what_is_kept(connect, framing):
    """The client is held back, and nothing is lost, whatever sizes it is read in."""
    data = random.Random(1).randbytes(3_000_000)

    def app(environ, start_response):
        stream, digest, size = environ["wsgi.input"], hashlib.sha256(), 0
        chance = random.Random(2)
        while piece := stream.read(chance.choice([1, 100, 5000, 70_000])):
            digest.update(piece)
            size += len(piece)
        start_response("200 OK", PLAIN)
        return [json.dumps([size, digest.hexdigest()]).encode()]

    client = connect(app, body_high_water=8192)
    for _ in range(2):
        if framing == "length":
            message = request(method="POST", body=data)
        else:
            pieces = [data[at : at + 10_000] for at in range(0, len(data), 10_000)]
            head = request("/", "Transfer-Encoding: chunked", method="POST")
            message = head + chunked(*pieces)
        sender = threading.Thread(target=client.send, args=(message,))
        sender.start()
        found = client.response().body
        sender.join(PATIENCE)
        assert json.loads(found) == [len(data), hashlib.sha256(data).hexdigest()]


def test_a_client_is_held_back_until_its_body_is_read(connect):
    gate = Gate()

    def app(environ, start_response):
        gate.wait()
        start_response("200 OK", PLAIN)
        return [b"%d" % len(environ["wsgi.input"].read())]

    client = connect(app, body_high_water=4096)
    data = bytes(30_000_000)
    client.send(request("/", "Content-Length: 30000000", method="POST"))
    sent = client.send_until_blocked(data)
    gate.reach()
    assert sent < len(data)
    gate.open()
    client.send(data[sent:])
    assert client.response().body == b"30000000"


def test_an_application_that_reads_nothing(connect):
    """The rest is read and dropped, and the connection goes on."""

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return [environ["PATH_INFO"].encode()]

    client = connect(app, body_high_water=4096)
    for size in (10, 5000, 300_000):
        response = client.ask(f"/{size}", method="POST", body=bytes(size))
        assert response.body == b"/%d" % size
        assert response.get("connection") is None


def test_an_application_that_reads_a_part(connect):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read(3)]

    client = connect(app, body_high_water=4096)
    for size in (10, 5000, 300_000):
        assert client.ask(method="POST", body=b"abc" + bytes(size)).body == b"abc"


def test_no_body(connect):
    client = connect(echo)
    assert client.ask().body == b""
    assert client.ask("/", "Content-Length: 0", method="POST").body == b""
    client.send(request("/", "Transfer-Encoding: chunked", method="POST") + chunked())
    assert client.response().body == b""


def test_requests_behind_a_body(connect):
    client = connect(echo)
    client.send(
        request(method="POST", body=b"one")
        + request("/", "Transfer-Encoding: chunked", method="POST")
        + chunked(b"t", b"wo")
        + request(method="POST", body=b"three")
    )
    assert [client.response().body for _ in range(3)] == [b"one", b"two", b"three"]


def test_a_response_that_is_made_while_the_body_is_read(connect):
    """Piece by piece, each sent back before the next is asked for."""

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        stream = environ["wsgi.input"]
        while piece := stream.read(1024):
            yield piece

    client = connect(app, body_high_water=1024)
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    client.send(b"400\r\n" + b"a" * 1024 + b"\r\n")
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    for letter in b"abc":
        if letter != b"a"[0]:
            client.send(b"400\r\n" + bytes([letter]) * 1024 + b"\r\n")
        assert client.until(b"\r\n") == b"400"
        assert client.read(1026) == bytes([letter]) * 1024 + b"\r\n"
    client.send(b"0\r\n\r\n")
    assert client.until(b"\r\n\r\n") == b"0"


def test_others_are_served_while_a_body_is_waited_for(connect, serve, threads):
    """With one thread their bodies come, and calls begin when the waiting one has returned."""
    reading = Seen()

    def app(environ, start_response):
        stream = environ["wsgi.input"]
        body = stream.read(2048)
        if environ["PATH_INFO"] == "/slow":
            reading.put(True)
            body += stream.read()
        start_response("200 OK", PLAIN)
        return [b"%d" % len(body)]

    server = serve(app, body_high_water=2048)
    slow, other = connect(server), connect(server)
    slow.send(request("/slow", "Content-Length: 4000", method="POST") + bytes(2048))
    assert reading.get()
    other.request("/other", method="POST", body=bytes(500))
    if threads > 1:
        assert other.response().body == b"500"
    slow.send(bytes(1952))
    assert slow.response().body == b"4000"
    if threads == 1:
        assert other.response().body == b"500"


def test_a_body_that_is_read_in_two_calls_of_the_iterable(connect):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield environ["wsgi.input"].read(2)
        yield b"-"
        yield environ["wsgi.input"].read()

    assert connect(app).ask(method="POST", body=b"abcdef").body == b"ab-cdef"


def test_lines_by_a_for_loop(connect):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return [b"|".join(environ["wsgi.input"])]

    assert connect(app).ask(method="POST", body=b"a\nb\n\nc").body == b"a\n|b\n|\n|c"
