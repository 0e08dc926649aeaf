"""TLS 1.2: records as they are, and those that clients must not send."""

from __future__ import annotations

import contextlib
import random
import struct

import pytest

from tests.server.apps import answer, body, eventually, hello, start
from tests.server.inside import counted, wait_for
from tests.server.records import (
    BAD_RECORD_MAC,
    DECODE_ERROR,
    GET,
    INTERNAL_ERROR,
    RECORD_OVERFLOW,
    UNEXPECTED_MESSAGE,
    alert,
    answer_to,
    plain_alert,
    record,
    until_the_end,
)
from tests.server.tls import ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Records
from tests.server.tls12 import first_flight

pytestmark = pytest.mark.c_alone

NO_RENEGOTIATION = b"\x01\x64"


@pytest.fixture(autouse=True)
def tls_version() -> str:
    return "1.2"


@pytest.fixture
def client_hello(serve, authority, trusting):
    """A server, and the record with a ClientHello that it would take."""
    server = serve(hello, **authority.settings)
    client = Records(server.host, server.port, trusting)
    with client.sock, contextlib.suppress(Exception):
        client.tls.do_handshake()
    wait_for(server, connections_active=0)
    return server, client.outgoing.read()


# data


def test_records_begin_small_and_grow(forger):
    sent = random.Random(1).randbytes(400_000)  # enough for some pauses, too

    async def app(scope, receive, send):
        await answer(send, sent)

    _, client = forger(app)
    client.sock.sendall(client.seal(DATA, GET))
    records: list[bytes] = []
    while not b"".join(records).endswith(b"\r\n\r\n" + sent):
        records.append(client.open()[1])
    sizes = [len(record) for record in records]
    assert max(sizes[:20]) <= 1369
    assert sizes.count(16_384) > 5


def test_a_try_to_negotiate_anew_is_declined(forger):
    """RFC 5246, 7.2.2: no_renegotiation, a warning; nothing else happens."""
    _, client = forger(hello)
    again = client.seal(HANDSHAKE, b"\x01\0\0\x04abcd")
    client.sock.sendall(again)
    assert client.open() == (ALERT, NO_RENEGOTIATION)
    assert client.ask().endswith(b"hello")


def test_whoever_tries_time_and_again_is_let_go(forger, log):
    server, client = forger(hello)
    with contextlib.suppress(OSError):
        for _ in range(1000):
            client.sock.sendall(client.seal(HANDSHAKE, b"\x01\0\0\x04abcd"))
            if server.counters()["connections"] == 0:
                break
    eventually(lambda: server.counters()["connections"] == 0)
    assert any("asked for another handshake time and again" in line for line in log.messages)


def test_whoever_is_declined_during_a_response_gets_all_of_it(forger):
    async def app(scope, receive, send):
        await send(start())
        for _ in range(100):
            await send(body(b"z" * 20_000, more=True))
        await send(body(b"end"))

    _, client = forger(app)
    client.sock.sendall(client.seal(DATA, GET) + client.seal(HANDSHAKE, b"\x01\0\0\x04abcd"))
    data, declined = b"", 0
    while not data.endswith(b"end\r\n0\r\n\r\n"):
        kind, piece = client.open()
        assert kind in (DATA, ALERT)
        if kind == ALERT:
            assert piece == NO_RENEGOTIATION
            declined += 1
        else:
            data += piece
    assert declined == 1
    assert data.count(b"z" * 20_000 + b"\r\n") == 100


def test_records_without_data_do_no_harm(forger):
    _, client = forger(hello)
    assert client.ask(*(client.seal(DATA, b"") for _ in range(20))).endswith(b"hello")


# wrong records


@pytest.mark.parametrize(
    ("sealed", "expected"),
    [
        pytest.param((HANDSHAKE, b"\x0b\0\0\x04\0\0\0\0"), UNEXPECTED_MESSAGE, id="certificate"),
        pytest.param((HANDSHAKE, b"\x14\0\0\x04abcd"), UNEXPECTED_MESSAGE, id="finished-again"),
        pytest.param((ALERT, b"\x02"), (UNEXPECTED_MESSAGE, DECODE_ERROR), id="short-alert"),
        pytest.param((CHANGE_CIPHER_SPEC, b"\x01"), UNEXPECTED_MESSAGE, id="change-cipher-spec"),
        pytest.param((99, b"data"), UNEXPECTED_MESSAGE, id="unknown-kind"),
        pytest.param((DATA, bytes(16_385)), RECORD_OVERFLOW, id="too-large-inside"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_records_out_of_place(forger, sealed, expected, asked):
    server, client = forger(until_the_end)
    client.sock.sendall((client.seal(DATA, GET) if asked else b"") + client.seal(*sealed))
    assert alert(client) in (expected if isinstance(expected, tuple) else (expected,))
    client.sock.close()
    eventually(lambda: server.counters()["connections"] == 0)


def test_a_record_that_is_too_large(forger):
    _, client = forger(hello)
    client.sock.sendall(struct.pack("!BHH", DATA, 0x0303, 16_384 + 2049) + bytes(1000))
    assert alert(client) == RECORD_OVERFLOW


@pytest.mark.parametrize("size", [0, 1, 15, 16, 23])
def test_a_record_that_is_too_short_for_its_seal(forger, size):
    _, client = forger(hello)
    client.sock.sendall(record(DATA, bytes(size)))
    refused = (BAD_RECORD_MAC, DECODE_ERROR, UNEXPECTED_MESSAGE)
    assert alert(client) in (*refused, INTERNAL_ERROR)  # as OpenSSL 3.0.19 has it


@pytest.mark.parametrize("at", [5, 13, 20, -1])
def test_a_record_that_was_tampered_with(forger, at):
    _, client = forger(hello)
    data = bytearray(client.seal(DATA, GET))
    data[at] ^= 1
    client.sock.sendall(data)
    assert alert(client) == BAD_RECORD_MAC


def test_a_record_that_comes_twice(forger):
    _, client = forger(hello)
    once = client.seal(DATA, b"\r\n")
    client.sock.sendall(once + once)
    assert alert(client) == BAD_RECORD_MAC


# wrong handshakes


@pytest.mark.parametrize("size", [1, 5, 6, 100, -1])
def test_a_client_hello_that_is_cut(client_hello, size):
    server, data = client_hello
    assert answer_to(server, data[:size]) == b""
    assert wait_for(server, connections_active=0)["tls_handshakes_failed_closed"] == 1


def test_a_handshake_that_ends_half_way(client_hello):
    server, data = client_hello
    assert answer_to(server, data)[:1] == bytes([HANDSHAKE])
    assert wait_for(server, connections_active=0)["tls_handshakes_failed_closed"] == 1


def test_a_client_hello_in_pieces(client_hello, trusting):
    """Records may cut a message anywhere (RFC 5246, 6.2.1)."""
    server, _ = client_hello
    client = Records(server.host, server.port, trusting)
    with client.sock:
        with contextlib.suppress(Exception):
            client.tls.do_handshake()
        whole = client.outgoing.read()
        pieces = [whole[5 + at : 6 + at] for at in range(len(whole) - 5)]
        client.send(b"".join(record(HANDSHAKE, piece, 0x0301) for piece in pieces), 1000)
        client.handshake()
        client.send(client.seal(GET))
        assert client.read(b"hello")


def test_a_client_hello_of_several_records(client_hello):
    server, data = client_hello
    padding = struct.pack("!HH", 21, 40_000) + bytes(40_000)  # RFC 7685
    hello = data[5 + 4 :]
    at = 34 + 1 + hello[34]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at]
    extensions = hello[at + 2 :] + padding
    hello = hello[:at] + struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + len(hello).to_bytes(3, "big") + hello
    pieces = [message[at : at + 16_000] for at in range(0, len(message), 16_000)]
    answered = answer_to(server, b"".join(record(HANDSHAKE, piece) for piece in pieces))
    assert answered[:1] + answered[5:6] == b"\x16\x02"


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        pytest.param(record(DATA, bytes(100)), UNEXPECTED_MESSAGE, id="data"),
        pytest.param(
            record(HANDSHAKE, b"\x14\0\0\x0c" + bytes(12)), UNEXPECTED_MESSAGE, id="finished"
        ),
        pytest.param(
            record(CHANGE_CIPHER_SPEC, b"\x01"), UNEXPECTED_MESSAGE, id="change-cipher-spec"
        ),
        pytest.param(record(99, b"data"), UNEXPECTED_MESSAGE, id="unknown-kind"),
        pytest.param(record(HANDSHAKE, b"\x10\0\0\x02\x01a"), DECODE_ERROR, id="key-exchange"),
    ],
)
def test_what_must_not_follow_a_client_hello(client_hello, behind, expected):
    server, data = client_hello
    answered = answer_to(server, data + behind)
    assert answered[:1] == bytes([HANDSHAKE])
    assert answered[-7:-1] == b"\x15\x03\x03\x00\x02\x02"
    assert answered[-1] in (expected, 47, 50)


def test_a_finished_that_is_wrong(client_hello, trusting, log):
    server, _ = client_hello
    client = Records(server.host, server.port, trusting)
    with client.sock:
        first_flight(client)
        with contextlib.suppress(Exception):
            client.tls.do_handshake()
        flight = bytearray(client.outgoing.read())
        flight[-1] ^= 1
        client.send(flight)
        assert plain_alert(client.sock.recv(100)) == BAD_RECORD_MAC
    numbers = wait_for(server, connections_active=0)
    assert numbers["tls_handshakes_failed_bad_record_mac"] == 1
    assert counted(server)["tls_handshakes"] == 0
    assert any("TLS: alert 20 (bad record): " in line for line in log.messages)
