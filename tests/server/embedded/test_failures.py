"""A start of an embedded server that fails raises, and leaves nothing open."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from granite import Server
from granite.errors import BootError, LifespanError, LoadError
from tests.server.embedded.apps import App, on
from tests.server.loops import both_loops


async def fails(server: Server, error: type[Exception], match: str, start: str) -> None:
    waiting = asyncio.create_task(server.wait_started())
    with pytest.raises(error, match=match):
        await getattr(server, start)()
    with pytest.raises(RuntimeError, match="did not start"):
        await waiting
    assert await server.stop()
    with pytest.raises(RuntimeError, match="started once"):
        await server.start()


@pytest.mark.parametrize("start", ["start", "serve"])
def test_lifespan(loop, start, tmp_path):
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    path = tmp_path / "s"
    on(loop, fails(Server(failing, uds=path), LifespanError, "no database", start))
    assert not path.exists()


def test_port_in_use(loop, app):
    async def main():
        async with Server(app, port=0) as server:
            other = Server(App(), port=server.port)
            await fails(other, BootError, "address already in use", "start")

    on(loop, main())
    assert app.events == ["startup", "shutdown"]


@pytest.mark.parametrize(
    ("target", "settings", "error", "match"),
    [
        ("no_such_module:app", {}, LoadError, "no module 'no_such_module'"),
        (App(), {"interface": "wsgi"}, LoadError, "expected a WSGI application"),
        (App(), {"ssl_cert": "/no/such/file"}, BootError, "ssl_certificate: cannot read"),
    ],
)
def test_what_cannot_start(loop, target, settings, error, match):
    on(loop, fails(Server(target, port=0, **settings), error, match, "start"))


@both_loops
@pytest.mark.parametrize("start", ["start", "serve"])
def test_stopped_while_starting(loop, app, start):
    async def main():
        app.startup = asyncio.Event()
        server = Server(app, port=0)
        starting = asyncio.create_task(getattr(server, start)())
        await app.begun.wait()
        assert await server.stop()
        if start == "start":
            with pytest.raises(RuntimeError, match="stopped before its start"):
                await starting
        else:
            await starting

    on(loop, main())
    assert app.events == ["startup"]


@both_loops
def test_cancelled_while_starting(loop, app, tmp_path):
    async def main():
        app.startup = asyncio.Event()
        server = Server(app, uds=tmp_path / "s")
        starting = asyncio.create_task(server.serve())
        await app.begun.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not (tmp_path / "s").exists()
        assert await server.stop()

    on(loop, main())


def test_stopped_before_the_start(loop, app):
    async def main():
        server = Server(app, port=0)
        serving = asyncio.create_task(server.serve())
        assert await server.stop()
        await serving
        with pytest.raises(RuntimeError, match="stopped before its start"):
            await server.start()

    on(loop, main())
    assert app.events == []


def test_another_loop(loop, app):
    async def stop_elsewhere(server: Server) -> None:
        await server.stop()

    async def main():
        async with Server(app, port=0) as server:
            with pytest.raises(RuntimeError, match="another event loop"):
                await asyncio.to_thread(asyncio.run, stop_elsewhere(server))

    on(loop, main())
