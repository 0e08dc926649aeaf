"""Extended CONNECT (RFC 8441): what asks for a WebSocket, and how it is answered."""

from __future__ import annotations

from typing import Any

import pytest

from granite import log as granite_log
from tests.http2.websocket import ASKED, VERSION, StreamSocket, connecting, opened
from tests.http2.wire import CANCEL, ENABLE_CONNECT, NO_ERROR, PROTOCOL_ERROR
from tests.patience import PATIENCE
from tests.server.apps import Gate, Scopes, Seen, behind, eventually, hello
from tests.server.http2.marks import plain_and_tls
from tests.server.inside import wait_for
from tests.server.logged import Logged
from tests.server.websocket.apps import (
    Recording,
    accept,
    accepting_late,
    accepting_too_late,
    denying_slowly,
    echo,
)
from tests.server.websocket.client import OFFER, WebSocket
from tests.wire.frames import PONG, TEXT, frame

FIELDS = (VERSION, "origin: https://example.com")


def ask(client, *lines, **pseudo):
    """The complete answer to an extended CONNECT that is refused."""
    asked = {**ASKED, **pseudo}
    return client.response(client.request("/", *(lines or FIELDS), **asked))


def verdict(client, *lines, **pseudo):
    """With which error such a request is reset."""
    asked = {**ASKED, **pseudo}
    return client.reset_code(client.request(asked.pop("path", "/"), *(lines or FIELDS), **asked))


@plain_and_tls
def test_accepted(connect):
    client = connect(echo)
    websocket = opened(client)
    assert client.settings[ENABLE_CONNECT] == 1
    assert websocket.answer.get("server") == "granite"
    assert websocket.answer.get("date") is not None
    names = {name for name, _ in websocket.answer.fields}
    assert not names & {"sec-websocket-accept", "upgrade", "connection", "content-length"}
    websocket.say("hello")
    assert websocket.message() == "hello"
    websocket.say("x" * 100_000)
    assert websocket.message() == "x" * 100_000
    assert websocket.close(1000) == (1000, "")
    assert client.responses[1].reset is None  # as it has ended its half
    assert ask(client, "sec-websocket-version: 8").status == 426  # the connection goes on


@plain_and_tls
def test_the_scope(connect, transport):
    app = Recording()
    client = connect(app)
    lines = ("sec-websocket-protocol: chat, v2.x", "cookie: a=b", "cookie: c=d")
    opened(client, "/a%20b?c=%20", *lines)
    scope = app.get()
    assert scope.pop("headers") == [
        (b"host", b"test"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-protocol", b"chat, v2.x"),
        (b"cookie", b"a=b; c=d"),
    ]
    assert scope.pop("client")[0] == "127.0.0.1"
    assert isinstance(scope.pop("server"), tuple)
    extensions = scope.pop("extensions")
    assert extensions.pop("websocket.http.response") == {}
    assert "granite.request.trailers" not in extensions
    assert ("tls" in extensions) == (transport == "tls")
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "2",
        "scheme": "wss" if transport == "tls" else "ws",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=%20",
        "root_path": "",
        "subprotocols": ["chat", "v2.x"],
    }


@pytest.mark.parametrize("settings", [{"interface": "wsgi"}, {"ws": False}])
def test_where_there_are_none(connect, serve, settings):
    """RFC 8441, 3: who was not told must not ask."""

    def of_wsgi(environ, start_response):
        start_response("200 OK", [])
        return [b"hello"]

    server = serve(of_wsgi if "interface" in settings else hello, **settings)
    client = connect(server)
    assert verdict(client) == PROTOCOL_ERROR
    assert client.settings.get(ENABLE_CONNECT, 0) == 0
    assert client.ask().status == 200
    wait_for(server, rejected_bad_request=1)


WRONG: dict[str, tuple[tuple[str, ...], dict[str, Any], int]] = {
    "another protocol": ((), {"protocol": "connect-udp"}, 501),
    "no version": (("a: b",), {}, 426),
    "an old version": (("sec-websocket-version: 8",), {}, 426),
    "two versions": ((VERSION, VERSION), {}, 426),
    "a body": ((VERSION, "content-length: 1"), {}, 400),
    "an end": ((), {"end": True}, 400),
    "a subprotocol that is no token": ((VERSION, "sec-websocket-protocol: a b"), {}, 400),
    "another origin": ((VERSION, "origin: https://evil.example"), {}, 403),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(connect, serve, name):
    lines, pseudo, status = WRONG[name]
    server = serve(echo, ws_origins=("https://example.com",))
    client = connect(server)
    response = ask(client, *lines, **pseudo)
    assert response.status == status
    assert response.get("sec-websocket-version") == ("13" if status == 426 else None)
    assert response.get("upgrade") is None
    opened(client).close()
    wait_for(server, rejected_bad_request=1, websockets_active=0, requests_handled=1)


MALFORMED: dict[str, dict[str, Any]] = {
    "another method": {"method": "GET"},
    "no path": {"path": None},
    "no scheme": {"scheme": None},
    "no authority": {"authority": None},
    "an empty path": {"path": ""},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed(connect, name):
    client = connect(echo)
    pseudo = {key: value for key, value in MALFORMED[name].items() if key != "scheme"}
    if name == "no scheme":
        client.scheme = None
    assert verdict(client, **pseudo) == PROTOCOL_ERROR
    client.scheme = "http"
    opened(client).close()


def test_plain_connect_is_still_refused(connect):
    client = connect(echo)
    stream = client.request(None, method="CONNECT", scheme=None, end=False)
    assert client.response(stream).status == 501


def test_what_only_http_1_1_has_says_nothing(connect):
    websocket = opened(connect(echo), "/", "sec-websocket-key: none")
    websocket.close()


def test_a_subprotocol_and_fields(connect):
    async def app(scope, receive, send):
        fields = [(b"X-One", b"1"), [b"set-cookie", b"a=b"], (b"connection", b"close")]
        await accept(receive, send, subprotocol="b", headers=fields)
        await receive()

    answer = opened(connect(app), "/", "sec-websocket-protocol: a, b").answer
    assert answer.get("sec-websocket-protocol") == "b"
    assert (answer.get("x-one"), answer.get("set-cookie")) == ("1", "a=b")
    assert answer.get("connection") is None


def test_compression(connect):
    websocket = opened(connect(echo, ws_deflate_threshold=10), "/", OFFER.lower())
    assert websocket.extensions.startswith("permessage-deflate")
    websocket.say("compress" * 10)
    first = websocket.frame()
    assert (first.opcode, first.reserved, len(first.payload) < 40) == (TEXT, 4, True)


@pytest.mark.parametrize("is_late", [False, True])
def test_frames_that_do_not_wait_for_the_answer(connect, is_late):
    gate = Gate()
    client = connect(behind(gate, echo) if is_late else echo, max_body_size=1)  # it has no body
    frames = frame(TEXT, b"one") + frame(PONG) + frame(TEXT, b"two")
    stream = connecting(client, behind=frames[:-2])
    if is_late:
        assert gate.reached.wait(PATIENCE)
        client.ping()
        gate.open()
    socket = StreamSocket(client, stream)
    websocket = WebSocket.of(socket, socket.answer())
    assert websocket.message() == "one"
    websocket.send(frames[-2:])
    assert websocket.message() == "two"
    assert websocket.close(1000) == (1000, "")


def test_frames_without_end_before_the_answer(connect):
    """The stream's window bounds them; another stream has its own."""
    gate, window = Gate(), 65535

    async def app(scope, receive, send):
        held = scope["path"] == "/held"
        await (behind(gate, echo) if held else echo)(scope, receive, send)

    client = connect(app, http2_initial_stream_window_size=window)
    stream = connecting(client, "/held")
    socket = StreamSocket(client, stream)
    data = frame(TEXT, b"x" * 1000) * 200
    assert socket.send_until_blocked(data) == window
    opened(client).close()
    gate.open()
    socket.send(data[window:])
    assert socket.answer().status == 200
    assert len(socket.read(200 * 1004)) == 200 * 1004


# answers of the application


def test_closed_before_it_was_accepted(connect, serve):
    async def refuse(scope, receive, send):
        await receive()
        await send({"type": "websocket.close", "code": 4000})
        assert (await receive())["type"] == "websocket.disconnect"

    server = serve(refuse)
    client = connect(server)
    response = ask(client)
    assert (response.status, response.body) == (403, b"Forbidden")
    client.until(lambda: response.reset is not None)
    assert response.reset == NO_ERROR  # what else the client would say is of no use
    eventually(lambda: server.exceptions == [] and server.counters()["running"] == 0)


@pytest.mark.parametrize("status", [401, 302])
def test_a_response_of_the_applications_own(connect, status):
    async def deny(scope, receive, send):
        await receive()
        start = {"type": "websocket.http.response.start", "status": status}
        await send({**start, "headers": [(b"www-authenticate", b"Basic")]})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"you"})

    response = ask(connect(deny))
    assert (response.status, response.body) == (status, b"not you")
    assert response.get("www-authenticate") == "Basic"


def test_a_refusal_that_would_accept(connect, serve):
    """RFC 8441, 5: any status of 2xx does."""

    async def deny(scope, receive, send):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 200})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    server = serve(deny)
    assert ask(connect(server)).status == 500
    (error,) = server.exceptions
    assert isinstance(error, RuntimeError)


def test_an_application_that_does_not_answer_in_time(connect):
    seen = Seen()

    async def app(scope, receive, send):
        await receive()
        seen.put(await receive())

    assert ask(connect(app, ws_handshake_timeout=0.5)).status == 504
    assert seen.get() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


def test_a_response_that_takes_longer_than_a_handshake_may(connect):
    response = ask(connect(denying_slowly, ws_handshake_timeout=2))
    assert (response.status, response.body) == (401, b"not you")


@pytest.mark.parametrize("way", ["reset", "close"])
def test_a_client_that_leaves_before_it_is_accepted(connect, way):
    seen, gate = Seen(), Gate()

    client = connect(accepting_too_late(gate, seen))
    stream = connecting(client)
    client.ping()
    client.reset(stream, CANCEL) if way == "reset" else client.close()
    assert seen.get() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    gate.open()
    assert seen.get() == "ClientDisconnected"


def test_a_client_that_ends_its_half_before_it_is_accepted(connect):
    seen, gate = Seen(), Gate()

    client = connect(accepting_late(gate, seen))
    stream = connecting(client)
    assert gate.reached.wait(PATIENCE)
    client.h2.end_stream(stream)
    client.flush()
    client.ping()
    gate.open()
    assert seen.get() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    response = client.response(stream)
    assert (response.status, response.body) == (200, b"")


# RSGI


async def rsgi(scope, protocol):
    if scope.path == "/refused":
        protocol.close(401)
        return
    transport = await protocol.accept()
    await transport.send_str(f"{scope.proto} {scope.http_version} {scope.scheme} {scope.method}")
    while (message := await transport.receive()).kind:
        await transport.send_str(message.data)


@plain_and_tls
def test_rsgi(connect, transport):
    client = connect(rsgi, interface="rsgi")
    websocket = opened(client, "/there")
    scheme = "https" if transport == "tls" else "http"
    assert websocket.message() == f"ws 2 {scheme} CONNECT"
    websocket.say("hello")
    assert websocket.message() == "hello"
    refused = client.request("/refused", VERSION, **ASKED)
    assert client.response(refused).status == 401
    assert websocket.close(1000) == (1000, "")


# what is logged


def test_the_access_log(connect, serve, tmp_path):
    logged = Logged(serve, tmp_path / "access.log")
    try:
        client = connect(logged(echo, access_log_fmt='"%(r)s" %(s)s %(B)s'))
        websocket = opened(client, "/there?a=b")
        line, size = logged.line().rsplit(" ", 1)
        assert line == '"CONNECT /there?a=b HTTP/2.0" 200'
        assert size == "0"
        websocket.close()
        ask(client, "sec-websocket-version: 7")
        assert logged.lines(2)[1].startswith('"CONNECT / HTTP/2.0" 426')
    finally:
        logged.restore()
        granite_log.close()


def test_the_request_id(connect):
    app = Recording()
    websocket = opened(connect(app, request_id_header="x-request-id"))
    given = app.get()["extensions"]["granite.request_id"]
    assert websocket.answer.get("x-request-id") == given


def test_a_request_is_still_a_request(connect):
    scopes = Scopes()
    assert connect(scopes).ask("/", VERSION, "sec-websocket-key: none").status == 200
    assert scopes.get()["type"] == "http"
