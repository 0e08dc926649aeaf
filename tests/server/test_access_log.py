"""What the access log says of requests, whatever their outcome."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Gate, answer, attempt, body, body_of, held_up, hello, start
from tests.server.raw import request


def fields(logged, connect, data: bytes, *atoms: str, app=hello, **settings) -> list[str]:
    """What these atoms are in the line of one request."""
    form = "\t".join(f"%({atom})s" for atom in atoms)
    client = connect(logged(app, access_log_fmt=form, **settings))
    client.send(data)
    client.response()
    return logged.line().split("\t")


def test_the_client_that_a_proxy_tells_of(logged, connect):
    data = request("/", "X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Forwarded-Proto: https")
    assert fields(logged, connect, data, "h", "s") == ["5.6.7.8", "200"]


def test_the_client_that_has_asked_too_often(logged, connect):
    settings = {"max_requests_per_ip": "1/m", "max_requests_per_ip_burst": 1}
    client = connect(logged(hello, access_log_fmt="%(h)s %(s)s", **settings))
    for _ in range(2):
        client.ask("/", "X-Forwarded-For: 1.2.3.4")
    assert logged.lines(2) == ["1.2.3.4 200", "1.2.3.4 429"]


def test_the_default_form(logged, connect):
    client = connect(logged(hello))
    client.ask('/a"b?c=\\d')
    client.ask(method="HEAD")
    port = client.sock.getsockname()[1]
    first, second = logged.lines(2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", first[:19])
    assert first[19:] == rf' 127.0.0.1:{port} - "GET /a\x22b?c=\x5Cd HTTP/1.1" 200'
    assert second[19:] == f' 127.0.0.1:{port} - "HEAD / HTTP/1.1" 200'


@pytest.mark.parametrize("name", ["common", "combined"])
def test_named_forms(logged, connect, name):
    credentials = "Authorization: Basic YWxpY2U6c2VjcmV0"
    client = connect(logged(hello, access_log_fmt=name))
    client.ask("/x?y", "User-Agent: a b", "Referer: http://r/", credentials)
    rest = ' "http://r/" "a b"' if name == "combined" else ""
    assert re.fullmatch(
        r"127\.0\.0\.1 - alice \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
        r'"GET /x\?y HTTP/1\.1" 200 5' + rest,
        logged.line(),
    )


def test_what_is_known_of_a_request(logged, connect):
    atoms = {
        "client": r"127\.0\.0\.1:\d+",
        "addr": r"127\.0\.0\.1",
        "client_port": r"\d+",
        "server": r"127\.0\.0\.1:\d+",
        "scheme": "http",
        "tls": "no",
        "method": "POST",
        "target": r"/p%20q\?r=s",
        "path": "/p%20q",
        "query_string": "r=s",
        "protocol": r"HTTP/1\.1",
        "http_version": r"1\.1",
        "request_line": r"POST /p%20q\?r=s HTTP/1\.1",
        "status": "200",
        "referer": "-",
        "user_agent": "x",
        "user": "-",
        "logname": "-",
        "body_bytes": "5",
        "clf_bytes": "5",
        "pid": str(os.getpid()),
        "clf_pid": f"<{os.getpid()}>",
        "worker": "-",
        "aborted": "-",
        "{X-Twice}i": "one",
        "{x-none}i": "-",
        "{content-type}o": "text/plain",
        "{SERVER_PROTOCOL}e": r"HTTP/1\.1",
    }

    async def app(scope, receive, send):
        await body_of(receive)
        await answer(send, b"hello", fields=[(b"Content-Type", b"text/plain")])

    data = request(
        "/p%20q?r=s", "User-Agent: x", "X-Twice: one", "X-Twice: two", method="POST", body=b"12345"
    )
    found = fields(logged, connect, data, *atoms, app=app)
    for (name, pattern), value in zip(atoms.items(), found, strict=True):
        assert re.fullmatch(pattern, value), (name, value)


def test_times_are_of_now(logged, connect):
    before = time.time()
    stamp, at, clf, iso = fields(
        logged, connect, request(), "stamp", "time", "clf_time", "iso_time"
    )
    assert at.startswith(stamp + " ")
    moment = datetime.fromisoformat(iso).timestamp()
    assert before - 0.001 <= moment <= time.time()
    assert datetime.strptime(at, "%Y-%m-%d %H:%M:%S %z").timestamp() == int(moment)
    assert datetime.strptime(clf, "[%d/%b/%Y:%H:%M:%S %z]").timestamp() == int(moment)


def test_durations(logged, connect):
    gate = Gate()

    async def app(scope, receive, send):
        await send(start())
        await send(body(b"x", True))
        await gate.wait()
        await send(body())

    form = "%(total_us)d %(total_ms)d %(T)d %(dt_ms).3f %(L)s %(first_byte_us)d %(D)012d %(dt_ms)s"
    client = connect(logged(app, access_log_fmt=form))
    began = time.monotonic()
    client.request()
    client.until(b"1\r\nx\r\n")
    time.sleep(0.05)
    gate.open()
    client.until(b"0\r\n\r\n")
    us, ms, s, exact, seconds, first, padded, plain = logged.line().split(" ")
    total = time.monotonic() - began
    assert 50_000 <= int(us) <= total * 1e6
    assert int(ms) == int(us) // 1000
    assert int(s) == int(us) // 1_000_000
    # These are rounded, where the others are cut; compared as digits, since floats round as well.
    assert re.fullmatch(r"\d+\.\d{3}", exact)
    assert int(exact.replace(".", "")) - int(us) in (0, 1)
    assert exact == plain
    assert re.fullmatch(r"\d+\.\d{6}", seconds)
    assert int(seconds.replace(".", "")) - int(us) in (0, 1)
    assert 0 < int(first) < int(us)
    assert len(padded) == 12
    assert int(padded) == int(us)


def test_width_and_precision(logged, connect):
    form = "[%(status)6d][%(status)-6d][%(status)06d][%(method).2s][%(method)5s][%(status).1f]"
    connect(logged(hello, access_log_fmt=form)).ask()
    assert logged.line() == "[   200][200   ][000200][GE][  GET][200.0]"


def test_bytes(logged, connect):
    async def app(scope, receive, send):
        await body_of(receive)
        await send(start())
        await send(body(b"ab", True))
        await send(body(b"cde"))

    client = connect(logged(app, access_log_fmt="%(bytes_in)s %(bytes_out)s %(body_bytes)s"))
    data = request(method="POST", body=b"x" * 100_000)
    client.send(data)
    head = client.until(b"\r\n\r\n")
    rest = client.until(b"0\r\n\r\n")
    written = len(head) + 4 + len(rest) + 5
    assert logged.line() == f"{len(data)} {written} 5"


def test_bytes_of_pipelined_requests(logged, connect):
    client = connect(logged(hello, access_log_fmt="%(path)s %(bytes_in)s"))
    pieces = [request("/1"), request("/22"), request("/333")]
    client.send(b"\r\n" + b"".join(pieces))
    for _ in pieces:
        client.response()
    assert logged.lines(3) == [
        f"/{'123'[i] * (i + 1)} {len(piece)}" for i, piece in enumerate(pieces)
    ]


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_response_without_body(logged, connect, status):
    async def app(scope, receive, send):
        await answer(send, b"not sent", status)

    data = request()
    assert fields(logged, connect, data, "status", "body_bytes", "clf_bytes", app=app) == [
        str(status),
        "0",
        "-",
    ]


def test_json(logged, connect):
    client = connect(logged(hello, log_format="json"))
    client.ask("/x?y", 'User-Agent: a\tb\xe9"\\')
    (record,) = logged.records(1)
    assert record.pop("total_us") >= record.pop("first_byte_us") > 0
    assert datetime.fromisoformat(record.pop("time"))
    assert record == {
        "level": "info",
        "pid": os.getpid(),
        "logger": "granite.access",
        "client": f"127.0.0.1:{client.sock.getsockname()[1]}",
        "method": "GET",
        "target": "/x?y",
        "protocol": "HTTP/1.1",
        "status": 200,
        "scheme": "http",
        "server": f"127.0.0.1:{client.sock.getpeername()[1]}",
        "referer": None,
        "user_agent": 'a\tb\xe9"\\',
        "bytes_in": len(request("/x?y", 'User-Agent: a\tb\xe9"\\')),
        "bytes_out": record["bytes_out"],
        "request_id": None,
        "worker": None,
        "aborted": False,
    }


def test_json_of_a_format(logged, connect):
    form = "%(m)s %(U)s %(status)d %(dt_ms).3f %({host}i)s %(tls)s"
    connect(logged(hello, log_format="json", access_log_fmt=form)).ask("/x")
    (record,) = logged.records(1)
    assert isinstance(record.pop("dt_ms"), float)
    assert list(record)[:4] == ["time", "level", "pid", "logger"]
    assert dict(list(record.items())[4:]) == {
        "m": "GET",
        "U": "/x",
        "status": 200,
        "{host}i": "test",
        "tls": False,
    }


REFUSED = [
    (b"BOGUS\x01 / HTTP/1.1\r\n\r\n", r'"BOGUS\x01 / HTTP/1.1" 400'),
    (b"GET /\x01?\xff HTTP/1.1\r\n\r\n", r'"GET /\x01?\xFF HTTP/1.1" 400'),
    (b"GET / HTTP/3.0\r\n\r\n", '"GET / HTTP/3.0" 505'),
    (b"GET /a HTTP/1.1\r\n\r\n", '"GET /a HTTP/1.1" 400'),
    (b"\x16\x03\x01\x02\x00\x01", r'"\x16\x03\x01\x02\x00\x01" 400'),
    (request("/" + "x" * 5000), f'"GET /{"x" * 4091}" 414'),
    (request("/b", "A: " + "x" * 5000), '"GET /b HTTP/1.1" 431'),
    (b"TRACE /a?b HTTP/1.1\r\nHost: a\r\n\r\n", '"TRACE /a?b HTTP/1.1" 501'),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", '"CONNECT a:80 HTTP/1.1" 501'),
    (b'GET /" HTTP/1.1" 200\r\nHost: a\r\n\r\n', r'"GET /\x22 HTTP/1.1\x22 200" 400'),
    (b"TRACE /a?b HTTP/1.1\r\nHost: a\r\n\r\n", '"TRACE /a?b HTTP/1.1" 501'),
]


@pytest.mark.parametrize(("data", "line"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refused_requests(logged, connect, data, line):
    client = connect(logged(hello, max_head_size=4096))
    client.send(data)
    client.rest()
    port = client.sock.getsockname()[1]
    assert logged.line()[20:] == f"127.0.0.1:{port} - {line}"


def test_of_another_request_nothing_is_said(logged, connect):
    """What refuses a request for its method has not looked at its target."""
    server = logged(hello, access_log_fmt="%(r)s")
    for data in (b"GET /secret HTTP/1.1\r\nno field\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"):
        client = connect(server)
        client.send(data)
        client.rest()
    assert logged.lines(2) == ["GET /secret HTTP/1.1", "CONNECT a:1 HTTP/1.1"]


def test_the_client_ends_within_a_pipelined_head(logged, connect):
    """It is refused, once, when its turn has come."""
    gate = Gate()
    app = held_up(gate, b"x")
    client = connect(logged(app, access_log_fmt="%(r)s %(s)s %(aborted)s"))
    client.send(request("/a") + b"GET /b HTTP/1.1\r\nHo")
    client.end()
    gate.open()
    assert [client.response().status for _ in range(2)] == [200, 400]
    assert client.gone()
    assert logged.lines(2) == ["GET /a HTTP/1.1 200 -", "GET /b HTTP/1.1 400 -"]


def test_refused_in_the_middle(logged, connect):
    """What came is known, in however many reads."""
    client = connect(logged(hello, request_head_timeout=5))
    for piece in (b"GET /a", b"bc HTTP/1.1\r\nUs", b"er-Agent: x\r\n"):
        client.send(piece)
        time.sleep(0.02)
    assert client.response().status == 408
    assert logged.line().endswith(' - "GET /abc HTTP/1.1" 408')


def test_a_client_that_goes(logged, connect):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()

    client = connect(logged(app))
    client.request("/slow")
    assert gate.reached.wait(PATIENCE)
    client.reset()
    assert logged.line().endswith(' - "GET /slow HTTP/1.1" - aborted')
    gate.open()


def test_a_client_that_goes_during_the_response(logged, connect):
    gate = Gate()

    async def app(scope, receive, send):
        await send(start(201))
        await send(body(b"x", True))
        await gate.wait()

    client = connect(logged(app, access_log_fmt="%(status)s %(aborted)s%(mark)s %(body_bytes)s"))
    client.request()
    client.until(b"1\r\nx\r\n")
    client.reset()
    assert logged.line() == "201 aborted aborted 1"
    gate.open()


LARGE = 20_000_000


async def large(scope, receive, send):
    await answer(send, bytes(LARGE))


def test_a_large_response_is_logged_when_it_has_left(logged, connect):
    form = "%(path)s %(body_bytes)d%(mark)s"
    client = connect(logged(large, access_log_fmt=form), receive_buffer=4096)
    client.request("/1")
    client.until(b"\r\n\r\n")
    client.read(1000)
    assert not logged.path.stat().st_size
    client.read(LARGE - 1000)
    assert logged.line() == f"/1 {LARGE}"
    client.request("/2", "Connection: close")
    client.rest()
    assert logged.lines(2)[1] == f"/2 {LARGE}"


@pytest.mark.parametrize("fields", [(), ("Connection: close",)])
def test_a_client_that_goes_during_a_large_response(logged, connect, fields):
    form = "%(status)d %(aborted)s %(bytes_out)d"
    client = connect(logged(large, access_log_fmt=form), receive_buffer=4096)
    client.request("/", *fields)
    client.read(100_000)
    client.reset()
    status, mark, size = logged.line().split(" ")
    assert (status, mark) == ("200", "aborted")
    assert 100_000 <= int(size) < LARGE


def test_pipelined_large_responses(logged, connect):
    client = connect(logged(large, access_log_fmt="%(path)s %(body_bytes)d%(mark)s"))
    client.send(request("/1") + request("/2"))
    for _ in range(2):
        assert len(client.response().body) == LARGE
    assert logged.lines(2) == [f"/1 {LARGE}", f"/2 {LARGE}"]


def test_turned_away(logged, connect):
    gate = Gate()

    async def app(scope, receive, send):
        await gate.wait()
        await answer(send)

    form = '"%(request_line)s" %(status)d %(body_bytes)d'
    server = logged(app, access_log_fmt=form, backpressure=1, overload="reject")
    first, second = connect(server), connect(server)
    first.request("/first")
    assert gate.reached.wait(PATIENCE)
    assert second.ask("/second?a").status == 503
    assert logged.line() == '"GET /second?a HTTP/1.1" 503 19'
    gate.open()
    first.response()


def test_a_client_that_goes_within_the_head(logged, connect):
    client = connect(logged(hello))
    client.send(b"GET /part HTTP/1.1\r\nA")
    time.sleep(0.05)
    client.reset()
    assert logged.line().endswith(' - "GET /part HTTP/1.1" - aborted')


def test_an_application_that_fails(logged, connect):
    async def app(scope, receive, send):
        if scope["path"] == "/late":
            await send(start())
            await send(body(b"x", True))
        await attempt(send, start(299))
        raise ValueError("no")

    server = logged(app, access_log_fmt="%(path)s %(status)s%(mark)s")
    connect(server).ask("/early")
    late = connect(server)
    late.request("/late")
    late.rest()
    assert sorted(logged.lines(2)) == ["/early 500", "/late 200 aborted"]


def test_excluded_paths(logged, connect):
    paths = ["/healthz", "/static/*"]
    client = connect(logged(hello, access_log_exclude=paths, access_log_fmt="%(target)s"))
    for target in (
        "/healthz",
        "/healthz?a",
        "/healthz/",
        "/static",
        "/static/",
        "/static/a",
        "/end",
    ):
        client.ask(target)
    assert logged.lines(3) == ["/healthz/", "/static", "/end"]
