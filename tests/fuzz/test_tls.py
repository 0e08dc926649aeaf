"""Broken TLS against a real server: whatever comes, it answers, sends an alert or closes, goes on
serving, and keeps nothing.

What is broken are the bytes of a real handshake and of the data behind it: bits, lengths, records
left out, doubled and in another order, cut into pieces at random places. `GRANITE_FUZZ_SEED` picks
another seed, `GRANITE_FUZZ_COUNT` the number of connections of each run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import ssl
from collections.abc import Iterator

import pytest

from granite.testing import TestServer

SEED = os.environ.get("GRANITE_FUZZ_SEED", "granite")
COUNT = int(os.environ.get("GRANITE_FUZZ_COUNT", "400"))
REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" + bytes(2000)


@pytest.fixture(autouse=True)
def _no_errors_are_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.WARNING, "granite.error")
    yield
    assert caplog.records == []


async def echoes(scope, receive, send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body * 20})


def records_of(data: bytes) -> list[bytearray]:
    found = []
    while data:
        size = 5 + int.from_bytes(data[3:5], "big")
        found.append(bytearray(data[:size]))
        data = data[size:]
    return found


def broken(data: bytes, rng: random.Random) -> bytes:
    """`data`, whole records, with up to three faults."""
    records = records_of(data)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        records = [record for record in records if record]
        if not records:
            break
        at = rng.randrange(len(records))
        record = records[at]
        way = rng.randrange(10)
        if way < 3 and len(record) > 5:
            record[rng.randrange(5, len(record))] ^= 1 << rng.randrange(8)
        elif way == 3:
            record[rng.randrange(min(5, len(record)))] = rng.choice((0, 1, 3, 20, 21, 22, 23, 255))
        elif way == 4:  # a length that lies
            size = max(len(record) - 5 + rng.choice((-20, -1, 1, 20, 300)), 0)
            record[3:5] = (size % 65536).to_bytes(2, "big")
        elif way == 5:
            del record[rng.randrange(len(record)) :]
        elif way == 6:
            records.insert(rng.randrange(len(records) + 1), bytearray(record))
        elif way == 7:
            records.append(records.pop(at))
        elif way == 8:
            del records[at]
        else:
            alien = rng.choice(
                (b"\x14\3\3\0\1\1", b"\x15\3\3\0\2\1\0", b"\x16\3\3\0\0", b"\x17\3\3\0\0")
            )
            records.insert(at, bytearray(alien))
    return b"".join(records)


class Talk:
    """One connection of a client that breaks, from step `broken_from` on, what it sends."""

    def __init__(self, server: TestServer, context: ssl.SSLContext, rng: random.Random) -> None:
        self.rng = rng
        self.sock = socket.create_connection((server.host, server.port), 30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.faultless = rng.randrange(5)  # flights

    def run(self) -> None:
        """Until the server has closed, or both sides have said everything."""
        with contextlib.closing(self.sock):
            try:
                self._talk()
            except TimeoutError:
                raise
            except OSError:  # TLS of this side, or the server has closed
                pass

    def _talk(self) -> None:
        while not self.done(self.tls.do_handshake):
            self.exchange()
        for _ in range(self.rng.randrange(4)):
            self.tls.write(REQUEST)
            if self.rng.random() < 0.5:
                self.exchange(wait=False)
        if self.rng.random() < 0.5:
            self.done(self.tls.unwrap)
        self.exchange(wait=False)
        self.sock.shutdown(socket.SHUT_WR)
        while self.sock.recv(65536):
            pass

    def done(self, action) -> bool:
        try:
            action()
        except ssl.SSLWantReadError:
            return False
        return True

    def exchange(self, *, wait: bool = True) -> None:
        data = self.outgoing.read()
        ends = False
        if self.faultless == 0:
            whole, data = data, broken(data, self.rng)
            ends = data != whole  # the server may wait for what was lied about
        else:
            self.faultless -= 1
        cuts = sorted(self.rng.randrange(len(data) + 1) for _ in range(self.rng.randrange(4)))
        for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True):
            self.sock.sendall(data[a:b])
        if ends:
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(65536):
                pass
            raise ConnectionError
        if wait:
            received = self.sock.recv(65536)
            if not received:
                raise ConnectionError
            self.incoming.write(received)


def test_answer_alert_or_close(authority) -> None:
    rng = random.Random(f"{SEED} tls")
    context = authority.trusting()
    settings = {**authority.settings, "request_head_timeout": 5.0, "body_high_water": 1024}
    with TestServer(echoes, lifespan="off", **settings) as server:
        for number in range(COUNT):
            try:
                Talk(server, context, rng).run()
            except TimeoutError:  # noqa: PERF203
                raise AssertionError(f"seed {SEED!r}, connection {number}: no end") from None
        final = Talk(server, context, rng)
        final.faultless = 100
        while not final.done(final.tls.do_handshake):
            final.exchange()
        final.tls.write(REQUEST)
        final.exchange()
        assert final.tls.read(100).startswith(b"HTTP/1.1 200 ")
        final.sock.close()
    assert {name: count for name, count in server.counters().items() if count} == {}
    assert [e for e in server.exceptions if not isinstance(e, OSError)] == []
