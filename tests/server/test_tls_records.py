"""TLS records that clients rarely or never send: key updates, alerts, floods, misplaced ones."""

from __future__ import annotations

import contextlib
import random
import time

import pytest

from tests.server.apps import answer, eventually, hello
from tests.server.records import (
    DECODE_ERROR,
    GET,
    HANDSHAKE_FAILURE,
    UNEXPECTED_MESSAGE,
    USER_CANCELED,
    alert,
    pause,
    until_the_end,
)
from tests.server.tls import ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Forger

pytestmark = pytest.mark.c_alone


def ask(client: Forger, *before: bytes) -> bytes:
    """Send the records and a request; return the data of the response's first record."""
    client.sock.sendall(b"".join(before) + client.seal(DATA, GET))
    kind, data = client.open()
    while kind == HANDSHAKE:
        kind, data = client.open()
    assert kind == DATA
    return data


def test_key_updates_are_answered_before_the_next_data(forger):
    """RFC 8446, 4.6.3: one update answers all that came since the last data."""
    _, client = forger(hello)
    assert ask(client).endswith(b"hello")
    updates = client.update(request=True) + client.update(request=True)
    client.sock.sendall(updates + client.seal(DATA, GET))
    assert client.open() == (HANDSHAKE, b"\x18\0\0\x01\0")
    assert client.open()[1].endswith(b"hello")
    assert ask(client, client.update(request=False)).endswith(b"hello")


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(lambda client: client.update(request=True), id="key-updates"),
        pytest.param(lambda client: client.seal(DATA, b""), id="empty"),
        pytest.param(lambda client: client.seal(DATA, b"", 3000), id="padding-alone"),
        pytest.param(lambda client: client.seal(ALERT, USER_CANCELED), id="user-canceled"),
        pytest.param(lambda client: client.seal(DATA, b"\r\n"), id="line-ends"),
    ],
)
def test_a_flood_of_records_without_data_does_no_harm(forger, flood):
    server, client = forger(hello)
    records = b"".join(flood(client) for _ in range(2000))
    assert ask(client, records).endswith(b"hello")
    assert server.counters()["connections"] == 1


def test_records_begin_small_and_grow(forger):
    """One fits into a segment as long as TCP sends few of them: first, and after a pause."""
    sent = random.Random(2).randbytes(300_000)

    async def app(scope, receive, send):
        await answer(send, sent)

    _, client = forger(app, keep_alive_timeout=60)
    for _ in range(2):
        client.sock.sendall(client.seal(DATA, GET))
        records: list[bytes] = []
        while not b"".join(records).endswith(b"\r\n\r\n" + sent):
            records.append(client.open()[1])
        sizes = [len(record) for record in records]
        assert max(sizes[:20]) <= 1369
        assert sum(size <= 1369 for size in sizes) < 100  # or a pause came in between
        assert sizes.count(16_384) > 5
        pause(1.1)


def test_records_without_data_put_no_deadline_off(forger):
    server, client = forger(hello, request_head_timeout=0.3)
    with contextlib.suppress(OSError):
        while server.counters()["connections"]:
            client.sock.sendall(client.seal(DATA, b""))
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param((HANDSHAKE, b"\x01\0\0\x04abcd"), UNEXPECTED_MESSAGE, id="client-hello"),
        pytest.param((HANDSHAKE, b"\x0b\0\0\x04\0\0\0\0"), UNEXPECTED_MESSAGE, id="certificate"),
        pytest.param((HANDSHAKE, b"\x14\0\0\x04abcd"), UNEXPECTED_MESSAGE, id="finished-again"),
        pytest.param((HANDSHAKE, b"\x18\0\0\x01\x02"), DECODE_ERROR, id="bad-key-update"),
        pytest.param((HANDSHAKE, b"\x18\0\0\x02\x01\x01"), DECODE_ERROR, id="long-key-update"),
        pytest.param((HANDSHAKE, b""), UNEXPECTED_MESSAGE, id="empty-handshake"),
        pytest.param((ALERT, b""), UNEXPECTED_MESSAGE, id="empty-alert"),
        pytest.param((ALERT, b"\x02"), DECODE_ERROR, id="short-alert"),
        pytest.param((CHANGE_CIPHER_SPEC, b"\x01"), UNEXPECTED_MESSAGE, id="change-cipher-spec"),
        pytest.param((99, b"data"), UNEXPECTED_MESSAGE, id="unknown-kind"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_records_out_of_place(forger, record, expected, asked):
    server, client = forger(until_the_end)
    client.sock.sendall((client.seal(DATA, GET) if asked else b"") + client.seal(*record))
    assert alert(client) == expected
    client.sock.close()
    eventually(lambda: server.counters()["connections"] == 0)


def test_a_handshake_message_larger_than_what_is_put_together(forger):
    _, client = forger(hello)
    head = b"\x0b\xff\xff\xff"
    records = [client.seal(HANDSHAKE, head + bytes(16_000))]
    records += [client.seal(HANDSHAKE, bytes(16_000)) for _ in range(6)]
    client.sock.sendall(b"".join(records))
    assert alert(client) == HANDSHAKE_FAILURE
