"""The handshake: what is one, what an application sees of it, and how it is answered."""

from __future__ import annotations

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, Scopes, Seen, eventually, hello
from tests.server.logged import Logged
from tests.server.loops import both_loops
from tests.server.raw import request
from tests.server.websocket.apps import (
    Recording,
    Text,
    accept,
    accepting_too_late,
    denying_slowly,
    echo,
)
from tests.server.websocket.client import FIELDS, KEY, WebSocket, handshake
from tests.wire.frames import PONG, TEXT, frame

ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3


@both_loops
def test_accepted(open_websocket):
    websocket = open_websocket(echo)
    answer = websocket.answer
    assert (answer.reason, answer.get("sec-websocket-accept")) == ("Switching Protocols", ACCEPT)
    assert (answer.get("upgrade"), answer.get("connection")) == ("websocket", "Upgrade")
    assert answer.get("server") == "granite"
    assert answer.get("date") is not None
    assert not {"content-length", "transfer-encoding"} & {name for name, _ in answer.fields}
    websocket.say("hello")
    assert websocket.message() == "hello"
    assert websocket.close(1000) == (1000, "")


def test_the_scope(open_websocket):
    app = Recording()
    fields = ("Sec-WebSocket-Protocol: chat, v2.x", "Sec-WebSocket-Protocol: , third")
    open_websocket(app, *fields, target="/a%20b?c=%20")
    scope = app.get()
    assert isinstance(scope.pop("headers"), list)
    assert isinstance(scope.pop("client"), tuple)
    assert isinstance(scope.pop("server"), tuple)
    extensions = scope.pop("extensions")
    assert extensions["websocket.http.response"] == {}
    assert "http.response.trailers" not in extensions
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=%20",
        "root_path": "",
        "subprotocols": ["chat", "v2.x", "third"],
    }


def test_the_lifespans_state_is_in_the_scope(connect):
    seen = Seen()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["key"] = "value"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen.put(scope["state"])
        await echo(scope, receive, send)

    WebSocket(connect(app, lifespan="on"))
    assert seen.get() == {"key": "value"}


@pytest.mark.parametrize(
    "fields",
    [
        ("upgrade: WEBSOCKET", "connection: keep-alive, upgrade"),
        ("Upgrade: h2c, WebSocket", "Connection: UPGRADE,close"),
        ("Connection: close", "Connection: foo , Upgrade", "Upgrade: h2c", "Upgrade: websocket"),
    ],
)
def test_tokens_in_any_case_and_order(connect, fields):
    client = connect(echo)
    client.send(request("/", *fields, *FIELDS[2:]))
    assert client.response().status == 101


@pytest.mark.parametrize(
    "fields",
    [
        ("Upgrade: websocket",),
        ("Upgrade: websocket", "Connection: keep-alive"),
        ("Upgrade: h2c", "Connection: Upgrade"),
        ("Connection: Upgrade",),
    ],
)
def test_what_is_no_offer_is_a_request(connect, fields):
    client = connect(hello)
    assert client.ask("/", *fields, *FIELDS[2:]).status == 200
    assert client.ask().status == 200


def test_http_1_0_has_no_upgrades(connect):
    client = connect(hello)
    client.send(handshake().replace(b" HTTP/1.1", b" HTTP/1.0"))
    assert client.response().status == 200


def test_websockets_that_are_off(connect):
    client = connect(hello, ws=False)
    client.send(handshake())
    assert client.response().status == 200


WRONG = {
    "no version": (handshake(without="Sec-WebSocket-Version"), 426),
    "an old version": (
        handshake("/", "Sec-WebSocket-Version: 8", without="Sec-WebSocket-Version"),
        426,
    ),
    "two versions": (handshake("/", "Sec-WebSocket-Version: 13"), 426),
    "no key": (handshake(without="Sec-WebSocket-Key"), 400),
    "two keys": (handshake("/", f"Sec-WebSocket-Key: {KEY}"), 400),
    "a short key": (
        handshake("/", "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==", without="Sec-WebSocket-Key"),
        400,
    ),
    "a key that is no base64": (
        handshake("/", f"Sec-WebSocket-Key: ?{KEY[1:]}", without="Sec-WebSocket-Key"),
        400,
    ),
    "another method": (handshake(method="POST"), 400),
    "a body": (handshake("/", "Content-Length: 1") + b"a", 400),
    "a body in chunks": (handshake("/", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "a subprotocol that is no token": (handshake("/", "Sec-WebSocket-Protocol: a b"), 400),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_handshake(connect, name):
    data, status = WRONG[name]
    client = connect(hello)
    client.send(data)
    response = client.response()
    assert response.status == status
    assert response.get("sec-websocket-version") == ("13" if status == 426 else None)
    assert client.ended()


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://example.com", 101),
        ("HTTPS://Example.com", 101),
        ("https://example.com:8443", 403),
        ("https://evil.example", 403),
        ("null", 403),
        (None, 101),
    ],
)
def test_origins(connect, origin, status):
    client = connect(echo, ws_origins=("https://example.com", "http://localhost:3000"))
    client.send(handshake("/", *([f"Origin: {origin}"] if origin else [])))
    assert client.response().status == status


def test_a_subprotocol_and_fields(connect):
    async def app(scope, receive, send):
        await accept(
            receive, send, subprotocol="b", headers=[(b"X-One", b"1"), [b"set-cookie", b"a=b"]]
        )
        await receive()

    websocket = WebSocket(connect(app), "/", "Sec-WebSocket-Protocol: a, b")
    assert websocket.answer.get("sec-websocket-protocol") == "b"
    assert websocket.answer.get("x-one") == "1"
    assert websocket.answer.get("set-cookie") == "a=b"


def test_a_subprotocol_of_another_kind(connect):
    async def app(scope, receive, send):
        await accept(receive, send, subprotocol=Text("b"))
        await receive()

    websocket = WebSocket(connect(app), "/", "Sec-WebSocket-Protocol: a, b")
    assert websocket.answer.get("sec-websocket-protocol") == "b"


@pytest.mark.parametrize("is_late", [False, True])
def test_an_answer_of_more_than_the_high_water_mark(connect, is_late):
    gate = Gate()

    async def app(scope, receive, send):
        if is_late:
            await gate.wait()
        await accept(receive, send, headers=[(b"x-long", b"x" * 2000)])
        await send({"type": "websocket.send", "text": "accepted"})

    client = connect(app, write_high_water=1024, write_low_water=512)
    client.send(handshake())
    if is_late:
        assert gate.reached.wait(PATIENCE)
        gate.open()
    assert WebSocket.of(client, client.response()).message() == "accepted"


@pytest.mark.parametrize(
    "parts",
    [
        {"subprotocol": "c"},
        {"subprotocol": 1},
        {"headers": [(b"sec-websocket-protocol", b"a")]},
        {"headers": [(b"Sec-WebSocket-Accept", b"a")]},
        {"headers": [(b"a", b"b\r\nc: d")]},
        {"headers": [("a", "b")]},
        {"headers": 1},
    ],
)
def test_what_accepts_nothing(connect, serve, parts):
    async def app(scope, receive, send):
        await accept(receive, send, **parts)

    server = serve(app)
    client = connect(server)
    client.send(handshake("/", "Sec-WebSocket-Protocol: a, b"))
    assert client.response().status == 500
    (error,) = server.exceptions
    assert isinstance(error, (RuntimeError, TypeError))


@both_loops
@pytest.mark.parametrize("is_late", [False, True])
def test_frames_that_come_with_the_handshake(connect, is_late):
    gate = Gate()

    async def app(scope, receive, send):
        if is_late:
            await gate.wait()
        await echo(scope, receive, send)

    client = connect(app)
    frames = frame(TEXT, b"one") + frame(PONG) + frame(TEXT, b"two")
    client.send(handshake() + frames[:-2])
    if is_late:
        gate.open()
    assert client.response().status == 101
    websocket = WebSocket.__new__(WebSocket)
    websocket.client = client
    assert websocket.message() == "one"
    client.send(frames[-2:])
    assert websocket.message() == "two"
    assert websocket.close(1000) == (1000, "")


def test_a_handshake_behind_a_request(connect):
    async def app(scope, receive, send):
        await (hello if scope["type"] == "http" else echo)(scope, receive, send)

    client = connect(app)
    client.send(request("/") + handshake() + frame(TEXT, b"one"))
    assert client.response().status == 200
    assert client.response().status == 101
    websocket = WebSocket.__new__(WebSocket)
    websocket.client = client
    assert websocket.message() == "one"


# refused by the application


async def refuse(scope, receive, send):
    await receive()
    await send({"type": "websocket.close", "code": 4000})
    assert (await receive())["type"] == "websocket.disconnect"
    if scope["path"] == "/again":
        await send({"type": "websocket.accept"})


def test_closed_before_it_was_accepted(connect, serve):
    server = serve(refuse)
    client = connect(server)
    client.send(handshake())
    response = client.response()
    assert (response.status, response.body) == (403, b"Forbidden")
    # it is still a connection of HTTP
    client.send(handshake("/again"))
    assert client.response().status == 403
    eventually(lambda: server.exceptions == [] and server.counters()["running"] == 0)


def test_a_response_of_the_applications_own(connect, serve):
    async def deny(scope, receive, send):
        await receive()
        start = {"type": "websocket.http.response.start", "status": 401}
        await send({**start, "headers": [(b"www-authenticate", b"Basic")]})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"you"})

    client = connect(deny)
    client.send(handshake())
    response = client.response()
    assert (response.status, response.body) == (401, b"not you")
    assert response.get("www-authenticate") == "Basic"
    client.send(handshake())
    assert client.response().status == 401


def test_a_response_that_takes_longer_than_a_handshake_may(connect):
    client = connect(denying_slowly, ws_handshake_timeout=2)
    client.send(handshake())
    response = client.response()
    assert (response.status, response.body) == (401, b"not you")


def test_no_answer_is_a_500(connect, log):
    async def app(scope, receive, send):
        await receive()

    client = connect(app)
    client.send(handshake())
    assert client.response().status == 500
    assert "returned without a response" in log.errors[0].getMessage()


def test_an_application_that_does_not_answer_in_time(connect):
    seen = Seen()

    async def app(scope, receive, send):
        await receive()
        seen.put(await receive())

    client = connect(app, ws_handshake_timeout=0.5)
    client.send(handshake())
    assert client.response().status == 504
    assert client.ended()
    assert seen.get() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


def test_a_client_that_leaves_before_it_is_accepted(connect):
    seen = Seen()
    gate = Gate()

    client = connect(accepting_too_late(gate, seen))
    client.send(handshake())
    client.close()
    assert seen.get() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    gate.open()
    assert seen.get() == "ClientDisconnected"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send", "text": "a"},
        {"type": "http.response.start", "status": 200},
        {"type": "websocket.http.response.start", "status": 101},
        {"type": "websocket.http.response.body"},
        {},
        1,
    ],
)
def test_what_no_answer_is(connect, serve, message):
    async def app(scope, receive, send):
        await send(message)

    server = serve(app)
    client = connect(server)
    client.send(handshake())
    assert client.response().status == 500
    (error,) = server.exceptions
    assert isinstance(error, RuntimeError)


# what is logged and counted


def test_the_access_log(connect, serve, tmp_path):
    logged = Logged(serve, tmp_path / "access.log")
    try:
        fmt = '%(h)s "%(r)s" %(s)s %(B)s'
        server = logged(echo, access_log_fmt=fmt)
        websocket = WebSocket(connect(server), "/there?a=b")
        assert logged.line() == '127.0.0.1 "GET /there?a=b HTTP/1.1" 101 0'
        websocket.say("hello")
        assert websocket.message() == "hello"
        websocket.close()
        assert logged.line()
    finally:
        logged.restore()


def test_the_request_id(open_websocket):
    app = Recording()
    websocket = open_websocket(app, request_id_header="x-request-id")
    given = app.get()["extensions"]["granite.request_id"]
    assert websocket.answer.get("x-request-id") == given


def test_a_request_is_still_a_request(connect):
    scopes = Scopes()
    client = connect(scopes)
    assert client.ask().status == 200
    assert scopes.get()["type"] == "http"
