"""Two thousand handshakes, complete ones and such that are left at every stage, leave memory flat
and the counters at zero.
"""

from __future__ import annotations

import gc
import random
import ssl
from pathlib import Path

import pytest

from granite._core import buf
from granite.testing import TestServer
from tests.leaks.test_counters import finish, hello, reset, streams, wait_for, wait_until_quiet
from tests.leaks.test_memory import ALLOWED, private_bytes
from tests.server.tls import Records

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HANDSHAKES = 2000
WARM_UP = 600

# Where memory can't be compared, the counters still are.
COMPARED = not buf.DEBUG and not buf.SANITIZE and Path("/proc/self/smaps_rollup").exists()


def hello_of(client: Records) -> bytes:
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    return client.outgoing.read()


def nothing(client: Records) -> None:
    pass


def half_a_hello(client: Records) -> None:
    client.send(hello_of(client)[:100])


def no_hello(client: Records) -> None:
    client.send(GET)


def broken_hello(client: Records) -> None:
    data = bytearray(hello_of(client))
    data[60] ^= 255
    client.send(data)


def hello_alone(client: Records) -> None:
    client.send(hello_of(client))


def hello_answered(client: Records) -> None:
    hello_alone(client)
    client.sock.recv(1)


def broken_finish(client: Records) -> None:
    client.step(client.tls.do_handshake)
    data = bytearray(client.outgoing.read())
    data[-1] ^= 1
    client.send(data)


def handshake(client: Records) -> None:
    client.handshake()


def half_a_request(client: Records) -> None:
    client.handshake()
    client.send(client.seal(GET)[:-5])


def request_alone(client: Records) -> None:
    client.handshake()
    client.send(client.seal(GET))


def broken_request(client: Records) -> None:
    client.handshake()
    data = bytearray(client.seal(GET))
    data[-1] ^= 1
    client.send(client.seal(GET) + data)


def answer_begun(client: Records) -> None:
    request_alone(client)
    assert client.step(lambda: client.tls.read(5)) == b"HTTP/"


def everything(client: Records) -> None:
    answer_begun(client)
    with pytest.raises(ssl.SSLError):  # the answer's rest, or that nothing came yet
        client.tls.unwrap()
    client.send(client.outgoing.read())


STAGES = (
    nothing,
    half_a_hello,
    no_hello,
    broken_hello,
    hello_alone,
    hello_answered,
    broken_finish,
    handshake,
    half_a_request,
    request_alone,
    broken_request,
    answer_begun,
    everything,
)


def leave_at(server: TestServer, context: ssl.SSLContext, stage, leave) -> None:
    client = Records(server.host, server.port, context)
    try:
        stage(client)
    finally:
        leave(client.sock)


@pytest.mark.parametrize("app", [hello, streams])
def test_left_at_every_stage(authority, app) -> None:
    context = authority.trusting()
    with TestServer(app, lifespan="off", **authority.settings) as server:
        for stage in STAGES:
            for leave in (reset, finish):
                leave_at(server, context, stage, leave)
        wait_until_quiet(server)
        wait_for(server, layers=0)
    assert {name: count for name, count in server.counters().items() if count} == {}


@pytest.mark.parametrize("stage", STAGES)
def test_stopped_at_every_stage(authority, stage) -> None:
    context = authority.trusting()
    with TestServer(streams, lifespan="off", graceful_timeout=0.02, **authority.settings) as server:
        clients = [Records(server.host, server.port, context) for _ in range(2)]
        for client in clients:
            stage(client)
    for client in clients:
        client.sock.close()
    assert {name: count for name, count in server.counters().items() if count} == {}


def test_two_thousand_handshakes_leave_memory_flat(authority) -> None:
    rng = random.Random(1)
    context = authority.trusting()
    before = 0
    with TestServer(hello, lifespan="off", **authority.settings) as server:
        for number in range(HANDSHAKES):
            if number == WARM_UP and COMPARED:
                before = private_bytes()
            leave_at(server, context, rng.choice(STAGES), rng.choice((reset, finish)))
        wait_until_quiet(server)
        gc.collect()
        if COMPARED:
            assert private_bytes() - before <= ALLOWED
    assert {name: count for name, count in server.counters().items() if count} == {}
