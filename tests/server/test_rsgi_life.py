"""RSGI: what is called at the start and the end of a worker, and what goes on around requests."""

from __future__ import annotations

import asyncio
import contextvars
import json

import pytest

from granite import Server
from granite.errors import LifespanError, LoadError
from granite.request_hooks import wrap
from granite.request_id import current
from granite.settings.hooks import Hooks
from granite.testing import TestServer
from tests.server.apps import Seen, eventually
from tests.server.embedded.apps import on
from tests.server.inside import counted
from tests.server.logged import Logged
from tests.server.loops import both_loops
from tests.server.raw import Client
from tests.server.test_request_hooks import Seen as Hooked

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


class App:
    """Notes what it is called for."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def __rsgi_init__(self, loop):
        self.loop = loop
        self.events.append(("init", loop.is_running()))
        VARIABLE.set("set")
        if not loop.is_running():
            loop.run_until_complete(self.note("async init"))

    async def note(self, event):
        await asyncio.sleep(0)
        self.events.append(event)

    def __rsgi_del__(self, loop):
        assert loop is self.loop
        self.events.append(("del", loop.is_running()))
        if not loop.is_running():
            loop.run_until_complete(self.note("async del"))

    async def __rsgi__(self, scope, protocol):
        assert asyncio.get_running_loop() is self.loop
        self.events.append(scope.path)
        protocol.response_str(200, [], VARIABLE.get())


@both_loops
def test_init_and_del(loop):
    app = App()
    with TestServer(app, loop=loop) as server:
        client = Client(server.host, server.port)
        assert client.ask("/path").body == b"set"
        client.close()
    assert app.events == [("init", False), "async init", "/path", ("del", False), "async del"]


@both_loops
def test_init_and_del_in_a_running_loop(loop):
    app = App()

    async def main():
        async with Server(app, port=0) as server:
            client = Client("127.0.0.1", server.port)
            assert (await asyncio.to_thread(client.ask)).body == b"set"
            client.close()
        assert app.events == [("init", True), "/", ("del", True)]

    on(loop, main())


@pytest.mark.parametrize("error", [ValueError("no database"), SystemExit(1)])
def test_an_init_that_fails(error, log):
    class Failing(App):
        def __rsgi_init__(self, loop):
            raise error

    app = Failing()
    with pytest.raises(LifespanError) as caught, TestServer(app):
        pass
    expected = f"the application's startup failed: __rsgi_init__ raised {type(error).__name__}: "
    assert str(caught.value) == expected + str(error)
    assert "raise error" in (caught.value.details or "")
    assert not app.events


def test_a_del_that_fails_is_logged(log):
    class Failing(App):
        def __rsgi_del__(self, loop):
            raise ValueError("asked for")

    with TestServer(Failing()):
        pass
    assert log.messages[-1] == "the application's shutdown failed: __rsgi_del__ raised"


def test_neither_is_needed():
    class Bare:
        async def __rsgi__(self, scope, protocol):
            protocol.response_empty(204, [])

    with TestServer(Bare()) as server:
        client = Client(server.host, server.port)
        assert client.ask().status == 204
        client.close()


def test_a_coroutine_function_by_the_setting(serve):
    async def app(scope, protocol):
        protocol.response_str(200, [], scope.proto)

    server = serve(app, interface="rsgi")
    client = Client(server.host, server.port)
    assert client.ask().body == b"http"
    client.close()
    with pytest.raises(LoadError, match="set the interface to rsgi"), TestServer(app):
        pass


def test_a_target(serve, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "rsgi_target.py").write_text(
        "class App:\n"
        "    async def __rsgi__(self, scope, protocol):\n"
        "        protocol.response_str(200, [], 'target')\n"
        "app = App()\n"
    )
    server = serve("rsgi_target:app")
    client = Client(server.host, server.port)
    assert client.ask().body == b"target"
    client.close()


# what goes on around requests


@both_loops
def test_each_request_has_a_task_and_a_context(connect):
    tasks = set()

    class Own:
        async def __rsgi__(self, scope, protocol):
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task.get_name())
            before = VARIABLE.get()
            VARIABLE.set("changed")
            await asyncio.sleep(0)
            protocol.response_str(200, [], before)

    client = connect(Own())
    assert [client.ask().body for _ in range(3)] == [b"unset"] * 3
    assert len(tasks) == 3


def test_request_ids(connect):
    class Telling:
        async def __rsgi__(self, scope, protocol):
            protocol.response_str(200, [], json.dumps([scope.headers["x-id"], current()]))

    response = connect(Telling(), request_id_header="X-Id").ask()
    given = response.get("x-id")
    assert given
    assert json.loads(response.body) == [given, given]


def test_access_log(serve, tmp_path):
    logged = Logged(serve, tmp_path / "log")
    try:
        server = logged(App(), access_log_fmt="%(m)s %(U)s %(q)s %(s)s %(B)s %({x-a}i)s %({x-b}o)s")
        client = Client(server.host, server.port)
        client.ask("/path?query", "X-A: one")
        assert logged.line() == "GET /path query 200 3 one -"
        client.close()
    finally:
        logged.restore()


@both_loops
def test_a_call_that_takes_too_long_is_cancelled(connect, serve, log):
    seen = Seen()

    class Slow:
        async def __rsgi__(self, scope, protocol):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.put("cancelled")
                raise

    server = serve(Slow(), request_timeout=0.2, request_timeout_grace=0.2)
    assert connect(server).ask().status == 504
    assert seen.get() == "cancelled"
    eventually(lambda: not server.counters()["running"])
    assert counted(server)["rejected_request_timeout"] == 1
    assert not server.exceptions


def test_hooks_around_requests(serve):
    seen = Hooked()

    class Own:
        async def __rsgi__(self, scope, protocol):
            if scope.path == "/stream":
                stream = protocol.response_stream(201, [("x-a", "b")])
                await stream.send_bytes(await protocol())
                await stream.send_str("é")
            else:
                body = b"".join([piece async for piece in protocol])
                protocol.response_bytes(202, [], body)

    hooks = {"pre_request": seen.pre_request, "post_request": seen.post_request}
    app = wrap(Own().__rsgi__, "rsgi", Hooks.of(hooks, "test"), seen.worker)
    server = serve(app, interface="rsgi")
    client = Client(server.host, server.port)
    assert client.ask("/stream?a", "X-A: b", method="POST", body=b"ab").body == "abé".encode()
    assert client.ask("/a%20b", method="POST", body=b"abc").body == b"abc"
    client.close()
    eventually(lambda: len(seen.calls) == 4)  # the last one comes after the answer
    before, (req, environ, resp), _, (other, _, plain) = seen.calls
    assert before is req
    assert (req.method, req.uri, req.get_header("X-A"), req.version) == (
        *("POST", "/stream?a", "b"),
        (1, 1),
    )
    assert req.peer_addr[0] == "127.0.0.1"
    assert environ["HTTP_X_A"] == "b"
    assert (resp.status, resp.sent, resp.headers) == ("201 Created", 4, [("x-a", "b")])
    assert (other.uri, plain.status_code, plain.sent) == ("/a%20b", 202, 3)
    assert seen.worker.nr == 2
