"""Heads that come in pieces: kept as they came, without a session, until their end has come."""

from __future__ import annotations

import pytest

from tests.server.apps import Gate, answer, echo_body, echo_path, eventually, hello
from tests.server.inside import inside
from tests.server.raw import request


def counts(server) -> dict[str, int]:
    found = server.counters()
    return {name: found[name] for name in ("connections", "heads", "sessions")}


def test_a_head_in_pieces_takes_no_session(connect, serve):
    server = serve(echo_path)
    client = connect(server)
    for _ in range(3):
        data = request("/path", "X-Field: value")
        for piece in (data[:1], data[1:3], data[3:20], data[20:-1]):
            client.send(piece)
            eventually(lambda: counts(server) == {"connections": 1, "heads": 1, "sessions": 0})
        client.send(data[-1:])
        assert client.response().body == b"/path"
        eventually(lambda: counts(server) == {"connections": 1, "heads": 0, "sessions": 0})


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 30])
def test_the_end_of_a_large_head_is_seen_wherever_it_is_cut(connect, at):
    """One that has not grown by much is only looked at when its end has come."""
    client = connect(echo_body)
    data = request("/", "X-Long: " + "x" * 5000, "Content-Length: 5", method="POST")
    client.send(data[:-at])
    assert client.silent(0.05)
    client.send(data[-at:] + b"hello")
    assert client.response().body == b"hello"


def test_a_large_head_byte_by_byte(connect):
    client = connect(echo_path)
    client.send_per_byte(request("/path", "X-Long: " + "x" * 3000))
    assert client.response().body == b"/path"


def test_what_is_wrong_is_found_before_the_head_ends(connect):
    client = connect(hello)
    client.send(request("/", "X-Long: " + "x" * 500)[:-2])
    assert client.silent(0.05)
    client.send(b"no field\r\n")
    client.send(b"X-More: " + b"x" * 50)
    assert client.response().status == 400


def test_what_is_wrong_is_told_when_the_time_is_over(connect, log):
    client = connect(hello, request_head_timeout=3)
    client.send(request("/", "X-Long: " + "x" * 500)[:-2])
    assert client.silent(0.05)
    client.send(b"no field\r\n")
    assert client.response().status == 400


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_requests_behind_each_other_cut_within_a_head(connect, cut):
    client = connect(echo_path)
    data = b"".join(request(f"/{number}") for number in range(20))
    for at in range(0, len(data), cut):
        client.send(data[at : at + cut])
    for number in range(20):
        assert client.response().body == b"/%d" % number


def test_a_head_that_begins_while_a_request_is_answered(connect, serve):
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/first":
            await gate.wait()
        await answer(send, scope["raw_path"])

    server = serve(app)
    client = connect(server)
    second = request("/second")
    client.send(request("/first") + second[:10])
    gate.open()
    assert client.response().body == b"/first"
    eventually(lambda: counts(server) == {"connections": 1, "heads": 1, "sessions": 0})
    client.send(second[10:])
    assert client.response().body == b"/second"


def test_such_a_head_that_is_never_completed(connect):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        await answer(send)

    client = connect(app)
    client.send(request("/first") + b"GET /sec")
    client.end()
    gate.open()
    assert client.response().status == 200
    assert client.response().status == 400
    assert client.ended()


def test_the_end_of_the_stream_inside_of_a_head(connect, serve, log):
    server = serve(hello)
    client = connect(server)
    client.send(request()[:-5])
    eventually(lambda: server.counters()["heads"])
    client.end()
    assert client.response().status == 400
    assert client.ended()
    assert [message for message in log.messages if "inside the request's head" in message]
    eventually(lambda: not server.counters()["connections"])


def test_a_reset_inside_of_a_head(connect, serve):
    server = serve(hello)
    client = connect(server)
    client.send(request()[:-5])
    eventually(lambda: server.counters()["heads"])
    client.reset()
    eventually(lambda: not server.counters()["connections"])
    assert not server.counters()["heads"]


def test_a_drain_waits_for_the_end_of_a_head(connect, serve):
    server = serve(hello)
    client, idle = connect(server), connect(server)
    client.send(request()[:-5])
    eventually(lambda: server.counters()["heads"])
    inside(server, lambda core: core.drain(lambda: None, 0.0))
    assert idle.ended()
    client.send(request()[-5:])
    assert client.response().get("connection") == "close"
    assert client.ended()


def test_a_head_in_pieces_counts_as_one_request(connect):
    client = connect(hello, max_requests_per_connection=3)
    for last in (None, None, "close"):
        data = request()
        for at in range(0, len(data), 7):
            client.send(data[at : at + 7])
            assert at > 20 or client.silent(0.02)
        assert client.response().get("connection") == last
    assert client.ended()


def test_line_ends_before_a_request_in_pieces(connect, serve):
    server = serve(hello)
    client = connect(server)
    for _ in range(2):
        client.send_per_byte(b"\r\n\r\n" + request())
        assert client.response().body == b"hello"
    eventually(lambda: counts(server) == {"connections": 1, "heads": 0, "sessions": 0})
