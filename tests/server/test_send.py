"""send(): what is accepted, what is refused and how, and what happens when the client has gone."""

from __future__ import annotations

import asyncio
import http
import re
from collections.abc import Callable

import pytest

from tests.server.apps import Gate, Seen, answer, attempt, body, sending, start
from tests.server.loops import both_loops

START = start(200, (b"content-length", b"2"))
DONE = body(b"ok")


def told(*messages):
    """An application that sends these messages, noting what the refused ones raise."""
    seen = Seen()

    async def app(scope, receive, send):
        seen.put(await attempt(send, *messages))

    return app, seen


def head(**changes):
    return {**START, **changes}


def headers(*fields):
    return head(headers=list(fields))


BEFORE_START = {
    "body first": (DONE, "http.response.start"),
    "unknown type": ({"type": "http.response.begin"}, "http.response.start"),
    "websocket message": ({"type": "websocket.accept"}, "http.response.start"),
    "type is bytes": ({"type": b"http.response.start"}, "http.response.start"),
    "no type": ({"status": 200}, "type"),
    "no message": (None, "dict"),
    "a list": ([("type", "http.response.start")], "dict"),
    "a str": ("http.response.start", "dict"),
    "no status": ({"type": "http.response.start", "headers": []}, "status.*int"),
    "status is a str": (head(status="200"), "status.*int"),
    "status is None": (head(status=None), "status.*int"),
    "status is too small": (head(status=99), "status.*200 to 999"),
    "status is an interim one": (head(status=103), "status.*200 to 999"),
    "status is too large": (head(status=1000), "status.*200 to 999"),
    "status is huge": (head(status=10**30 + 200), "status.*200 to 999"),
    "headers are None": (head(headers=None), "headers"),
    "headers are a number": (head(headers=5), "headers"),
    "headers are a str": (head(headers="ab"), "headers.*(pairs|bytes)"),
    "headers are a dict": (head(headers={b"a": b"b"}), "headers.*(pairs|bytes)"),
    "a field is a number": (headers(5), "headers.*pairs"),
    "a field is None": (headers(None), "headers.*pairs"),
    "a field is one": (headers((b"a",)), "headers.*pairs"),
    "a field is three": (headers((b"a", b"b", b"c")), "headers.*pairs"),
    "str in a field": (headers(("a", "b")), "headers.*bytes"),
    "str value": (headers((b"a", "b")), "headers.*bytes"),
    "number value": (headers((b"content-length", 2)), "headers.*bytes"),
    "the second field is wrong": (headers((b"a", b"b"), (b"c", "d")), "headers.*bytes"),
    "CR in a value": (headers((b"a", b"b\rc")), "headers.*CR, LF or NUL"),
    "LF in a value": (headers((b"a", b"b\nc")), "headers.*CR, LF or NUL"),
    "NUL in a value": (headers((b"a", b"b\0c")), "headers.*CR, LF or NUL"),
    "a response in a value": (headers((b"a", b"\r\n\r\nHTTP/1.1 200 OK")), "headers.*CR, LF"),
    "CRLF in a name": (headers((b"a\r\nb", b"c")), "headers.*token"),
    "a colon in a name": (headers((b"a:", b"c")), "headers.*token"),
    "a space in a name": (headers((b"a ", b"c")), "headers.*token"),
    "a name of no bytes": (headers((b"", b"c")), "headers.*token"),
    "a name beyond ASCII": (headers((b"\xe9", b"c")), "headers.*token"),
    "content-length is no number": (headers((b"content-length", b"two")), "content-length"),
    "content-length is negative": (headers((b"content-length", b"-2")), "content-length"),
    "content-length is huge": (headers((b"content-length", b"9" * 30)), "content-length"),
    "content-length twice": (headers(*[(b"content-length", b"2")] * 2), "content-length"),
}

AFTER_START = {
    "start twice": (START, "http.response.body"),
    "unknown type": ({"type": "http.response.end"}, "http.response.body"),
    "no type": ({"body": b"ok"}, "type"),
    "no message": (None, "dict"),
    "body is a str": (body("ok"), "body.*bytes"),
    "body is None": (body(None), "body.*bytes"),
    "body is a number": (body(2), "body.*bytes"),
    "body is a list": (body([b"ok"]), "body.*bytes"),
}

AFTER_END = {
    "body": (DONE, "complete"),
    "start": (START, "complete"),
    "unknown type": ({"type": "nothing"}, "complete"),
}


def check_refused(connect, before, wrong, expected, after):
    app, seen = told(*before, wrong, *after)
    client = connect(app)
    for _ in range(2):
        response = client.ask()
        assert (response.status, response.body) == (200, b"ok")
        (error,) = seen.get()
        assert type(error) is RuntimeError, repr(error)
        assert re.search(expected, str(error), re.DOTALL), str(error)


@pytest.mark.parametrize("case", BEFORE_START)
def test_before_the_start_it_is_refused(connect, case):
    check_refused(connect, (), *BEFORE_START[case], (START, DONE))


@pytest.mark.parametrize("case", AFTER_START)
def test_after_the_start_it_is_refused(connect, case):
    check_refused(connect, (START,), *AFTER_START[case], (DONE,))


@pytest.mark.parametrize("case", AFTER_END)
def test_after_the_end_it_is_refused(connect, case):
    check_refused(connect, (START, DONE), *AFTER_END[case], ())


def test_a_response_in_a_header_never_leaves(connect):
    client = connect(sending(headers((b"a", b"b\r\n\r\nHTTP/1.1 200 OK"))))
    assert client.ask().status == 500
    assert client.silent(0.02)


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview], ids=lambda make: make.__name__)
@pytest.mark.parametrize("size", [3, 100_000])
def test_a_body_may_be_any_buffer_of_bytes(connect, make, size):
    data = b"0123456789" * (size // 10 + 1)
    client = connect(sending(start(), body(make(data), more=True), body(make(data))))
    assert client.ask().body == data * 2


def test_a_bytearray_may_be_changed_after_send(connect):
    async def app(scope, receive, send):
        data = bytearray(b"a" * 100_000)
        await send(start())
        await send(body(data, more=True))
        data[:] = b"b" * 100_000
        await send(body(data))

    assert connect(app).ask().body == b"a" * 100_000 + b"b" * 100_000


@pytest.mark.parametrize(
    "fields",
    [
        ((b"x-a", b"1"), (b"X-B", b"2")),
        [[b"x-a", b"1"], [b"X-B", b"2"]],
        iter([(b"x-a", b"1"), (b"X-B", b"2")]),
        {b"x-a": b"1", b"X-B": b"2"}.items(),
    ],
    ids=["tuple", "lists", "iterator", "items"],
)
def test_headers_may_be_any_iterable_of_pairs(connect, fields):
    message = {"type": "http.response.start", "status": 200, "headers": fields}
    response = connect(sending(message, DONE)).ask()
    assert response.fields[:2] == [("x-a", "1"), ("X-B", "2")]


def test_what_may_be_left_out(connect):
    messages = ({"type": "http.response.start", "status": 204}, {"type": "http.response.body"})
    response = connect(sending(*messages)).ask()
    assert (response.status, response.body) == (204, b"")


def test_a_message_may_be_another_mapping(connect):
    from types import MappingProxyType

    messages = [MappingProxyType(message) for message in (START, DONE)]
    assert connect(sending(*messages)).ask().body == b"ok"


class Name(str):
    """What an enumeration of names has."""


@pytest.mark.parametrize("make", [lambda name: "".join(list(name)), Name], ids=["made", "subclass"])
def test_names_and_types_need_not_be_literals(connect, make):
    messages = [
        {make(key): make(value) if key == "type" else value for key, value in message.items()}
        for message in (head(unknown=None), body(b"o", more=True), body(b"k"))
    ]
    assert connect(sending(*messages)).ask().body == b"ok"


@pytest.mark.parametrize("octet", [b"\0", b"\n", b"\r"])
def test_no_place_in_a_value_hides_what_ends_a_field(connect, octet):
    values = [b"a" * before + octet + b"a" * after for before in range(18) for after in (0, 1, 9)]
    app, seen = told(*[headers((b"a", value)) for value in values], START, DONE)
    assert connect(app).ask().body == b"ok"
    assert len(seen.get()) == len(values)


def test_values_may_hold_every_other_octet(connect):
    value = bytes(set(range(1, 256)) - set(b"\r\n"))
    fields = [(b"x-%d" % i, b"a" * i + value + b"a") for i in range(9)]
    response = connect(sending(start(200, *fields), body())).ask()
    assert [value.encode("latin-1") for _, value in response.fields[:9]] == [v for _, v in fields]


@pytest.mark.parametrize("name", [b"content-length", b"Content-Length", b"x" * 14, b"x" * 200])
def test_names_are_told_apart_wherever_they_lie(connect, name):
    async def app(scope, receive, send):
        await send(start(200, (bytes(bytearray(name)), b"2")))  # an object of its own
        await send(body(b"ok", more=True))
        await send(body())

    client = connect(app)
    for _ in range(3):
        response = client.ask()
        assert response.body == b"ok"
        assert response.fields.count((name.decode(), "2")) == 1


@pytest.mark.parametrize("status", [200, http.HTTPStatus.IM_A_TEAPOT, 299, 404, 503, 999])
def test_every_status_has_its_reason(connect, status):
    response = connect(sending(start(status), body())).ask()
    assert response.status == status
    expected = "" if status in (299, 999) else http.HTTPStatus(status).phrase
    assert response.reason.lower() == expected.lower()


@both_loops
@pytest.mark.parametrize("how", ["close", "reset"])
def test_after_a_disconnect_it_raises_oserror(connect, serve, how):
    seen = Seen()

    async def app(scope, receive, send):
        seen.put("called")
        while (await receive())["type"] != "http.disconnect":
            pass
        seen.put(await attempt(send, START, DONE, {"type": "nothing"}))

    server = serve(app)
    client = connect(server)
    client.request()
    seen.get()
    getattr(client, how)()
    errors = seen.get()
    assert len(errors) == 3
    for error in errors:
        assert isinstance(error, OSError), repr(error)
        assert "disconnect" in str(error)
    assert server.exceptions == []


@both_loops
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_stream_to_a_client_that_left_ends_in_oserror(connect, serve, how):
    seen, gate = Seen(), Gate()

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"first", more=True))
        await gate.wait()
        try:
            while True:
                await send(body(b"x" * 1000, more=True))
                await asyncio.sleep(0)
        except OSError as exc:
            seen.put(exc)
            raise

    server = serve(app)
    client = connect(server)
    client.request()
    client.until(b"first")
    getattr(client, how)()
    gate.open()
    assert isinstance(seen.get(), OSError)
    assert connect(server).sock is not None
    assert server.exceptions == []  # an OSError that comes back is nobody's fault


def test_the_disconnect_of_one_client_is_not_told_to_another(connect, serve):
    gate, seen = Gate(), Seen()

    async def app(scope, receive, send):
        if scope["path"] == "/leaving":
            await receive()
            seen.put((await receive())["type"])
            return
        await gate.wait()
        await answer(send, b"still here")

    server = serve(app)
    staying, leaving = connect(server), connect(server)
    staying.request("/")
    leaving.request("/leaving")
    leaving.close()
    assert seen.get() == "http.disconnect"
    gate.open()
    assert staying.response().body == b"still here"


class Meddling(int):
    """Part of a message; to look at it sends other messages, as far as they are accepted."""

    meddle: Callable[[], object]

    def __bool__(self):
        self.meddle()
        return False

    def __ge__(self, other):
        self.meddle()
        return True

    def __iter__(self):
        self.meddle()
        return iter(())


MEDDLING = {
    "headers": (0, "headers", (START, DONE)),
    "headers of a start": (0, "headers", (START,)),
    "trailers": (0, "trailers", (START, DONE)),
    "trailers of a start": (0, "trailers", (START,)),
    "more_body": (1, "more_body", (DONE,)),
    "the fields of trailers": (2, "headers", ({"type": "http.response.trailers", "headers": []},)),
}


@pytest.mark.parametrize("case", MEDDLING)
def test_a_message_that_sends_others_while_it_is_looked_at(connect, case):
    """It is refused if they took its place, and breaks neither the response nor the server."""
    at, key, nested = MEDDLING[case]
    seen = Seen()

    async def app(scope, receive, send):
        messages = [head(), body(b"ok"), {"type": "http.response.trailers", "headers": []}]
        if at == 2:
            messages[0]["trailers"] = True
        part = messages[at][key] = Meddling(200)
        part.meddle = lambda: [send(message) for message in nested]
        seen.put(await attempt(send, *messages))

    client = connect(app)
    for _ in range(2):
        response = client.ask("/", "TE: trailers")
        assert (response.status, response.body) == (200, b"ok")
        assert {type(error) for error in seen.get()} == {RuntimeError}
