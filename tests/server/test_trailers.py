"""Trailers: those of responses, and those of requests."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.apps import Seen, answer, attempt, body, body_of, sending, start
from tests.server.loops import both_loops
from tests.server.raw import request

TE = "TE: trailers"
DIGEST = (b"content-digest", b"sha-256=:x:")
TOLD = [("content-digest", "sha-256=:x:")]
EXTENSION = "granite.request.trailers"


def announced(*fields, status=200):
    return {**start(status, *fields), "trailers": True}


def trailers(*fields, more=False):
    return {"type": "http.response.trailers", "headers": list(fields), "more_trailers": more}


# responses


@both_loops
@pytest.mark.parametrize("te", [TE, "te: gzip;q=0.5 , Trailers", "TE:\ttrailers,chunked"])
@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("pieces", [[b""], [b"hello"], [b"a", b"x" * 100_000], [b"hello", b""]])
def test_trailers_follow_the_body(connect, te, eager, pieces):
    async def app(scope, receive, send):
        assert scope["extensions"]["http.response.trailers"] == {}
        if not eager:
            await asyncio.sleep(0)
        await send(announced((b"trailer", b"content-digest")))
        for number, piece in enumerate(pieces, 1):
            await send(body(piece, more=number < len(pieces)))
        await send(trailers(DIGEST))

    client = connect(app)
    for _ in range(2):
        response = client.ask("/", te)
        assert (response.framing, response.body) == ("chunked", b"".join(pieces))
        assert response.get("trailer") == "content-digest"
        assert response.trailers == TOLD


@pytest.mark.parametrize("fields", [(), ("TE: gzip",), ("TE: trailersx",), ("X-TE: trailers",)])
def test_a_client_that_has_not_said_that_it_takes_trailers_gets_none(connect, fields):
    client = connect(sending(announced(), body(b"hello"), trailers(DIGEST)))
    for _ in range(2):
        response = client.ask("/", *fields)
        assert (response.body, response.trailers) == (b"hello", [])


def test_without_trailers_the_content_length_stays(connect):
    app = sending(announced((b"content-length", b"5")), body(b"hello"), trailers(DIGEST))
    client = connect(app)
    for _ in range(2):
        response = client.ask()
        assert (response.framing, response.body, response.trailers) == ("length", b"hello", [])


def test_with_trailers_the_body_is_chunked_and_its_length_still_checked(connect, log):
    async def app(scope, receive, send):
        await send(announced((b"content-length", b"5")))
        errors = await attempt(send, body(b"too long"))
        seen.put(errors)
        await send(body(b"hello" if scope["path"] == "/" else b"hell"))
        await send(trailers(DIGEST))

    seen = Seen()
    client = connect(app)
    for _ in range(2):
        response = client.ask("/", TE)
        assert (response.framing, response.body, response.trailers) == ("chunked", b"hello", TOLD)
        assert "longer than its content-length" in str(seen.get()[0])
    client.request("/short", TE)
    client.until(b"\r\n\r\n")
    assert client.rest() == b"4\r\nhell\r\n"
    assert any("shorter than its content-length" in message for message in log.messages)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_what_has_no_body_has_no_trailers(connect, method, status):
    client = connect(sending(announced(status=status), body(b""), trailers(DIGEST)))
    for _ in range(2):
        response = client.ask("/", TE, method=method)
        assert (response.status, response.framing) == (status, "none")
    assert client.silent(0.02)


def test_http_1_0_has_no_trailers(connect):
    async def app(scope, receive, send):
        assert "http.response.trailers" not in scope["extensions"]
        await sending(announced(), body(b"hello"), trailers(DIGEST))(scope, receive, send)

    client = connect(app)
    client.send(b"GET / HTTP/1.0\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
    assert client.rest().endswith(b"\r\n\r\nhello")


def test_trailers_in_several_messages_are_one_section(connect):
    pieces = [trailers(DIGEST, more=True), trailers(more=True), trailers((b"x-cost", b"5"))]
    client = connect(sending(announced(), body(b"hello"), *pieces))
    for _ in range(2):
        assert client.ask("/", TE).trailers == [*TOLD, ("x-cost", "5")]


def test_no_trailers_after_all(connect):
    client = connect(sending(announced(), body(b"hello"), trailers()))
    for _ in range(2):
        response = client.ask("/", TE)
        assert (response.body, response.trailers) == (b"hello", [])


@pytest.mark.parametrize("headers", [[[b"a", b"b"]], ((b"a", b"b"),), iter([(b"a", b"b")])])
def test_trailers_may_be_any_iterable_of_pairs(connect, headers):
    last = {"type": "http.response.trailers", "headers": headers}
    client = connect(sending(announced(), body(b"hello"), last))
    assert client.ask("/", TE).trailers == [("a", "b")]


@pytest.mark.parametrize(
    "name",
    [
        *(b"Transfer-Encoding", b"content-length", b"host", b"content-type", b"content-encoding"),
        *(b"trailer", b"set-cookie", b"authorization", b"cache-control", b"connection", b"te"),
    ],
)
@pytest.mark.parametrize("fields", [(), (TE,)])
def test_fields_that_may_not_be_trailers_are_refused(connect, name, fields):
    """Whether or not the client gets any: a mistake does not depend on who asks."""
    seen = Seen()

    async def app(scope, receive, send):
        await send(announced())
        await send(body(b"hello"))
        seen.put(await attempt(send, trailers((name, b"0"))))
        await send(trailers(DIGEST))

    client = connect(app)
    assert client.ask("/", *fields).trailers == (TOLD if fields else [])
    (error,) = seen.get()
    assert type(error) is RuntimeError
    assert f"{name.decode().lower()} must not be a trailer" in str(error).lower()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (trailers((b"a b", b"")), "token"),
        (trailers((b"a", b"b\r\nc: d")), "CR, LF or NUL"),
        (trailers(("a", "b")), "bytes"),
        (trailers(b"a"), "pairs"),
        ({"type": "http.response.trailers"}, "'headers' to be an iterable of pairs"),
        ({"type": "http.response.trailers", "headers": None}, "'headers' to be an iterable"),
        (body(b"more"), "expected the message 'http.response.trailers'"),
        (announced(), "expected the message 'http.response.trailers'"),
    ],
)
def test_what_is_no_trailer_is_refused(connect, wrong, expected):
    seen = Seen()

    async def app(scope, receive, send):
        await send(announced())
        await send(body(b"hello"))
        seen.put(await attempt(send, wrong))
        await send(trailers(DIGEST))
        seen.put(await attempt(send, trailers(DIGEST)))

    client = connect(app)
    for _ in range(2):
        response = client.ask("/", TE)
        assert (response.body, response.trailers) == (b"hello", TOLD)
        (error,) = seen.get()
        assert type(error) is RuntimeError
        assert expected in str(error)
        assert "complete" in str(seen.get()[0])


@pytest.mark.parametrize("start_message", [start(), announced()])
def test_trailers_before_the_end_of_the_body_are_refused(connect, start_message):
    seen = Seen()

    async def app(scope, receive, send):
        messages = [trailers(DIGEST), start_message, trailers(DIGEST), body(b"a", more=True)]
        seen.put(await attempt(send, *messages, trailers(DIGEST)))
        await send(body(b"b"))
        if "trailers" in start_message:
            await send(trailers(DIGEST))

    client = connect(app)
    response = client.ask("/", TE)
    assert response.body == b"ab"
    assert response.trailers == (TOLD if "trailers" in start_message else [])
    expected = ["'http.response.start'", "'http.response.body'", "'http.response.body'"]
    for error, name in zip(seen.get(), expected, strict=True):
        assert f"expected the message {name}, got 'http.response.trailers'" in str(error)


@pytest.mark.parametrize("fields", [(), (TE,)])
def test_a_response_without_the_trailers_that_it_announced_is_cut(connect, log, fields):
    client = connect(sending(announced(), body(b"hello")))
    client.request("/", *fields)
    client.until(b"\r\n\r\n")
    assert client.rest() == b"5\r\nhello\r\n"
    assert any("without completing its response" in message for message in log.messages)


def test_a_failure_before_the_body_of_an_announced_start_is_a_500(connect):
    async def app(scope, receive, send):
        await send(announced())
        raise ValueError("no body")

    client = connect(app)
    for _ in range(2):
        response = client.ask("/", TE)
        assert (response.status, response.framing, response.trailers) == (500, "length", [])


# requests


async def echo_trailers(scope, receive, send):
    found = scope["extensions"].get(EXTENSION)
    data = await body_of(receive)
    text = None if found is None else [(name.decode(), value.decode()) for name, value in found]
    names = {name.decode() for name, _ in scope["headers"]}
    await answer(send, repr((data, text, sorted(names))).encode())


NAMES = ["host", "transfer-encoding"]
CHUNKED = "Transfer-Encoding: chunked"


def with_trailers(lines: bytes, *fields: str, data: bytes = b"hello") -> bytes:
    head = request("/", CHUNKED, *fields, method="POST")
    return head + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(data), data, lines)


@both_loops
@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (b"", []),
        (b"X-Sum:  5 \r\n", [("x-sum", "5")]),
        (b"a: 1\r\nA: 2\r\nb:\r\n", [("a", "1"), ("a", "2"), ("b", "")]),
        (b"x: " + b"y" * 20_000 + b"\r\n", [("x", "y" * 20_000)]),
        # What may not be a trailer is never seen.
        (
            b"Host: evil\r\nX: 1\r\nCookie: a\r\nContent-Type: b\r\nAuthorization: c\r\n",
            [("x", "1")],
        ),
    ],
)
def test_trailers_of_a_request(connect, lines, told):
    client = connect(echo_trailers)
    message = with_trailers(lines)
    for _ in range(2):
        client.send(message)
        assert client.response().body.decode() == repr((b"hello", told, NAMES))
    if len(message) < 1000:
        client.send_per_byte(message)
        assert client.response().body.decode() == repr((b"hello", told, NAMES))
    client.send(message * 3)
    for _ in range(3):
        assert client.response().body.decode() == repr((b"hello", told, NAMES))


def test_a_request_that_can_have_no_trailers_has_no_list(connect):
    client = connect(echo_trailers)
    for _ in range(2):
        response = client.ask(method="POST", body=b"hello")
        assert response.body.decode() == repr((b"hello", None, ["content-length", "host"]))
        assert client.ask().body.decode() == repr((b"", None, ["host"]))


def test_the_list_is_filled_when_the_body_is_complete(connect):
    seen = Seen()

    async def app(scope, receive, send):
        found = scope["extensions"][EXTENSION]
        more = True
        while more:
            more = (await receive())["more_body"]
            seen.put((more, list(found)))
        await answer(send)

    client = connect(app)
    client.send(request("/", CHUNKED, method="POST") + b"1\r\na\r\n")
    assert seen.get() == (True, [])
    client.send(b"0\r\nx: 1\r\n")
    client.send(b"\r\n")
    assert seen.get() == (False, [(b"x", b"1")])
    assert client.response().status == 200


def test_trailers_of_a_request_that_breaks_off_are_never_seen(connect):
    seen = Seen()

    async def app(scope, receive, send):
        found = scope["extensions"][EXTENSION]
        seen.put("begun")
        while (await receive())["type"] != "http.disconnect":
            pass
        seen.put(list(found))

    client = connect(app)
    client.send(request("/", CHUNKED, method="POST") + b"1\r\na\r\n0\r\nx: 1\r\n")
    assert seen.get() == "begun"
    client.send(b"y y\r\n\r\n")
    assert client.response().status == 400
    assert seen.get() == []


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"x: " + b"y" * 900 + b"\r\n", 200),
        (b"x: " + b"y" * 1100 + b"\r\n", 431),
        (b"a:\r\n" * 180, 200),
        (b"a:\r\n" * 250, 431),
    ],
)
def test_trailers_are_limited_like_a_head(connect, lines, status):
    client = connect(echo_trailers, max_head_size=1024, max_field_size=1024, max_fields=1000)
    client.send(with_trailers(lines, data=b"x" * 1000))
    assert client.response().status == status


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"a: 1\r\n" * 5, 200),
        (b"a: 1\r\n" * 6, 431),
        (b"abc: " + b"x" * 95 + b"\r\n", 200),
        (b"abc: " + b"x" * 96 + b"\r\n", 431),
    ],
)
def test_each_trailer_is_limited_like_a_field(connect, lines, status):
    client = connect(echo_trailers, max_fields=5, max_field_size=100)
    client.send(with_trailers(lines))
    assert client.response().status == status


def test_trailers_of_a_body_that_nobody_read_are_dropped(connect):
    async def app(scope, receive, send):
        await answer(send, b"early")

    client = connect(app)
    message = with_trailers(b"x: 1\r\n")
    for at in (len(message), len(message) - 2, len(message) - 4, 100):
        client.send(message[:at])
        assert client.response().body == b"early"
        client.send(message[at:])
    assert client.ask().body == b"early"
