"""What is counted and logged of requests over HTTP/2, whom they are said to come from, and what is
turned away.
"""

from __future__ import annotations

import pytest

from tests.http2.wire import PROTOCOL_ERROR
from tests.patience import PATIENCE
from tests.server.apps import Gate, Scopes, answer, body, body_of, held_up, hello, sending, start
from tests.server.http2.marks import every_interface, plain_and_tls
from tests.server.inside import counted, durations, wait_for


def line(logged, connect, *atoms, app=hello, path="/", lines=(), **asked):
    """What these atoms are in the line of one request."""
    form = "\t".join(f"%({atom})s" for atom in atoms)
    client = connect(logged(app, access_log_fmt=form))
    client.ask(path, *lines, **asked)
    return logged.line().split("\t")


def test_the_line_of_the_access_log(logged, connect):
    atoms = "r", "s", "m", "U", "q", "H", "B", "{host}i", "{x-one}i", "{x-two}o"
    app = sending(start(201, (b"x-two", b"2")), body(b"hello"))
    asked = line(logged, connect, *atoms, app=app, path="/a?b=c", lines=["x-one: 1"])
    assert asked[:6] == ["GET /a?b=c HTTP/2.0", "201", "GET", "/a", "b=c", "HTTP/2.0"]
    assert asked[7:] == ["test", "1", "2"]
    assert int(asked[6]) >= 5


def test_each_stream_has_its_line(logged, connect):
    client = connect(logged(hello, access_log_fmt="%(U)s %(s)s"))
    streams = [client.request(f"/{number}") for number in range(10)]
    for stream in streams:
        client.response(stream)
    assert sorted(logged.lines(10)) == sorted(f"/{number} 200" for number in range(10))


def test_a_refused_request_has_its_line(logged, connect):
    client = connect(logged(hello, access_log_fmt="%(U)s %(s)s", max_fields=3))
    client.ask("/bad", "a: 1", "b: 2", "c: 3", "d: 4")
    client.ask("/good")
    assert logged.lines(2) == ["/bad 431", "/good 200"]


def test_a_cancelled_request_has_its_line(logged, connect):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        await answer(send)

    client = connect(logged(app, access_log_fmt="%(U)s"))
    stream = client.request("/cancelled")
    assert gate.reached.wait(PATIENCE)
    client.reset(stream)
    client.ping()
    gate.open()
    assert logged.line() == "/cancelled"


@every_interface
def test_responses_are_counted_by_their_class(connect, serve, interface):
    async def app(scope, receive, send):
        await answer(send, status=int(scope["path"][1:]))

    server = serve(app)
    client = connect(server)
    for status in (200, 201, 302, 404, 404, 500):
        client.ask(f"/{status}")
    wait_for(
        server,
        responses_http2_2xx=2,
        responses_http2_3xx=1,
        responses_http2_4xx=2,
        responses_http2_5xx=1,
        requests_handled=6,
        connections_handled=1,
        requests_active=0,
    )
    assert counted(server)["responses_http1_2xx"] == 0


def test_octets_are_counted(connect, serve):
    async def app(scope, receive, send):
        await body_of(receive)
        await answer(send, b"x" * 50_000)

    server = serve(app)
    client = connect(server)
    client.ask(method="POST", body=b"y" * 20_000)
    client.ping()
    numbers = counted(server)
    assert 20_000 < numbers["bytes_received"] < 22_000
    assert 50_000 < numbers["bytes_sent"] < 52_000


def test_durations_are_measured(connect, serve):
    server = serve(hello, metrics=True)
    client = connect(server)
    for _ in range(5):
        client.ask()
    wait_for(server, requests_active=0)
    assert sum(durations(server, "latency")[0]) == 5
    assert sum(durations(server, "queue_time")[0]) == 5


@plain_and_tls
@pytest.mark.parametrize("trusted", [True, False])
def test_what_a_proxy_tells_is_believed(connect, serve, trusted, transport):
    scopes = Scopes()
    server = serve(scopes, forwarded_allow_ips="127.0.0.1" if trusted else "")
    client = connect(server)
    for number in range(3):  # each stream has a client of its own
        client.ask("/", f"x-forwarded-for: 192.0.2.{number}", "x-forwarded-proto: https")
        scope = scopes.get()
        assert (scope["client"][0] == f"192.0.2.{number}") is trusted
        assert scope["scheme"] == ("https" if trusted or transport == "tls" else "http")


def test_a_request_has_an_id(connect, serve):
    server = serve(hello, request_id_header="x-request-id")
    client = connect(server)
    ids = {client.ask().get("x-request-id") for _ in range(3)}
    assert len(ids) == 3
    assert None not in ids


def test_too_many_requests_of_an_address(connect, serve):
    server = serve(
        hello, max_requests_per_ip="2/m", max_requests_per_ip_burst=2, forwarded_allow_ips=""
    )
    client = connect(server)
    statuses = [client.ask().status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert counted(server)["rejected_requests_per_ip"] == 2


def test_overload(connect, serve):
    gate = Gate()
    app = held_up(gate, b"hello")
    server = serve(app, backpressure=1, overload="reject")
    client = connect(server)
    first = client.request()
    assert gate.reached.wait(PATIENCE)
    response = client.ask()
    assert response.status == 503
    assert response.get("retry-after")
    gate.open()
    assert client.response(first).body == b"hello"
    assert counted(server)["rejected_overload"] == 1


def test_streams_wait_for_their_turn(connect, serve):
    gate = Gate()

    async def app(scope, receive, send):
        if scope["path"] == "/held":
            await gate.wait()
        await answer(send, scope["path"].encode())

    server = serve(app, backpressure=1)
    client = connect(server)
    streams = [client.request(path) for path in ("/held", "/a", "/b", "/c")]
    assert gate.reached.wait(PATIENCE)
    wait_for(server, requests_waiting=3)
    client.reset(streams[2])
    wait_for(server, requests_waiting=2)
    gate.open()
    assert [client.response(s).body for s in (*streams[:2], streams[3])] == [b"/held", b"/a", b"/c"]
    wait_for(server, requests_active=0, requests_waiting=0)


def test_a_malformed_request_is_counted_and_told(wire, serve, log):
    server = serve(hello)
    client = wire(server)
    stream = client.headers([(":method", "GET")])
    kind, code = client.verdict(stream)
    assert (kind, code) == (3, PROTOCOL_ERROR)
    assert counted(server)["rejected_bad_request"] == 1
    assert len(log.messages) == 1


def test_too_many_connections_of_an_address(connect, serve):
    server = serve(hello, max_connections_per_ip=1, forwarded_allow_ips="")
    client = connect(server)
    assert client.ask().body == b"hello"
    with pytest.raises((AssertionError, OSError)):
        connect(server).ask()
    assert client.ask().body == b"hello"
    assert counted(server)["rejected_connections_per_ip"] == 1
