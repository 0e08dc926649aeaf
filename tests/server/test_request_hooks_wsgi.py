"""Gunicorn's pre_request and post_request around requests of WSGI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from granite.request_hooks import wrap
from granite.settings.hooks import Hooks
from tests.server.apps import eventually
from tests.server.test_request_hooks import Seen


class Closing:
    """What an application returns, with a close()."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    def __iter__(self) -> Any:
        yield b"abc"
        yield b"def"

    def close(self) -> None:
        self.calls.append("closed")


def wrapped(seen: Seen, app: Any, *names: str, **others: Any) -> Any:
    functions = {name: getattr(seen, name) for name in names} | others
    return wrap(app, "wsgi", Hooks.of(functions, "test"), seen.worker)


def both(seen: Seen, app: Any) -> Any:
    return wrapped(seen, app, "pre_request", "post_request")


@pytest.fixture
def seen(serve) -> Iterator[Seen]:
    """Gone before the server is: an environ has a part of the exchange."""
    made = Seen()
    yield made
    made.calls.clear()


def whole(environ: Any, start_response: Any) -> Any:
    if environ["PATH_INFO"] == "/raise":
        raise KeyError("asked for")
    start_response("201 Made", [("X-Name", "value")])
    return [b"abcdef"]


def test_what_they_get(serve, seen):
    server = serve(both(seen, whole))
    fields = [("X-Two", "1"), ("X-Two", "2"), ("Content-Type", "text/x")]
    response = httpx.post(server.url("/p%C3%A4th?a=b"), headers=fields, content=b"body")
    assert (response.status_code, response.text) == (201, "abcdef")
    assert response.headers["content-length"] == "6"  # a list is sent as one
    req, (again, environ, resp) = seen.told(2)
    assert req is again
    assert (req.mark, seen.worker.nr) == (0, 1)
    assert (req.method, req.path, req.query) == ("POST", "/päth", "a=b")
    assert (req.uri, req.raw_path) == ("/p%C3%A4th?a=b", b"/p%C3%A4th")
    assert (req.version, req.scheme) == ((1, 1), "http")
    assert req.peer_addr[0] == "127.0.0.1"
    assert isinstance(req.peer_addr[1], int)
    assert req.get_header("x-two") == "1,2"
    assert req.get_header("Content-Type") == "text/x"
    assert req.get_header("Content-Length") == "4"
    assert not req.should_close()
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/päth"
    assert (resp.status, resp.status_code, resp.sent) == ("201 Made", 201, 6)
    assert resp.headers == [("X-Name", "value")]
    assert resp.headers_sent


def test_post_request_comes_behind_the_end_of_the_result(serve, seen):
    def app(environ, start_response):
        start_response("200 OK", [])
        return Closing(seen.calls)

    server = serve(both(seen, app))
    assert httpx.get(server.url("/")).text == "abcdef"
    assert seen.told(3)[1] == "closed"
    assert seen.calls[2][2].sent == 6


def test_what_is_written(serve, seen):
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"abc")
        return [b"def"]

    assert httpx.get(serve(both(seen, app)).url("/")).text == "abcdef"
    assert seen.told(2)[1][2].sent == 6


def test_a_file_is_sent_as_one(serve, seen, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    response = httpx.get(serve(both(seen, app)).url("/"))
    assert (len(response.content), len(seen.told(2))) == (300_000, 2)


def test_an_application_that_raises(serve, seen):
    server = serve(both(seen, whole))
    assert httpx.get(server.url("/raise")).status_code == 500
    response = seen.told(2)[1][2]
    assert (response.status, response.headers_sent) == ("500 Internal Server Error", False)
    assert isinstance(server.exceptions[0], KeyError)


def test_an_iteration_that_raises(serve, seen):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"abc"
        raise KeyError("asked for")

    server = serve(both(seen, app))
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(server.url("/"))
    assert seen.told(2)[1][2].sent == 3


def test_pre_request_may_stop_a_request(serve, seen):
    def pre_request(worker, req):
        raise PermissionError

    called = []
    app = wrapped(seen, lambda *_: called.append(1), "post_request", pre_request=pre_request)
    assert httpx.get(serve(app).url("/")).status_code == 500
    assert (called, len(seen.told(1))) == ([], 1)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_fewer_arguments(serve, seen, count):
    calls: list[tuple[Any, ...]] = []
    functions: dict[int, Any] = {
        2: lambda worker, req: calls.append((worker, req)),
        3: lambda worker, req, environ: calls.append((worker, req, environ)),
        4: lambda worker, req, environ, resp: calls.append((worker, req, environ, resp)),
    }
    httpx.get(serve(wrapped(seen, whole, post_request=functions[count])).url("/"))
    eventually(lambda: calls)
    assert [len(call) for call in calls] == [count]
    calls.clear()


def test_without_hooks_nothing_is_put_around_it(seen):
    assert wrapped(seen, whole) is whole


def test_pre_request_alone_leaves_the_result_as_it_is(seen):
    result = Closing([])

    def app(environ, start_response):
        return result

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "RAW_URI": "/",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
    }
    assert wrapped(seen, app, "pre_request")(environ, None) is result
    assert seen.calls[0].peer_addr == ""
