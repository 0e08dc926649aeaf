"""WebSocket's frames and messages, without a connection: what comes in, in pieces of any size."""

from __future__ import annotations

import hashlib
import random
import types
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from granite._core.websocket import Codec, WebSocketContext, check_text, sha1, unmask
from granite.settings import SETTINGS
from tests.wire.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame, parse

pytestmark = pytest.mark.c_alone

DEFAULTS = {row.name: row.default for row in SETTINGS if row.name.startswith("ws")}
TAKEOVER = (True, True, 15, 15)
ALONE = (False, False, 15, 15)


def context(**changed) -> WebSocketContext:
    return WebSocketContext(types.SimpleNamespace(**{**DEFAULTS, **changed}))


def events(data: bytes, parameters=None, **changed) -> list:
    return Codec(context(**changed), parameters).receive(data)[1]


def in_pieces(data: bytes, rng: random.Random, parameters=None, **changed) -> list:
    """The same as events(), read in pieces."""
    codec = Codec(context(**changed), parameters)
    found: list = []
    while data:
        size = rng.choice((1, 1, 2, 5, 13, 14, 15, 64, 1000, 40_000))
        count, more = codec.receive(data[:size])
        found += more
        if count < len(data[:size]):
            break
        data = data[size:]
    return found


def deflated(*pieces: bytes, bits: int = 15) -> list[bytes]:
    """Messages, each with what came before it as its window."""
    stream = zlib.compressobj(wbits=-bits)
    return [
        (stream.compress(piece) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")
        for piece in pieces
    ]


# parts


@pytest.mark.parametrize("size", [*range(40), 63, 64, 65, 127, 4095, 4096, 70_001])
def test_unmask(size):
    rng = random.Random(size)
    data, mask = rng.randbytes(size), rng.randbytes(4)
    for before in range(5):
        expected = bytes(octet ^ mask[(before + i) % 4] for i, octet in enumerate(data))
        assert unmask(data, mask, before) == (expected, not expected.isascii())


@given(st.binary(max_size=119))
def test_sha1(data):
    assert sha1(data) == hashlib.sha1(data).digest()


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_every_beginning_of_a_character():
    """Two octets, all of them, with any others behind: as Python's own decoder says."""
    for first in range(0x80, 0x100):
        for second in range(0x100):
            for rest in (b"", b"\x80", b"\x80\x80", b"\xbf\xbfa"):
                data = bytes([first, second]) + rest
                assert check_text(data)[1] == is_text(data), data


@given(st.lists(st.text(max_size=20).map(str.encode) | st.binary(max_size=6), max_size=6))
@settings(max_examples=500)
def test_text_in_pieces(pieces):
    data = b"".join(pieces)
    assert check_text(*pieces)[1] == is_text(data)
    assert check_text(*(bytes([octet]) for octet in data)) == check_text(data)


# messages


@pytest.mark.parametrize("size", [0, 1, 2, 125, 126, 127, 65535, 65536, 100_000])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_message_of_any_size(size, kind):
    payload = b"x" * size
    message = payload.decode() if kind == TEXT else payload
    data = frame(kind, payload)
    assert events(data) == [("message", message)]
    assert in_pieces(data, random.Random(size)) == [("message", message)]


@pytest.mark.parametrize("text", ["ä", "grün" * 40, "κόσμε", "\U0010ffff" * 9, "日本語" * 5000])
def test_text_that_is_no_ascii(text):
    data = frame(TEXT, text.encode())
    assert events(data) == [("message", text)]
    assert in_pieces(data, random.Random(text)) == [("message", text)]
    pieces = [text.encode()[i : i + 1] for i in range(len(text.encode()))][:300]
    data = b"".join(
        frame(CONTINUATION if i else TEXT, piece, final=False) for i, piece in enumerate(pieces)
    )
    data += frame(CONTINUATION, text.encode()[len(pieces) :])
    assert events(data) == [("message", text)]


def test_control_frames_inside_of_a_message():
    data = (
        frame(TEXT, b"a", final=False)
        + frame(PING, b"p" * 125)
        + frame(CONTINUATION, b"", final=False)
        + frame(PONG)
        + frame(CONTINUATION, b"b")
        + close(1000, "grün")
    )
    expected = [
        ("ping", b"p" * 125),
        ("pong", b""),
        ("message", "ab"),
        ("close", 1000, "grün"),
    ]
    assert events(data + b"whatever") == expected
    for seed in range(20):
        assert in_pieces(data, random.Random(seed)) == expected


def test_nothing_is_held_between_two_messages():
    codec = Codec(context(), ALONE)
    whole = frame(TEXT, deflated(b"a" * 9000)[0], reserved=4) + frame(PING, b"x" * 100)
    assert not codec.holds()
    for end in range(1, len(whole)):
        codec.receive(whole[end - 1 : end])
    codec.receive(whole[-1:])
    assert not codec.holds()


def test_reading_stops_where_it_is_told_to():
    codec = Codec(context(), None, True)
    data = frame(TEXT, b"a") + frame(TEXT, b"b") + frame(PING)
    count, found = codec.receive(data)
    assert (count, found) == (7, [("message", "a")])
    count, found = codec.receive(data[7:])
    assert (count, found) == (7, [("message", "b")])
    assert codec.receive(data[14:]) == (6, [("ping", b"")])


# violations

WRONG = {
    "not masked": (frame(TEXT, b"a", mask=None), 1002),
    "reserved bit 1": (frame(TEXT, b"a", reserved=4), 1002),
    "reserved bit 2": (frame(TEXT, b"a", reserved=2), 1002),
    "reserved bit 3": (frame(BINARY, b"a", reserved=1), 1002),
    "reserved bit of a ping": (frame(PING, b"a", reserved=4), 1002),
    "a long ping": (frame(PING, b"a" * 126), 1002),
    "a ping in pieces": (frame(PING, b"a", final=False), 1002),
    "a length in too many octets": (frame(TEXT, b"a" * 125, octets=2), 1002),
    "a length in far too many octets": (frame(TEXT, b"a" * 65535, octets=8), 1002),
    "a length with its highest bit": (frame(TEXT, length=1 << 63, octets=8), 1002),
    "a message that did not begin": (frame(CONTINUATION, b"a"), 1002),
    "one message inside of another": (frame(TEXT, final=False) + frame(TEXT), 1002),
    "no UTF-8": (frame(TEXT, b"a\xff"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "half a character": (frame(TEXT, b"\xe2\x82"), 1007),
    "half a character at the end of pieces": (
        frame(TEXT, b"a", final=False) + frame(CONTINUATION, b"\xe2\x82"),
        1007,
    ),
    "a close of one octet": (frame(CLOSE, b"a"), 1002),
    "a reason that is no UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    **{f"opcode {code}": (frame(code, b"a"), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{
        f"code {code}": (close(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_client_may_not_send(name):
    data, code = WRONG[name]
    for found in (events(data), *(in_pieces(data, random.Random(seed)) for seed in range(5))):
        assert [event[:2] for event in found] == [("violation", code)]


def test_a_text_fails_at_its_first_wrong_octet():
    data = frame(TEXT, b"a" * 100 + b"\xff" + b"b" * 100)
    codec = Codec(context())
    assert codec.receive(data[:-101])[1] == []
    assert codec.receive(data[-101:-100])[1] == [("violation", 1007, "a text is no UTF-8")]
    assert codec.receive(data[-100:]) == (0, [])


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999])
def test_codes_that_a_close_may_have(code):
    assert events(close(code, "why")) == [("close", code, "why")]


def test_a_close_without_a_code():
    assert events(close()) == [("close", 1005, "")]


# limits


def test_the_largest_message():
    whole = frame(BINARY, bytes(1000))
    assert events(whole, ws_max_message_size=1000) == [("message", bytes(1000))]
    # at the head already, whether it comes in one piece or in several
    for data in (
        frame(BINARY, length=1001),
        frame(BINARY, bytes(999), final=False) + frame(CONTINUATION, length=2),
    ):
        assert events(data, ws_max_message_size=1000)[0][:2] == ("violation", 1009)


def test_the_largest_frame():
    data = frame(BINARY, bytes(10), final=False) + frame(CONTINUATION, bytes(10))
    assert events(data, ws_max_frame_size=10) == [("message", bytes(20))]
    assert events(data, ws_max_frame_size=9)[0][:2] == ("violation", 1009)


def test_the_most_fragments():
    data = frame(TEXT, final=False) + 2 * frame(CONTINUATION, final=False) + frame(CONTINUATION)
    assert events(data, ws_max_fragments=4) == [("message", "")]
    assert events(data, ws_max_fragments=3)[0][:2] == ("violation", 1009)


def test_a_length_is_no_reason_to_take_memory():
    codec = Codec(context(ws_max_message_size=0))
    assert codec.receive(frame(BINARY, b"abc", length=1 << 60)) == (17, [])


# permessage-deflate


@pytest.mark.parametrize("parameters", [TAKEOVER, ALONE, (True, True, 9, 9), (False, True, 12, 12)])
def test_compressed_messages(parameters):
    rng = random.Random(str(parameters))
    texts = [b"Hello" * rng.randrange(5000) for _ in range(6)] + ["grün".encode() * 999, b""]
    bits = parameters[3]
    bodies = (
        deflated(*texts, bits=bits)
        if parameters[1]
        else [deflated(text, bits=bits)[0] for text in texts]
    )
    data = b""
    for body in bodies:
        cut = rng.randrange(len(body) + 1)
        data += frame(TEXT, body[:cut], reserved=4, final=False)
        data += frame(PING) + frame(CONTINUATION, body[cut:]) + frame(BINARY, b"\0plain")
    expected = []
    for text in texts:
        expected += [("ping", b""), ("message", text.decode()), ("message", b"\0plain")]
    assert events(data, parameters) == expected
    for seed in range(5):
        assert in_pieces(data, random.Random(seed), parameters) == expected


def test_the_examples_of_the_specification():
    """RFC 7692, 7.2.3."""
    hello = bytes.fromhex("f248cdc9c90700")
    assert events(frame(TEXT, hello, reserved=4), ALONE) == [("message", "Hello")]
    taken_over = frame(TEXT, hello, reserved=4) + frame(
        TEXT, bytes.fromhex("f200110000"), reserved=4
    )
    assert events(taken_over, TAKEOVER) == 2 * [("message", "Hello")]
    stored = bytes.fromhex("000500faff48656c6c6f00")
    assert events(frame(TEXT, stored, reserved=4), ALONE) == [("message", "Hello")]
    final = bytes.fromhex("f348cdc9c9070000")
    assert events(2 * frame(TEXT, final, reserved=4), TAKEOVER) == 2 * [("message", "Hello")]
    two_blocks = bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", ""))
    assert events(frame(TEXT, two_blocks, reserved=4), ALONE) == [("message", "Hello")]


def test_what_is_no_compressed_message():
    assert events(frame(TEXT, b"\xff\xff\xff", reserved=4), ALONE)[0][:2] == ("violation", 1007)
    data = frame(TEXT, deflated(b"a\xff")[0], reserved=4)
    assert events(data, ALONE)[0][:2] == ("violation", 1007)
    for late in (frame(CONTINUATION, b"", reserved=4), frame(PING, reserved=4)):
        data = frame(TEXT, deflated(b"a")[0], reserved=4, final=False) + late
        assert events(data, ALONE)[0][:2] == ("violation", 1002)


def test_a_fault_in_what_was_found_to_be_no_text_is_not_another_one():
    no_text = bytes.fromhex("000100feffff")  # a stored block
    found = events(frame(TEXT, no_text + b"\x07", reserved=4), ALONE)
    assert [event[:2] for event in found] == [("violation", 1007)]


def test_a_compressed_message_that_is_not_complete():
    more = b"abcdef"
    stored = b"\0\x0a\0\xf5\xff"  # 10 octets: with those that end each message they would be there
    longer = b"\0\x0b\0\xf4\xff"
    huffman = deflated(b"Hello" * 100)[0]
    cut = [huffman[:size] for size in range(1, len(huffman))]
    for body in (stored + more, longer + more, stored[:3], *cut):
        (event,) = events(frame(BINARY, body, reserved=4), ALONE)
        assert event[:2] == ("violation", 1007), body


def test_nothing_is_an_empty_message():
    """As zlib makes nothing of it when it has just ended a block."""
    first, empty, last = deflated(b"first", b"", b"first")
    data = b"".join(frame(TEXT, body, reserved=4) for body in (first, empty, b"", last))
    assert events(data, TAKEOVER) == [("message", text) for text in ("first", "", "", "first")]


def test_a_last_block_with_nothing_behind_it():
    final = frame(TEXT, bytes.fromhex("f348cdc9c90700"), reserved=4)
    taken_over = frame(TEXT, bytes.fromhex("f200110000"), reserved=4)
    assert events(2 * final + taken_over, TAKEOVER) == 3 * [("message", "Hello")]


def test_a_bomb_is_not_inflated():
    data = frame(BINARY, deflated(bytes(50_000_000))[0], reserved=4)
    assert len(data) < 60_000
    assert events(data, ALONE, ws_max_message_size=1000)[0][:2] == ("violation", 1009)
    exact = frame(BINARY, deflated(bytes(1000))[0], reserved=4)
    assert events(exact, ALONE, ws_max_message_size=1000) == [("message", bytes(1000))]


# what is sent


@pytest.mark.parametrize("size", [0, 1, 125, 126, 4096, 4097, 65535, 65536, 200_000])
def test_frames_that_are_sent(size):
    codec = Codec(context())
    for message in (b"x" * size, "x" * size, ("ä" * size)[: size // 2]):
        (found,), rest = parse(codec.message(message))
        payload = message if isinstance(message, bytes) else message.encode()
        assert found.opcode == (BINARY if isinstance(message, bytes) else TEXT)
        assert (found.payload, found.final, found.reserved, rest) == (payload, True, 0, b"")


def test_messages_are_sent_in_pieces():
    found, rest = parse(Codec(context(ws_fragment_size=10)).message("a" * 25))
    assert [(piece.opcode, piece.final, len(piece.payload)) for piece in found] == [
        (TEXT, False, 10),
        (CONTINUATION, False, 10),
        (CONTINUATION, True, 5),
    ]
    assert rest == b""


def test_surrogates_are_no_text():
    with pytest.raises(UnicodeEncodeError):
        Codec(context()).message("\ud800")


class Client:
    """The other end of a compressed connection."""

    def __init__(self, takeover: bool, bits: int = 15) -> None:
        self.takeover, self.bits = takeover, bits
        self.stream = zlib.decompressobj(wbits=-bits)

    def read(self, data: bytes) -> bytes:
        pieces, rest = parse(data)
        assert rest == b""
        payload = b"".join(piece.payload for piece in pieces)
        assert [piece.reserved & 3 for piece in pieces] == [0] * len(pieces)
        assert [piece.reserved for piece in pieces[1:]] == [0] * (len(pieces) - 1)
        if not pieces[0].reserved:
            return payload
        if not self.takeover:
            self.stream = zlib.decompressobj(wbits=-self.bits)
        return self.stream.decompress(payload + b"\0\0\xff\xff")


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("fragment", [0, 100])
def test_what_is_sent_compressed(takeover, bits, fragment):
    rng = random.Random(f"{takeover} {bits} {fragment}")
    shared = context(ws_deflate_threshold=20, ws_fragment_size=fragment)
    codec = Codec(shared, (takeover, True, bits, 15))
    client = Client(takeover, bits)
    words = [rng.randbytes(3).hex() for _ in range(50)]
    for _ in range(200):
        text = " ".join(rng.choices(words, k=rng.randrange(400)))
        assert client.read(codec.message(text)) == text.encode()
    noise = rng.randbytes(100_000)
    assert client.read(codec.message(noise)) == noise
    assert codec.holds() == takeover
    assert client.read(codec.message("small")) == b"small"
    assert codec.message("small") == b"\x81\x05small"


def test_a_message_to_many_is_compressed_once():
    """Also for those who keep their windows, and whoever has a smaller one."""
    shared = context(ws_deflate_threshold=0)
    rng = random.Random(1)
    ends = [
        (Codec(shared, (takeover, True, bits, 15)), Client(takeover, bits))
        for takeover in (True, False, True, False, True)
        for bits in (12, 15, 9, 12)
    ]
    streams = []
    for number in range(30):
        text = f"{number} " + " ".join(rng.choices(["alpha", "beta", "gamma"], k=200))
        for codec, client in ends:
            assert client.read(codec.message(text)) == text.encode()
        own = f"for one alone, {number}"
        assert (
            ends[number % len(ends)][1].read(ends[number % len(ends)][0].message(own))
            == own.encode()
        )
        streams.append(shared.streams)
    assert streams[-1] < 20
    messages = [
        codec.message("the very same, " * 20) for codec, client in ends if not client.takeover
    ]
    assert len(set(messages)) <= 3


@pytest.mark.parametrize("message", ["grün, " * 100, bytes(1000)], ids=["text", "bytes"])
@pytest.mark.parametrize(
    ("parameters", "times"),
    [
        pytest.param([ALONE], 1, id="no windows"),
        pytest.param([TAKEOVER], 2, id="windows: the first one does not know of the others"),
        pytest.param([ALONE, TAKEOVER], 2, id="some of both"),
        pytest.param([ALONE, (False, False, 9, 15)], 2, id="windows of two sizes"),
    ],
)
def test_how_often_a_message_to_many_is_compressed(message, parameters, times):
    shared = context(ws_deflate_threshold=0)
    for codec in [Codec(shared, each) for each in parameters * 20]:
        # equal to the others, and not the same
        assert codec.message(message[:1] + message[1:])[0] & 0x40
    assert shared.deflated <= times


# all together


@st.composite
def conversations(draw):
    """What a client might send, right and wrong."""
    rng = draw(st.randoms(use_true_random=False))
    data = b""
    for _ in range(rng.randrange(1, 8)):
        payload = rng.choice(
            (rng.randbytes(rng.randrange(300)), "grün€𝄞".encode() * rng.randrange(60))
        )
        opcode = rng.choice(
            (TEXT, BINARY, BINARY, CONTINUATION, PING, PONG, CLOSE, rng.randrange(16))
        )
        reserved = 4 if opcode in (TEXT, BINARY) and rng.random() < 0.4 else 0
        if reserved:
            payload = deflated(payload)[0]
        data += frame(
            opcode,
            payload[:125] if opcode > 7 else payload,
            final=opcode > 7 or rng.random() < 0.6,
            reserved=reserved,
            mask=rng.randbytes(4),
        )
    if rng.random() < 0.3:
        at = rng.randrange(len(data))
        data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    return data, rng.randrange(1 << 30)


@given(conversations(), st.sampled_from([None, TAKEOVER, ALONE]))
@settings(max_examples=300)
def test_pieces_make_no_difference(conversation, parameters):
    data, seed = conversation
    whole = events(data, parameters, ws_max_message_size=400)
    for more in range(3):
        assert (
            in_pieces(data, random.Random(seed + more), parameters, ws_max_message_size=400)
            == whole
        )
