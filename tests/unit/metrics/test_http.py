"""The requests that the metrics' port takes and refuses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granite.metrics.http import LARGEST_HEAD, BadRequest, head_length, parse, response


def head(*lines: str) -> bytes:
    return "\r\n".join((*lines, "", "")).encode("latin-1")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("GET /metrics HTTP/1.1", "Host: x"), ("GET", "/metrics", False)),
        (("GET /metrics?a=b HTTP/1.1", "HOST: x"), ("GET", "/metrics", False)),
        (("HEAD / HTTP/1.1", "Host:"), ("HEAD", "/", False)),
        (("GET http://x:9090/healthz?x HTTP/1.1", "Host: x"), ("GET", "/healthz", False)),
        (("GET http://x HTTP/1.1", "Host: x"), ("GET", "/", False)),
        (("", "GET / HTTP/1.1", "Host: x"), ("GET", "/", False)),
        (("GET / HTTP/1.1", "Host: x", "Connection: close"), ("GET", "/", True)),
        (("GET / HTTP/1.1", "Host: x", "Connection: te, Close"), ("GET", "/", True)),
        (("GET / HTTP/1.0",), ("GET", "/", True)),
        (("GET / HTTP/1.0", "Connection: Keep-Alive"), ("GET", "/", False)),
        (("POST / HTTP/1.1", "Host: x", "Content-Length: 5"), ("POST", "/", True)),
        (("GET / HTTP/1.1", "Host: x", "Content-Length: 0"), ("GET", "/", False)),
        (("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked"), ("POST", "/", True)),
        (("GET /\xe9 HTTP/1.1", "Host: x", "X: \xe9"), ("GET", "/é", False)),
    ],
)
def test_requests(lines, expected):
    data = head(*lines)
    assert head_length(data) == len(data)
    request = parse(data)
    assert (request.method, request.path, request.last) == expected


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("GET /",), 400),
        (("GET  / HTTP/1.1", "Host: x"), 400),
        (("G(T / HTTP/1.1", "Host: x"), 400),
        (("GET / HTTP/1.1",), 400),
        (("GET / HTTP/1.1", "Host: x", "Host: y"), 400),
        (("GET / HTTP/1.1", "Host: x", "no colon"), 400),
        (("GET / HTTP/1.1", "Host: x", "Name : x"), 400),
        (("GET / HTTP/1.1", "Host: x", " folded: x"), 400),
        (("GET / HTTP/1.1", "Host: x", ": nameless"), 400),
        (("GET / HTTX/1.1", "Host: x"), 400),
        (("GET / HTTP/x", "Host: x"), 400),
        (("GET / HTTP/2.0", "Host: x"), 505),
        (("PRI * HTTP/2.0",), 505),
        (("CONNECT x:80 HTTP/1.1", "Host: x"), 400),
        (("OPTIONS * HTTP/1.1", "Host: x"), 400),
        (("GET ftp://x/ HTTP/1.1", "Host: x"), 400),
    ],
)
def test_bad_requests(lines, status):
    with pytest.raises(BadRequest) as caught:
        parse(head(*lines))
    assert caught.value.status == status


def test_a_head_comes_in_parts():
    data = head("GET / HTTP/1.1", "Host: x")
    assert [head_length(data[:end]) for end in range(len(data))] == [0] * len(data)
    assert head_length(data + b"GET /") == len(data)


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b" GET / HTTP/1.1", b"\0", b"\xff"])
def test_what_is_no_http_is_known_by_its_first_byte(data):
    with pytest.raises(BadRequest) as caught:
        head_length(data)
    assert caught.value.status == 400


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_a_head_is_bounded(end):
    with pytest.raises(BadRequest) as caught:
        head_length(b"GET / HTTP/1.1\r\nX: " + b"x" * LARGEST_HEAD + end)
    assert caught.value.status == 431


def test_responses():
    whole = response(405, "text/plain", b"no", last=True, fields=("Allow: GET",))
    assert whole == (
        b"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
        b"Cache-Control: no-store\r\nAllow: GET\r\nConnection: close\r\n\r\nno"
    )
    bare = response(200, "text/plain", b"no", last=False, head_only=True)
    assert b"Content-Length: 2\r\n" in bare
    assert bare.endswith(b"Connection: keep-alive\r\n\r\n")


@given(st.binary(max_size=200), st.lists(st.binary(max_size=30), max_size=5))
def test_anything_is_a_request_or_a_bad_one(first, fields):
    data = b"\r\n".join((first, *fields, b"", b""))
    with contextlib.suppress(BadRequest):
        length = head_length(data)
        assert 0 < length <= len(data)
        assert parse(data[:length]).path.startswith("/")
