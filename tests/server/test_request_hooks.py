"""Gunicorn's pre_request and post_request around requests of a real server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from granite.request_hooks import wrap
from granite.settings.hooks import Hooks
from tests.server.apps import eventually


class Seen:
    """The two hooks, which record what they get."""

    def __init__(self) -> None:
        self.worker = SimpleNamespace(nr=0)
        self.calls: list[Any] = []

    def pre_request(self, worker: Any, req: Any) -> None:
        assert worker is self.worker
        req.mark = len(self.calls)
        self.calls.append(req)

    def post_request(self, worker: Any, req: Any, environ: Any, resp: Any) -> None:
        assert worker is self.worker
        self.calls.append((req, environ, resp))

    def told(self, count: int) -> list[Any]:
        """Return the calls when there are so many: the last one may come after the answer."""
        eventually(lambda: len(self.calls) >= count)
        return self.calls

    def wrap(self, app: Any, *names: str, **others: Any) -> Any:
        functions = {name: getattr(self, name) for name in names} | others
        return wrap(app, "asgi", Hooks.of(functions, "test"), self.worker)


@pytest.fixture
def seen() -> Seen:
    return Seen()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/raise":
        raise KeyError("asked for")
    await send(
        {
            "type": "http.response.start",
            "status": 201,
            "headers": [(b"x-name", b"value"), (b"content-length", b"6")],
        }
    )
    await send({"type": "http.response.body", "body": b"abc", "more_body": True})
    if scope["path"] == "/raise-late":
        raise KeyError("asked for")
    await send({"type": "http.response.body", "body": b"def"})


def both(seen: Seen) -> Any:
    return seen.wrap(app, "pre_request", "post_request")


def test_nothing_is_wrapped_without_a_hook(seen):
    assert seen.wrap(app) is app
    assert seen.wrap(app, post_fork=lambda server, worker: None) is app


def test_arguments(seen, serve):
    server = serve(both(seen), url_path_prefix=None)
    answer = httpx.get(
        server.url("/a%20b/c?q=1&r"), headers=[("X-One", "1"), ("x-two", "a"), ("X-Two", "b")]
    )
    assert (answer.status_code, answer.text) == (201, "abcdef")
    before, (req, environ, resp) = seen.told(2)
    assert req is before
    assert req.mark == 0
    assert (req.method, req.uri, req.path, req.query) == (
        "GET",
        "/a%20b/c?q=1&r",
        "/a b/c",
        "q=1&r",
    )
    assert (req.scheme, req.version, req.fragment) == ("http", (1, 1), "")
    assert req.peer_addr[0] == req.remote_addr[0] == "127.0.0.1"
    assert (req.proxy_protocol_info, req.trailers, req.raw_path) == (None, [], b"/a%20b/c")
    assert ("X-ONE", "1") in req.headers
    assert [value for name, value in req.headers if name == "X-TWO"] == ["a", "b"]
    assert req.get_header("x-one") == "1"
    assert req.get_header("x-none") is None
    assert not req.should_close()
    expected = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/a%20b/c?q=1&r",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "q=1&r",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_ONE": "1",
        "HTTP_X_TWO": "a,b",
    }
    assert {name: environ[name] for name in expected} == expected
    assert (resp.status, resp.status_code, resp.sent) == ("201 Created", 201, 6)
    assert resp.headers == [("x-name", "value"), ("content-length", "6")]
    assert resp.headers_sent
    assert resp.response_length == 6
    assert not resp.should_close()
    assert seen.worker.nr == 1


@pytest.mark.parametrize("count", [2, 3, 4])
def test_post_request_takes_two_to_four_arguments(seen, serve, count):
    calls: list[tuple[Any, ...]] = []
    functions = {
        2: lambda worker, req: calls.append((worker, req)),
        3: lambda worker, req, environ: calls.append((worker, req, environ)),
        4: lambda worker, req, environ, resp: calls.append((worker, req, environ, resp)),
    }
    server = serve(seen.wrap(app, post_request=functions[count]))
    assert httpx.get(server.url()).status_code == 201
    eventually(lambda: calls)
    assert len(calls[0]) == count


@pytest.mark.parametrize(
    ("path", "status", "sent"),
    [("/raise", "500 Internal Server Error", 0), ("/raise-late", "201 Created", 3)],
)
def test_post_request_when_the_application_raises(seen, serve, path, status, sent):
    server = serve(both(seen))
    try:
        assert httpx.get(server.url(path)).status_code == 500
    except httpx.RemoteProtocolError:
        assert path == "/raise-late"
    _, _, resp = seen.told(2)[1]
    assert (resp.status, resp.sent) == (status, sent)
    assert [type(exc) for exc in server.exceptions] == [KeyError]


def test_a_pre_request_that_raises_answers_500(seen, serve):
    def refuse(worker: Any, req: Any) -> None:
        raise PermissionError(req.path)

    server = serve(seen.wrap(app, "post_request", pre_request=refuse))
    assert httpx.get(server.url("/x")).status_code == 500
    assert [type(exc) for exc in server.exceptions] == [PermissionError]
    assert seen.told(1)[0][2].status_code == 500


def test_a_post_request_that_raises_is_logged(seen, serve, log):
    def fail(worker: Any, req: Any) -> None:
        raise ZeroDivisionError

    server = serve(seen.wrap(app, post_request=fail))
    assert httpx.get(server.url("/x")).text == "abcdef"
    eventually(lambda: log.messages[-1:] == ["the hook post_request raised"])
    assert server.exceptions == []
    log.records[-1].exc_info = None  # its frames hold the request


def test_post_request_when_the_request_is_cancelled(seen, serve):
    """A client that goes does not cancel by itself: an application does, as frameworks do."""

    async def cancelled(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    server = serve(seen.wrap(cancelled, "post_request"))
    assert httpx.get(server.url("/x")).status_code == 500
    assert len(seen.told(1)) == 1


def test_only_http_requests_are_wrapped(seen, serve):
    kinds = []

    async def recording(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])
        if scope["type"] == "lifespan":
            scope["state"]["key"] = "value"
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            assert scope["state"] == {"key": "value"}
            await app(scope, receive, send)

    assert asyncio.iscoroutinefunction(seen.wrap(recording, "pre_request"))
    server = serve(seen.wrap(recording, "pre_request"), lifespan="on")
    assert httpx.get(server.url()).status_code == 201
    server.stop()
    assert kinds == ["lifespan", "http"]
    assert [req.path for req in seen.calls] == ["/"]
    assert seen.worker.nr == 1


def test_trailers(seen, connect):
    async def reading(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await app(scope, receive, send)

    client = connect(seen.wrap(reading, "post_request"))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.send(head + b"1\r\na\r\n0\r\nx-Sum: 5\r\n\r\n")
    assert client.response().status == 201
    ((req, _, _),) = seen.told(1)
    assert req.trailers == [("X-SUM", "5")]
