"""What a client must not do in TLS: it gets an alert, of picotls' choice, and nothing else."""

from __future__ import annotations

import contextlib
import ssl
import struct

import pytest

from granite import testing
from granite._core.tls import Certificate, TlsContext, engines
from tests.server.apps import hello
from tests.server.inside import counted, wait_for
from tests.server.records import (
    BAD_RECORD_MAC,
    DECODE_ERROR,
    DECRYPT_ERROR,
    GET,
    HANDSHAKE_FAILURE,
    ILLEGAL_PARAMETER,
    INTERNAL_ERROR,
    RECORD_OVERFLOW,
    UNEXPECTED_MESSAGE,
    alert,
    answer_to,
    pause,
    plain_alert,
    record,
)
from tests.server.tls import ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Forger, Records

pytestmark = pytest.mark.c_alone

P25519 = 2**255 - 19
X25519_SHARE = b"\x00\x1d\x00\x20"  # how it begins: the group, and 32 bytes


@pytest.fixture
def server(serve, authority):
    return serve(hello, ssl_ticket_lifetime=0, **authority.settings)


@pytest.fixture
def forger(server, authority):
    client = Forger(server.host, server.port, authority)
    yield client
    client.sock.close()


@pytest.fixture
def client_hello(server, trusting) -> bytes:
    """The record with a ClientHello that the server would take."""
    context_in, context_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting.wrap_bio(context_in, context_out, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return context_out.read()


@pytest.mark.parametrize("size", [16_384 + 18, 16_384 + 256, 16_384 + 257, 65_535])
def test_a_record_that_is_too_large(forger, size):
    forger.sock.sendall(struct.pack("!BHH", DATA, 0x0303, size) + bytes(1000))
    assert alert(forger) == RECORD_OVERFLOW


@pytest.mark.parametrize(("size", "padding"), [(16_385, 0), (16_384, 1), (1, 16_384)])
def test_a_record_that_holds_too_much(forger, size, padding):
    """Padding counts (RFC 8446, 5.4)."""
    forger.sock.sendall(forger.seal(DATA, bytes(size), padding))
    assert alert(forger) == RECORD_OVERFLOW


@pytest.mark.parametrize("padding", [False, True])
def test_a_record_that_holds_as_much_as_it_may(forger, padding):
    request = GET[:-2] + b"A: " + b"a" * (0 if padding else 16_384 - len(GET) - 5) + b"\r\n\r\n"
    forger.sock.sendall(forger.seal(DATA, request, 16_384 - len(request)))
    kind, data = forger.open()
    assert (kind, data[:15]) == (DATA, b"HTTP/1.1 200 OK")


def test_a_record_of_padding_without_a_kind(forger):
    forger.sock.sendall(forger.seal(0, b"", 100))
    assert alert(forger) == UNEXPECTED_MESSAGE


@pytest.mark.parametrize("size", [0, 1, 15, 16])
def test_a_record_that_is_too_short_for_its_seal(forger, size):
    forger.sock.sendall(record(DATA, bytes(size)))
    assert alert(forger) in (BAD_RECORD_MAC, DECODE_ERROR)


IN_PLAIN_TEXT = [
    pytest.param(record(HANDSHAKE, b"\x01\0\0\0"), id="client-hello"),
    pytest.param(record(CHANGE_CIPHER_SPEC, b"\x01"), id="change-cipher"),
    pytest.param(record(ALERT, b"\x01\0"), id="close-notify"),
    pytest.param(record(ALERT, b"\x02\x28"), id="handshake-failure"),
    pytest.param(record(99, b"data"), id="unknown-kind"),
]


@pytest.mark.parametrize("data", IN_PLAIN_TEXT)
def test_a_plain_record_after_the_handshake(forger, data):
    """An alert that anybody on the way could have sent, and a try to negotiate anew, among them."""
    forger.sock.sendall(data)
    assert alert(forger) == UNEXPECTED_MESSAGE


@pytest.mark.parametrize("data", IN_PLAIN_TEXT)
def test_a_plain_record_right_behind_a_sealed_one(forger, data):
    forger.sock.sendall(forger.seal(DATA, GET[:5]) + data)
    assert alert(forger) == UNEXPECTED_MESSAGE


def test_records_whose_heads_are_cut(forger):
    """Each is judged as soon as its head is there, wherever reads end."""
    for at in range(1, 6):
        sealed = forger.seal(DATA, GET)
        for piece in (sealed[:at], sealed[at:]):
            forger.sock.sendall(piece)
            pause(0.01)
        assert forger.open()[0] == DATA
    sealed = forger.seal(DATA, GET)
    forger.sock.sendall(sealed + struct.pack("!BH", DATA, 0x0303))
    assert forger.open()[0] == DATA
    forger.sock.sendall(struct.pack("!H", 16_402))
    assert alert(forger) == RECORD_OVERFLOW


def test_one_byte_of_a_plain_record(forger):
    """Nothing more has to come."""
    forger.sock.sendall(bytes([ALERT]))
    assert alert(forger) == UNEXPECTED_MESSAGE


def test_a_record_that_comes_twice(forger):
    once = forger.seal(DATA, b"\r\n")
    forger.sock.sendall(once + once)
    assert alert(forger) == BAD_RECORD_MAC


@pytest.mark.parametrize("size", [1, 5, 6, 100, -1])
def test_a_handshake_that_is_cut(server, client_hello, size):
    """There is nobody to tell."""
    assert answer_to(server, client_hello[:size]) == b""
    assert wait_for(server, connections_active=0)["tls_handshakes_failed_closed"] == 1


@pytest.fixture
def half_way(server, authority):
    """A client that has got the server's flight, and has not sent its own."""
    client = Forger(server.host, server.port, authority, finished=False)
    yield client
    client.sock.close()


def test_a_wrong_finished(server, half_way):
    size = half_way.own.hash().digest_size
    half_way.sock.sendall(half_way.seal(HANDSHAKE, bytes([20, 0, 0, size]) + bytes(size)))
    assert alert(half_way) == DECRYPT_ERROR
    half_way.sock.close()
    assert wait_for(server, connections_active=0)["tls_handshakes_failed_decrypt_error"] == 1
    assert counted(server)["tls_handshakes"] == 0


@pytest.mark.parametrize(
    "message", [b"\x18\0\0\x01\0", b"\x05\0\0\0", b"\x01\0\0\x04abcd"], ids=lambda m: str(m[0])
)
def test_another_message_in_place_of_finished(half_way, message):
    half_way.sock.sendall(half_way.seal(HANDSHAKE, message))
    assert alert(half_way) == UNEXPECTED_MESSAGE


@pytest.mark.parametrize(
    "data", [record(HANDSHAKE, b"\x01\0\0\0"), record(99, b"data")], ids=["client-hello", "unknown"]
)
def test_a_plain_record_in_place_of_finished(half_way, data):
    half_way.sock.sendall(data)
    assert alert(half_way) == UNEXPECTED_MESSAGE


def test_a_plain_alert_in_place_of_finished(server, half_way):
    """What a client sends that could make nothing of ServerHello, and so has no keys."""
    half_way.sock.sendall(record(ALERT, b"\x02\x2f"))
    with contextlib.suppress(ConnectionResetError):
        assert half_way.sock.recv(1) == b""
    assert wait_for(server, connections_active=0)["tls_handshakes_failed_illegal_parameter"] == 1


@pytest.mark.parametrize("size", [0, 31, 33, 255])
def test_a_finished_of_another_size(half_way, size):
    half_way.sock.sendall(half_way.seal(HANDSHAKE, bytes([20, 0, 0, size]) + bytes(size)))
    assert alert(half_way) in (DECODE_ERROR, DECRYPT_ERROR)


def test_data_before_finished(server, half_way):
    half_way.sock.sendall(half_way.seal(DATA, GET))
    assert alert(half_way) == UNEXPECTED_MESSAGE
    assert counted(server)["requests_handled"] == 0


def test_early_data_that_nobody_has_asked_for(server, client_hello):
    answered = answer_to(server, client_hello + record(DATA, bytes(100)))
    assert answered[:1] == bytes([HANDSHAKE])  # ServerHello; the alert is encrypted
    assert wait_for(server, connections_active=0)["tls_handshakes_failed_bad_record_mac"] == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(record(DATA, b"hello"), UNEXPECTED_MESSAGE, id="data-first"),
        pytest.param(record(HANDSHAKE, b"\x02\0\0\x01a"), HANDSHAKE_FAILURE, id="server-hello"),
        pytest.param(record(HANDSHAKE, b"\x14\0\0\x01a"), HANDSHAKE_FAILURE, id="finished"),
        pytest.param(record(HANDSHAKE, b"\x01\0\0\x01a"), DECODE_ERROR, id="short-hello"),
        pytest.param(
            b"".join(record(HANDSHAKE, b"\x01\xff\xff\xff" + bytes(16_000)) for _ in range(6)),
            HANDSHAKE_FAILURE,
            id="endless-hello",
        ),
    ],
)
def test_what_is_no_client_hello(server, data, expected):
    assert plain_alert(answer_to(server, data)) == expected


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize(
    "share",
    [
        pytest.param(bytes(32), id="zero"),
        pytest.param((1).to_bytes(32, "little"), id="one"),
        pytest.param((P25519 - 1).to_bytes(32, "little"), id="p-1"),
        pytest.param(P25519.to_bytes(32, "little"), id="p"),
        pytest.param((P25519 + 1 + 2**255).to_bytes(32, "little"), id="p+1"),
        pytest.param(
            bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            id="order-8",
        ),
    ],
)
def test_a_share_of_small_order(serve, authority, client_hello, monkeypatch, engine, share):
    """Whose secret is zero, whoever's key it is exchanged with (RFC 7748, 6.1)."""
    chain, key = authority.chain.read_bytes(), authority.key.read_bytes()
    context = TlsContext([Certificate(chain, key)], engine=engine)
    monkeypatch.setattr(testing, "load_context", lambda config: context)
    other = serve(hello, **authority.settings)
    at = client_hello.rindex(X25519_SHARE) + 4
    answer = answer_to(other, client_hello[:at] + share + client_hello[at + 32 :])
    assert plain_alert(answer) in (ILLEGAL_PARAMETER, INTERNAL_ERROR)  # OpenSSL's says no reason


def test_a_share_of_another_size(server, client_hello):
    """Of 27 bytes, with the rest in the share of a group that nobody has."""
    at = client_hello.rindex(X25519_SHARE)
    shares = b"\x00\x1d\x00\x1b" + bytes(range(27)) + b"\x0a\x0a\x00\x01\x00"
    answer = answer_to(server, client_hello[:at] + shares + client_hello[at + 36 :])
    assert plain_alert(answer) in (ILLEGAL_PARAMETER, DECRYPT_ERROR)


def test_a_client_hello_in_pieces(server, authority):
    """Records may cut a message anywhere (RFC 8446, 5.1)."""
    client = Records(server.host, server.port, authority.trusting())
    with client.sock:
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.do_handshake()
        whole = client.outgoing.read()
        pieces = [whole[5 + at : 6 + at] for at in range(len(whole) - 5)]
        client.send(b"".join(record(HANDSHAKE, piece, 0x0301) for piece in pieces))
        client.handshake()
        client.send(client.seal(GET))
        assert client.read(b"hello")
