"""How connections end: GOAWAY in two steps, and no stream below the last one is lost."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.http2.wire import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW,
    NO_ERROR,
    PING,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    frame,
    request_fields,
    settings,
    window_update,
)
from tests.patience import PATIENCE
from tests.server.apps import Gate, answer, behind, echo_body, eventually, held_up, hello
from tests.server.http2.marks import every_interface, plain_and_tls
from tests.server.inside import inside, many_turns, stopping, wait_for

ALL = 2**31 - 1
MIB = 1024 * 1024


async def large_or_small(scope, receive, send):
    await answer(send, b"x" * 8 * MIB if scope["path"] == "/large" else b"done")


def noting(calls, gate):
    """The same, as soon as the gate is open for /held; the paths are noted."""
    held = behind(gate, large_or_small)

    async def app(scope, receive, send):
        calls.append(scope["path"])
        await (held if scope["path"] == "/held" else large_or_small)(scope, receive, send)

    return app


def fill(server, client, beside=0):
    """Ask for a response that is not read, beside others, until nothing more can be sent."""
    client.send(window_update(0, 2**30))
    stream = client.request("/large")
    wait_for(server, requests_handled=beside + 1)
    many_turns(server)
    return stream


def drain(server, grace=60.0):
    """Have the server drain, as a worker does that is replaced."""
    inside(server, lambda core: core.drain(lambda: None, grace))


def rest(client):
    """Every frame up to the end, without answers to PINGs."""
    return [found for found in client.frames() if found.kind != PING]


@plain_and_tls
@every_interface
def test_an_idle_connection_ends(connect, serve, interface):
    server = serve(hello)
    used, fresh = connect(server), connect(server)
    used.ask()
    fresh.ping()
    with stopping(server):
        for client in (used, fresh):
            client.to_the_end()
            assert {int.from_bytes(found.payload[4:8], "big") for found in client.goaways()} == {
                NO_ERROR
            }


@plain_and_tls
@pytest.mark.parametrize("before", [1, len(PREFACE) - 1])
def test_a_connection_whose_preface_comes_behind_the_drain_is_told(wire, serve, before):
    server = serve(hello)
    client = wire(server, values=None)
    client.send(PREFACE[:before])
    wait_for(server, connections_active=1)
    drain(server)
    client.send(PREFACE[before:], settings({}))
    stream = client.request()
    assert client.until(GOAWAY).last_stream == ALL
    assert client.answer(stream)[":status"] == "200"
    assert [found.last_stream for found in rest(client) if found.kind == GOAWAY] == [stream]


def test_a_connection_whose_preface_comes_behind_its_age_is_told(wire, serve):
    server = serve(hello, connection_timeout=1)
    client = wire(server, values=None)
    client.send(PREFACE[:5])
    rest(wire(server))  # which is younger
    client.send(PREFACE[5:], settings({}))
    client.request()
    assert [found.last_stream for found in rest(client) if found.kind == GOAWAY] == [ALL, 1]


@plain_and_tls
def test_streams_in_flight_are_answered(connect, serve):
    gate = Gate()
    app = held_up(gate, b"done")
    server = serve(app, graceful_timeout=600)
    client = connect(server)
    stream = client.request()
    assert gate.reached.wait(PATIENCE)
    with stopping(server):
        client.until(client.goaways)
        assert client.goaways()[0].last_stream == ALL
        gate.open()
        assert client.response(stream).body == b"done"
        client.to_the_end()
        *_, last = client.goaways()
        assert (last.last_stream, last.code) == (stream, NO_ERROR)


def test_what_comes_between_the_two_is_answered(wire, serve):
    """The client may have asked before it knew."""
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/held":
            await gate.wait()
        await answer(send, b"done")

    server = serve(app, graceful_timeout=600)
    client = wire(server)
    held = client.request("/held")
    assert gate.reached.wait(PATIENCE)

    def drain_and_ask(core):
        core.drain(lambda: None, 60.0)
        return client.request("/between")  # while the loop is busy: nobody waits for it

    between = inside(server, drain_and_ask)
    first = client.read()
    while first.kind != GOAWAY:
        first = client.read()
    assert (first.last_stream, first.code) == (ALL, NO_ERROR)
    client.send(frame(PING, 0, 0, b"between."))
    done, last = set(), ALL
    opened = False
    for found in client.frames():
        if found.kind == GOAWAY:
            last = found.last_stream
        if found.kind in (DATA, HEADERS) and found.flags & END_STREAM:
            done.add(found.stream)
        if between in done and not opened:
            opened = True
            gate.open()
    assert done == {held, between}
    assert last == between
    eventually(lambda: server.counters()["connections"] == 0)


def test_the_ping_comes_behind_the_first(wire, serve):
    """Who answers it has read that no streams are wanted, and begins none which would be lost."""
    server = serve(hello)
    client = wire(server)
    client.answer(client.request())
    drain(server)
    first = client.read()
    while first.kind != GOAWAY:
        assert first.kind != PING
        first = client.read()
    found = client.until(PING)
    client.send(frame(PING, 1, 0, found.payload))
    assert [last.kind for last in client.frames()] == [GOAWAY]


def test_what_comes_behind_the_second_is_not_begun(wire, serve):
    """And the client is told so by the number."""
    gate = Gate()
    calls: list[str] = []
    server = serve(noting(calls, gate), graceful_timeout=600)
    client = wire(server)
    held = client.request("/held")
    assert gate.reached.wait(PATIENCE)
    drain(server)
    goaways: list[int] = []
    while len(goaways) < 2:
        found = client.read()
        assert found is not None
        if found.kind == PING and not found.flags:
            client.send(frame(PING, 1, 0, found.payload))
        if found.kind == GOAWAY:
            goaways.append(found.last_stream)
    assert goaways == [ALL, held]
    client.request("/late")
    gate.open()
    answered = {found.stream for found in client.frames() if found.kind in (DATA, HEADERS)}
    assert answered == {held}
    assert calls == ["/held"]


@pytest.mark.parametrize("blocked", [False, True], ids=["at once", "while nothing can be sent"])
def test_what_comes_before_the_second_has_left_is_not_begun(wire, serve, blocked):
    """Its number was said when it was due; it may leave much later."""
    gate = Gate()
    calls: list[str] = []
    server = serve(noting(calls, gate), graceful_timeout=600)
    client = wire(server, values={INITIAL_WINDOW: 2**31 - 1}, receive_buffer=65536)
    running = {client.request("/held")}
    assert gate.reached.wait(PATIENCE)
    if blocked:
        running.add(fill(server, client, beside=1))
    drain(server)
    late = client.new_stream()
    fields = client.encoder.encode(request_fields("/late"))
    client.send(
        frame(PING, ACK, 0, b"granite."), frame(HEADERS, END_HEADERS | END_STREAM, late, fields)
    )
    last, ended = ALL, set()
    for found in client.frames():
        if found.kind == GOAWAY:
            assert found.last_stream <= last
            last = found.last_stream
            if last < ALL:
                gate.open()
        if found.flags & END_STREAM and found.kind in (DATA, HEADERS):
            ended.add(found.stream)
        if found.kind == RST_STREAM:
            assert (found.stream, found.code) == (late, REFUSED_STREAM)
    assert last == max(running)
    assert ended == running
    assert "/late" not in calls
    eventually(lambda: server.counters()["exchanges"] == 0)


def test_a_protocol_that_is_broken_behind_the_last_goaway(wire, serve):
    """RFC 9113, 6.8: what that one names does not rise, whoever writes it."""
    server = serve(large_or_small, graceful_timeout=600)
    client = wire(server, values={INITIAL_WINDOW: 2**31 - 1}, receive_buffer=65536)
    large = fill(server, client)
    drain(server)
    client.send(frame(PING, ACK, 0, b"granite."))
    client.request("/late")
    client.send(frame(DATA, 0, 0, b"of no stream"))
    found = [each for each in client.frames() if each.kind == GOAWAY]
    told = [(each.last_stream, each.code) for each in found]
    assert told == [(ALL, NO_ERROR), (large, NO_ERROR), (large, PROTOCOL_ERROR)]


def test_many_that_come_behind_the_second(wire, serve):
    """They are refused, and nobody's fault: what runs goes on."""
    server = serve(large_or_small, graceful_timeout=600, http2_max_concurrent_streams=5000)
    client = wire(server, values={INITIAL_WINDOW: 2**31 - 1}, receive_buffer=65536)
    client.send(frame(SETTINGS, ACK))
    large = fill(server, client)
    drain(server)
    client.send(frame(PING, ACK, 0, b"granite."))
    late = {client.request("/late") for _ in range(1500)}
    refused, ended = set(), set()
    for found in client.frames():
        if found.kind == RST_STREAM:
            assert found.code == REFUSED_STREAM
            refused.add(found.stream)
        if found.kind == DATA and found.flags & END_STREAM:
            ended.add(found.stream)
    assert (refused, ended, client.received) == (late, {large}, 8 * MIB)


def test_a_body_on_its_way_is_read_to_its_end(connect, serve):
    server = serve(echo_body, graceful_timeout=600)
    client = connect(server)
    stream = client.request(method="POST", end=False)
    client.data(stream, b"hello")
    client.ping()
    with stopping(server):
        client.until(client.goaways)
        client.data(stream, b"x" * 300_000, end=True)
        assert client.response(stream).body == b"hello" + b"x" * 300_000
        client.to_the_end()


@every_interface
def test_the_limit_of_requests(wire, serve, interface):
    """The connection ends behind its last request, and no other is lost."""
    server = serve(hello, max_requests_per_connection=5)
    client = wire(server)
    streams = [client.request() for _ in range(5)]
    ended, last = set(), ALL
    for found in client.frames():
        if found.kind == GOAWAY:
            last = found.last_stream
            assert found.code == NO_ERROR
        if found.flags & END_STREAM and found.kind in (DATA, HEADERS):
            ended.add(found.stream)
    assert last == streams[-1]
    assert ended == set(streams)


def test_more_requests_than_the_limit_at_once(wire, serve):
    """What is above the last stream has not been begun."""
    server = serve(hello, max_requests_per_connection=5)
    client = wire(server)
    with contextlib.suppress(OSError):  # it has ended already
        for _ in range(20):
            client.request()
    answered, last = set(), ALL
    for found in client.frames():
        if found.kind == GOAWAY:
            last = min(last, found.last_stream)
        if found.flags & END_STREAM and found.kind in (DATA, HEADERS):
            answered.add(found.stream)
    assert answered == set(range(1, last + 1, 2))
    assert len(answered) >= 5


def test_the_goaway_of_a_client(wire, serve):
    """Its streams are answered, then the connection ends."""
    gate = Gate()
    app = held_up(gate, b"done")
    server = serve(app)
    client = wire(server)
    stream = client.request()
    assert gate.reached.wait(PATIENCE)
    client.send(frame(GOAWAY, 0, 0, bytes(8)))
    client.ping()
    gate.open()
    assert client.answer(stream)[":status"] == "200"
    assert client.until(DATA, stream).payload == b"done"
    rest(client)
    eventually(lambda: server.counters()["connections"] == 0)


def test_an_error_names_the_last_stream(wire):
    client = wire(hello)
    for _ in range(3):
        stream = client.request()
        client.answer(stream)
    client.send(frame(DATA, 0, 0, b"x"))
    goaway = (
        client.until(GOAWAY)
        if False
        else next(found for found in client.frames() if found.kind == GOAWAY)
    )
    assert (goaway.code, goaway.last_stream) == (PROTOCOL_ERROR, stream)
    assert rest(client) == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [(settings({}) * 500, ENHANCE_YOUR_CALM), (frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR)],
    ids=["by granite", "by nghttp2"],
)
def test_an_error_comes_between_blocks_of_fields(wire, serve, wrong, code):
    """However much of a long head has left when the client, which does not read, is at fault."""

    async def app(scope, receive, send):
        fields = [(b"x-%d" % n, b"y" * 8000) for n in range(25)]  # of several frames
        await answer(send, b"done", fields=fields)

    server = serve(app, http2_max_concurrent_streams=1000)
    for turn in range(3):
        client = wire(server, receive_buffer=65536)
        for _ in range(50):
            client.request()
        wait_for(server, responses_http2_2xx=50 * (turn + 1))
        client.send(wrong)
        begun = 0
        codes = []
        for found in client.frames():
            assert (found.kind == CONTINUATION) == (begun > 0), found
            if found.kind in (HEADERS, CONTINUATION):
                assert begun in (0, found.stream)
                begun = 0 if found.flags & END_HEADERS else found.stream
            elif found.kind == GOAWAY:
                codes.append(found.code)
        assert codes == [code]


@pytest.mark.parametrize("ends", ["close", "half", "reset"])
def test_a_client_that_goes_without_a_word(connect, serve, ends):
    server = serve(hello)
    client = connect(server)
    client.ask()
    if ends == "half":
        client.sock.shutdown(socket.SHUT_WR)
    elif ends == "reset":
        client.abort()
    else:
        client.close()
    eventually(lambda: server.counters()["connections"] == 0)
