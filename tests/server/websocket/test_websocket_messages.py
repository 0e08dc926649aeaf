"""Messages both ways, and what an application may send."""

from __future__ import annotations

import enum
import zlib

import pytest

from tests.server.inside import wait_for
from tests.server.loops import both_loops
from tests.server.websocket.apps import Recording, Text, echo
from tests.server.websocket.client import OFFER
from tests.wire.frames import CONTINUATION, PING, PONG, TEXT, frame

MESSAGES = [
    "",
    "hello",
    "grün",
    "日本語" * 3000,
    b"",
    b"\0\xff",
    b"x" * 125,
    b"y" * 126,
    "z" * 65536,
]


@both_loops
@pytest.mark.parametrize("offer", [(), (OFFER,)])
def test_echo(open_websocket, offer):
    websocket = open_websocket(echo, *offer, ws_deflate_threshold=10)
    for message in [*MESSAGES, b"large" * 200_000]:
        websocket.say(message)
        assert websocket.message() == message
    for message in MESSAGES:
        websocket.say(message)
    assert [websocket.message() for _ in MESSAGES] == MESSAGES
    assert websocket.close() == (1005, "")


def test_what_an_application_receives(open_websocket):
    app = Recording()
    websocket = open_websocket(app)
    app.get()
    websocket.say("text")
    websocket.say(b"bytes")
    websocket.close(1001, "leaving")
    assert app.get() == {"type": "websocket.receive", "text": "text"}
    assert app.get() == {"type": "websocket.receive", "bytes": b"bytes"}
    assert app.get() == {"type": "websocket.disconnect", "code": 1001, "reason": "leaving"}


def test_a_message_in_frames_with_a_ping_between(open_websocket):
    websocket = open_websocket(echo)
    websocket.send(frame(TEXT, "grü".encode()[:3], final=False) + frame(PING, b"payload"))
    answer = websocket.frame()
    assert (answer.opcode, answer.payload) == (PONG, b"payload")
    websocket.send(frame(CONTINUATION, "grün".encode()[3:]))
    assert websocket.message() == "grün"


def test_byte_by_byte(open_websocket):
    websocket = open_websocket(echo)
    data = frame(TEXT, b"one") + frame(PING, b"p") + frame(TEXT, b"two", octets=0)
    websocket.client.send_per_byte(data)
    answers = [websocket.frame() for _ in range(3)]
    # The server's own answer may overtake the application's.
    assert [piece.payload for piece in answers if piece.opcode == TEXT] == [b"one", b"two"]
    assert [piece.payload for piece in answers if piece.opcode == PONG] == [b"p"]


def test_messages_in_frames_that_are_sent(open_websocket):
    websocket = open_websocket(echo, ws_fragment_size=1000)
    websocket.say("a" * 2500)
    found = [websocket.frame() for _ in range(3)]
    assert [(piece.opcode, piece.final, len(piece.payload)) for piece in found] == [
        (TEXT, False, 1000),
        (CONTINUATION, False, 1000),
        (CONTINUATION, True, 500),
    ]


@pytest.mark.parametrize(
    "data", [bytearray(b"abc"), memoryview(b"abc"), type("B", (bytes,), {})(b"abc")]
)
def test_bytes_of_other_kinds(open_websocket, data):
    websocket = open_websocket(Recording({"type": "websocket.send", "bytes": data}))
    assert websocket.message() == b"abc"


class Colour(str, enum.Enum):
    RED = "red"


@pytest.mark.parametrize("text", [Text("x" * 3000), Text("grün"), Colour.RED])
@pytest.mark.parametrize("offer", [(), (OFFER,)])
def test_texts_of_other_kinds(open_websocket, text, offer):
    websocket = open_websocket(Recording({"type": "websocket.send", "text": text}), *offer)
    assert websocket.message() == "".join(text)


def test_one_of_two_parts(open_websocket):
    reply = {"type": "websocket.send", "text": "a", "bytes": None}
    assert open_websocket(Recording(reply)).message() == "a"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": None, "bytes": None},
        {"type": "websocket.send", "text": "a", "bytes": b"a"},
        {"type": "websocket.send", "text": b"a"},
        {"type": "websocket.send", "bytes": "a"},
        {"type": "websocket.accept"},
        {"type": "http.response.body"},
        {"type": "websocket.close", "code": 1005},
        {"type": "websocket.close", "code": 1006},
        {"type": "websocket.close", "code": -1},
        {"type": "websocket.close", "code": 70_000},
        {"type": "websocket.close", "code": "1000"},
        {"type": "websocket.close", "reason": 1},
        {"type": "websocket.close", "reason": "ä" * 62},
        {"text": "a"},
        1,
    ],
)
def test_what_can_not_be_sent(open_websocket, serve, message):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send(message)

    server = serve(app)
    websocket = open_websocket(server)
    assert websocket.answer_close() == (1011, "")
    (error,) = server.exceptions
    assert isinstance(error, RuntimeError)


def test_surrogates_are_an_error_of_the_application(open_websocket, serve):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "\ud800"})

    server = serve(app)
    assert open_websocket(server).answer_close() == (1011, "")
    assert isinstance(server.exceptions[0], UnicodeEncodeError)


# permessage-deflate

ANSWERS = {
    "permessage-deflate": ("", True),
    "permessage-deflate; client_max_window_bits": ("", True),
    "permessage-deflate; server_max_window_bits=10": ("; server_max_window_bits=10", True),
    "permessage-deflate; server_max_window_bits=8": (None, False),
    "permessage-deflate; server_max_window_bits=16": (None, False),
    "permessage-deflate; server_max_window_bits": (None, False),
    "permessage-deflate; unknown": (None, False),
    "permessage-deflate; server_no_context_takeover=1": (None, False),
    "permessage-deflate; client_max_window_bits; client_max_window_bits": (None, False),
    "x-webkit-deflate-frame, permessage-deflate; unknown, permessage-deflate": ("", True),
    'permessage-deflate; server_max_window_bits="12"': ("; server_max_window_bits=12", True),
    "permessage-deflate; client_max_window_bits=9": ("; client_max_window_bits=9", True),
}
BOTH = "; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize("offer", ANSWERS)
def test_the_answer_to_an_offer(open_websocket, offer):
    answer, is_taken = ANSWERS[offer]
    websocket = open_websocket(echo, f"Sec-WebSocket-Extensions: {offer}")
    expected = f"permessage-deflate{BOTH}{answer}" if is_taken else ""
    assert websocket.extensions == expected


def test_offers_with_contexts(open_websocket, serve):
    server = serve(echo, ws_deflate_server_context=True, ws_deflate_client_context=True)
    assert open_websocket(server, OFFER).extensions == "permessage-deflate"
    asked = OFFER + "; server_no_context_takeover"
    expected = "permessage-deflate; server_no_context_takeover"
    assert open_websocket(server, asked).extensions == expected


def test_windows_that_are_set(open_websocket, serve):
    server = serve(echo, ws_deflate_server_max_window_bits=11, ws_deflate_client_max_window_bits=12)
    expected = "; server_max_window_bits=11; client_max_window_bits=12"
    assert open_websocket(server, OFFER).extensions == f"permessage-deflate{BOTH}{expected}"
    # a client that does not say so can't be told
    plain = "Sec-WebSocket-Extensions: permessage-deflate"
    expected = "; server_max_window_bits=11"
    assert open_websocket(server, plain).extensions == f"permessage-deflate{BOTH}{expected}"


def test_compression_that_is_off(open_websocket):
    assert open_websocket(echo, OFFER, ws_per_message_deflate=False).extensions == ""


@pytest.mark.parametrize("context", [False, True])
def test_compressed_both_ways(open_websocket, context):
    settings = {"ws_deflate_server_context": context, "ws_deflate_client_context": context}
    websocket = open_websocket(echo, OFFER, ws_deflate_threshold=1, **settings)
    stream = zlib.compressobj(wbits=-15)
    for number in range(20):
        text = f"message {number} " * 30
        if not context:
            stream = zlib.compressobj(wbits=-15)
        body = stream.compress(text.encode()) + stream.flush(zlib.Z_SYNC_FLUSH)
        websocket.send(frame(TEXT, body.removesuffix(b"\0\0\xff\xff"), reserved=4))
        assert websocket.message() == text


def test_small_messages_are_not_compressed(open_websocket):
    websocket = open_websocket(echo, OFFER, ws_deflate_threshold=100)
    websocket.say("a" * 99)
    assert websocket.frame().reserved == 0
    websocket.say("a" * 100)
    assert websocket.frame().reserved == 4


def test_empty_messages_behind_others(open_websocket):
    settings = {"ws_deflate_threshold": 0, "ws_deflate_server_context": True}
    websocket = open_websocket(echo, OFFER, **settings)
    for message in ("abc", "", b"", "abc", ""):
        websocket.say(message)
        assert websocket.message() == message


def test_a_bomb(open_websocket):
    app = Recording()
    websocket = open_websocket(app, OFFER, ws_max_message_size=1000)
    app.get()
    stream = zlib.compressobj(wbits=-15)
    body = stream.compress(bytes(1_000_000)) + stream.flush(zlib.Z_SYNC_FLUSH)
    websocket.send(frame(TEXT, body[:-4], reserved=4))
    assert websocket.closed()[0] == 1009
    assert app.end()[0] == 1009


# what is counted


def test_counts(open_websocket, serve, transport):
    server = serve(echo)
    first, second = open_websocket(server), open_websocket(server)
    first.say("a")
    first.message()
    numbers = wait_for(server, websockets_active=2, websocket_messages_sent=1)
    assert numbers["websocket_messages_received"] == 1
    answers = {name: numbers[name] for name in numbers if name.startswith("responses_")}
    accepted = "responses_websocket_2xx" if transport == "http2" else "responses_websocket_1xx"
    assert {name: count for name, count in answers.items() if count} == {accepted: 2}
    first.close()
    wait_for(server, websockets_active=1)
    second.client.close()
    wait_for(server, websockets_active=0)
