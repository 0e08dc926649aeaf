"""WebSockets on streams: beside other streams, and how they end."""

from __future__ import annotations

from granite._core.server import Server
from tests.http2.websocket import ASKED, VERSION, StreamSocket, connecting, opened
from tests.http2.wire import (
    CANCEL,
    DATA,
    END_STREAM,
    INITIAL_WINDOW,
    NO_ERROR,
    PROTOCOL_ERROR,
    RST_STREAM,
    window_update,
)
from tests.patience import PATIENCE
from tests.server.apps import Gate, Seen, answer, eventually, hello
from tests.server.http2.marks import plain_and_tls
from tests.server.http2.test_goaway import drain
from tests.server.inside import inside, wait_for
from tests.server.websocket.apps import Recording, accept, accepting_late, echo
from tests.server.websocket.client import WebSocket
from tests.wire.frames import TEXT, close, frame

WINDOW = 65535  # of a connection, unless more is given


async def both(scope, receive, send):
    await (echo if scope["type"] == "websocket" else hello)(scope, receive, send)


def says(websocket, message):
    """Whether the application echoes."""
    websocket.say(message)
    return websocket.message() == message


def two(client, app):
    """WebSockets of one connection."""
    websockets = opened(client), opened(client)
    app.get(), app.get()
    return websockets


# beside other streams


@plain_and_tls
def test_many_beside_requests(connect, serve):
    server = serve(both)
    client = connect(server)
    websockets = [opened(client, f"/{number}") for number in range(60)]
    asked = [client.request() for _ in range(60)]
    for number, websocket in enumerate(websockets):
        websocket.say(f"{number}" * 1000)
    for stream in asked:
        assert client.response(stream).body == b"hello"
    for number, websocket in enumerate(websockets):
        assert websocket.message() == f"{number}" * 1000
    wait_for(server, websockets_active=60, connections_active=1, responses_websocket_2xx=60)
    for websocket in websockets:
        assert websocket.close(1000) == (1000, "")
    wait_for(server, websockets_active=0, requests_handled=120)


def test_they_have_no_place_among_requests(connect):
    client = connect(both, backpressure=2)
    websockets = [opened(client) for _ in range(5)]
    assert client.ask().status == 200
    assert all(says(websocket, "x") for websocket in websockets)


def opened_by_hand(wire, app, *lines):
    """A WebSocket, and a download that has taken the window of the connection."""
    client = wire(app, values={INITIAL_WINDOW: 2**30})
    websocket = client.request("/", VERSION, *lines, **ASKED)
    assert client.answer(websocket)[":status"] == "200"
    download = client.request("/large")
    client.answer(download)
    while client.received < WINDOW:
        client.until(DATA, download)
    client.data(websocket, frame(TEXT, b"hello"))
    client.ping()
    client.send(window_update(0, 2**20))
    return client, websocket, download


async def beside_a_download(scope, receive, send):
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
    else:
        await answer(send, bytes(2**21))


def test_a_download_does_not_hold_them_up(wire):
    client, websocket, _ = opened_by_hand(wire, beside_a_download)
    found = client.until(DATA)
    assert (found.stream, found.payload) == (websocket, b"\x81\x05hello")


def test_a_client_that_says_how_urgent_it_is(wire):
    client, websocket, download = opened_by_hand(wire, beside_a_download, "priority: u=7")
    size = 0
    while size < 2**20 - 7:
        found = client.until(DATA)
        assert found.stream == download
        size += len(found.payload)
    client.send(window_update(0, 2**30))
    assert client.until(DATA, websocket).payload == b"\x81\x05hello"


def test_one_that_sends_without_end_leaves_room_for_others(connect):
    """Its messages wait for its own window."""

    async def app(scope, receive, send):
        if scope["path"] != "/flood":
            await both(scope, receive, send)
            return
        await accept(receive, send)
        while True:
            await send({"type": "websocket.send", "bytes": bytes(100_000)})

    client = connect(app, values={INITIAL_WINDOW: 20_000}, stalls=True)
    opened(client, "/flood")
    other = opened(client)
    for number in range(20):
        assert says(other, str(number))
        assert client.ask().body == b"hello"


# ends


def test_the_client_ends_its_half(connect):
    app = Recording()
    client = connect(app)
    first, second = two(client, app)
    first.say("a")
    first.client.end()
    assert app.get()["text"] == "a"
    assert app.end() == (1006, "")
    assert first.client.ended()
    second.close()


def test_the_client_resets_the_stream(connect, serve):
    app = Recording()
    server = serve(app)
    client = connect(server)
    first, second = two(client, app)
    first.say("a")
    first.client.reset()
    assert app.get()["text"] == "a"
    assert app.end() == (1006, "")
    wait_for(server, websockets_active=1)
    eventually(lambda: server.counters()["running"] == 1)
    second.close()


def test_the_connection_is_lost(connect, serve):
    app = Recording()
    server = serve(app)
    client = connect(server)
    for _ in range(3):
        opened(client)
        app.get()
    client.abort()
    assert [app.end() for _ in range(3)] == [(1006, "")] * 3
    wait_for(server, websockets_active=0, connections_active=0)


def test_a_violation_ends_its_stream_only(connect):
    client = connect(echo)
    wrong, right = opened(client), opened(client)
    wrong.send(frame(TEXT, b"a", mask=None))
    assert wrong.closed()[0] == 1002
    assert wrong.client.ended()
    assert says(right, "hello")


def test_fields_in_the_middle(connect, serve):
    """RFC 9113, 8.5: there are none in a tunnel."""
    app = Recording()
    server = serve(app)
    client = connect(server)
    first, second = two(client, app)
    client.trailers(first.client.stream, [("a", "b")])
    assert client.reset_code(first.client.stream) == PROTOCOL_ERROR
    assert app.end() == (1006, "")
    second.close()
    wait_for(server, rejected_bad_request=1)


def test_a_client_that_does_not_end_its_half(wire):
    client = wire(echo)
    stream = client.request("/", VERSION, **ASKED)
    client.answer(stream)
    client.data(stream, close(1000))
    found = client.until(DATA, stream, END_STREAM)
    assert found.payload == b"\x88\x02\x03\xe8"
    client.data(stream, b"whatever")
    assert client.verdict(stream) == (RST_STREAM, NO_ERROR)


def test_a_client_that_does_not_answer_a_close(connect):
    async def app(scope, receive, send):
        await accept(receive, send)

    client = connect(app, ws_close_timeout=0.5)
    websocket = opened(client)
    assert websocket.closed() == (1000, "")
    assert client.reset_code(websocket.client.stream) == CANCEL


# drains


@plain_and_tls
def test_a_drain(connect, serve):
    app = Recording()
    server = serve(app)
    client = connect(server)
    websockets = [opened(client) for _ in range(3)]
    for _ in websockets:
        app.get()
    drain(server)
    for websocket in websockets:
        assert websocket.answer_close() == (1012, "the server restarts")
        assert app.end() == (1012, "the server restarts")
    client.to_the_end()
    *_, last = client.goaways()
    assert (last.last_stream, last.code) == (websockets[-1].client.stream, NO_ERROR)


def test_a_handshake_that_is_accepted_during_a_drain(connect, serve):
    gate, seen = Gate(), Seen()

    server = serve(accepting_late(gate, seen))
    client = connect(server)
    stream = connecting(client)
    assert gate.reached.wait(PATIENCE)
    drain(server)
    gate.open()
    socket = StreamSocket(client, stream)
    websocket = WebSocket.of(socket, socket.answer())
    assert websocket.answer_close() == (1012, "the server restarts")
    assert seen.get()["code"] == 1012
    client.to_the_end()


def test_a_drain_of_a_connection_that_has_reached_its_requests(connect, serve):
    """It has said GOAWAY before."""
    server = serve(both, max_requests_per_connection=1)
    client = connect(server)
    websocket = opened(client)
    client.until(client.goaways)
    drain(server)
    assert websocket.answer_close() == (1012, "the server restarts")
    client.to_the_end()


def test_an_abort(connect, serve):
    app = Recording()
    server = serve(app)
    client = connect(server)
    opened(client)
    app.get()
    inside(server, Server.abort)
    assert app.end() == (1006, "")
