"""What each setting of HTTP/2 changes, as a client sees it."""

from __future__ import annotations

import pytest

from tests.http2.wire import (
    ACK,
    ENABLE_CONNECT,
    ENABLE_PUSH,
    GOAWAY,
    INITIAL_WINDOW,
    MAX_FIELDS,
    MAX_FRAME,
    MAX_STREAMS,
    PING,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    settings,
)
from tests.server.apps import answer, body_of, eventually, hello
from tests.server.inside import counted, many_turns, wait_for


def first_frames(client):
    """The server's settings, and what it adds to the window of the connection."""
    found = client.read()
    assert (found.kind, found.flags, found.stream) == (SETTINGS, 0, 0)
    values = found.settings
    client.send(frame(PING, 0, 0, b"question"))
    more = 0
    while (found := client.read()).kind != PING:
        if found.kind == WINDOW_UPDATE:
            assert found.stream == 0
            more += int.from_bytes(found.payload, "big")
    return values, 65535 + more


def test_the_defaults(wire):
    values, window = first_frames(wire(hello))
    assert values[MAX_STREAMS] == 200
    assert values[INITIAL_WINDOW] == 1024**2
    assert values.get(MAX_FRAME, 16384) == 16384
    assert values[MAX_FIELDS] == 65536
    assert values[ENABLE_CONNECT] == 1
    assert values.get(ENABLE_PUSH, 0) == 0
    assert window == 1024**2


@pytest.mark.parametrize(
    ("name", "value", "identifier"),
    [
        ("http2_max_concurrent_streams", 7, MAX_STREAMS),
        ("http2_initial_stream_window_size", 70_000, INITIAL_WINDOW),
        ("http2_initial_stream_window_size", 2000, INITIAL_WINDOW),
        ("http2_max_frame_size", 100_000, MAX_FRAME),
        ("http2_max_headers_size", 5000, MAX_FIELDS),
    ],
)
def test_what_is_told(wire, name, value, identifier):
    values, _ = first_frames(wire(hello, **{name: value}))
    assert values[identifier] == value


@pytest.mark.parametrize("value", [65536, 5_000_000])
def test_the_window_of_a_connection(wire, value):
    assert first_frames(wire(hello, http2_initial_connection_window_size=value))[1] == value


def test_large_frames(connect):
    async def app(scope, receive, send):
        await answer(send, b"%d" % len(await body_of(receive)))

    client = connect(app, http2_max_frame_size=1024**2)
    client.until(lambda: client.h2.outbound_flow_control_window > 500_000)
    assert client.h2.max_outbound_frame_size == 1024**2
    stream = client.request(method="POST", end=False)
    client.h2.send_data(stream, b"x" * 500_000, end_stream=True)
    client.flush()
    assert client.response(stream).body == b"500000"


def test_a_window_that_adapts(wire):
    """It grows with what comes."""

    async def app(scope, receive, send):
        await answer(send, b"%d" % len(await body_of(receive)))

    client = wire(
        app,
        http2_adaptive_window=True,
        http2_initial_stream_window_size=65536,
        http2_initial_connection_window_size=65536,
    )
    stream = client.request(method="POST", end=False)
    room = {0: 65535, stream: 65536}
    initial = 65536
    sent = biggest = 0
    while sent < 8 * 1024**2:
        size = min(16384, *room.values())
        if size > 0:
            client.data(stream, bytes(size))
            sent += size
            room = {which: left - size for which, left in room.items()}
            continue
        found = client.read()
        assert found is not None
        if found.kind == WINDOW_UPDATE:
            room[found.stream] += int.from_bytes(found.payload, "big")
        elif found.kind == SETTINGS and not found.flags and INITIAL_WINDOW in found.settings:
            room[stream] += found.settings[INITIAL_WINDOW] - initial
            initial = found.settings[INITIAL_WINDOW]
            client.send(frame(SETTINGS, ACK))
        elif found.kind == PING and not found.flags:
            client.send(frame(PING, ACK, 0, found.payload))
        biggest = max(biggest, room[stream])
    client.data(stream, end=True)
    assert client.answer(stream)[":status"] == "200"
    assert biggest > 2 * 65536


@pytest.mark.parametrize("value", [1000, 12_000])
def test_the_largest_field_section(wire, value):
    """Beyond it a request is refused, and the connection goes on."""
    client = wire(hello, http2_max_headers_size=value)
    good = client.request("/", "a: " + "b" * (value // 2))
    assert client.answer(good)[":status"] == "200"
    client.ping()
    bad = client.request("/", *[f"a{n}: " + "b" * (value // 4) for n in range(6)])
    for found in client.frames():
        assert found.kind != GOAWAY
        if found.stream == bad:
            break
    if found.kind == 1:
        assert client.fields(found)[":status"] == "431"
    client.ping()


# PING


def test_the_pings_of_a_client_are_answered(wire):
    client = wire(hello)
    for number in range(5):
        client.ping(b"%08d" % number)


def test_a_client_that_answers_pings_is_kept(wire, serve):
    server = serve(hello, http2_keep_alive_interval="50ms", keep_alive_timeout=0)
    client = wire(server)
    for _ in range(5):
        found = client.until(PING)
        assert (found.flags, found.stream) == (0, 0)
        client.send(frame(PING, ACK, 0, found.payload))
    assert client.answer(client.request())[":status"] == "200"


def test_a_client_that_does_not_answer_pings_is_closed(wire, serve):
    server = serve(
        hello, http2_keep_alive_interval="50ms", http2_keep_alive_timeout=1, keep_alive_timeout=0
    )
    client = wire(server)
    kinds = [found.kind for found in client.frames()]
    assert PING in kinds
    eventually(lambda: server.counters()["connections"] == 0)


def test_a_client_that_does_not_read_for_a_while_is_there(connect, serve):
    """The PING waits behind the response: nobody can answer it before that has left."""
    size = 8 * 1024 * 1024

    async def app(scope, receive, send):
        await answer(send, b"x" * size)

    server = serve(
        app, http2_keep_alive_interval="50ms", http2_keep_alive_timeout=3, keep_alive_timeout=0
    )
    client = connect(server, receive_buffer=4096, values={INITIAL_WINDOW: 2**31 - 1})
    client.h2.increment_flow_control_window(2**30)
    client.flush()
    stream = client.request()
    wait_for(server, requests_handled=1)
    many_turns(server)
    silent = connect(server)
    while silent.wire.read() is not None:  # it does not answer
        pass
    assert counted(server)["rejected_http2_no_pong"] == 1
    assert len(client.response(stream).body) == size


def test_without_an_interval_no_ping_comes(wire, serve):
    server = serve(hello, keep_alive_timeout=0.5)
    client = wire(server)
    client.answer(client.request())
    assert PING not in [found.kind for found in client.frames()]


# SETTINGS


def test_settings_are_acknowledged(wire):
    client = wire(hello)
    client.until(SETTINGS, flags=ACK)
    for number in range(3):
        client.send(settings({INITIAL_WINDOW: 1000 + number, 0x77: 5}))
        client.until(SETTINGS, flags=ACK)
