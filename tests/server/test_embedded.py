"""granite.Server on a running loop, as a program that embeds it would use it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import signal
import socket
import ssl
import sys
import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from granite import Server
from granite.errors import BootError, LifespanError, LoadError, UsageError
from granite.serving import new_event_loop, run
from tests.granite_process import GraniteProcess
from tests.server.loops import both_loops

PATIENCE = 20.0

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class App:
    """Record the lifespan; answer with the path; /wait waits for `release`, or its own end."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.begun = asyncio.Event()
        self.waiting = asyncio.Event()
        self.release = asyncio.Event()
        self.startup: asyncio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["path"] == "/raise":
            raise KeyError("asked for")
        if scope["path"] == "/wait":
            self.waiting.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.events.append("cancelled")
                raise
        body = f"{scope['scheme']} {scope['path']} {variable.get()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        self.events.append("startup")
        self.begun.set()
        if self.startup is not None:
            await self.startup.wait()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})


def on(loop: str, main: Any) -> None:
    """Run `main` on a loop of that kind, for a limited time; no object of a server may be left."""

    async def bounded() -> None:
        await asyncio.wait_for(main, PATIENCE)

    run(new_event_loop(loop), bounded())
    gc.collect()
    for core in [o for o in gc.get_objects() if type(o).__name__ == "Server"]:
        if hasattr(core, "counters"):
            assert not any(core.counters().values()), core.counters()


async def get(server: Server, path: str = "/", **settings: Any) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, **settings) as client:
        url = server.urls[0] if server.urls[0].startswith("http") else "http://localhost"
        return await client.get(url + path)


@pytest.fixture
def app() -> App:
    return App()


@both_loops
def test_serve_and_stop(loop, app, log):
    async def main():
        server = Server(app, port=0)
        assert server.urls == []
        with pytest.raises(RuntimeError, match="no port"):
            server.port  # noqa: B018
        serving = asyncio.create_task(server.serve())
        await server.wait_started()
        assert server.urls == [f"http://127.0.0.1:{server.port}"]
        assert (await get(server, "/a")).text == "http /a unset"
        assert (await get(server, "/raise")).status_code == 500
        assert not serving.done()
        assert await server.stop()
        await serving
        assert app.events == ["startup", "shutdown"]
        assert await server.stop()
        with pytest.raises(httpx.ConnectError):
            await get(server)
        for record in log.errors:  # its frames hold the request
            traceback.clear_frames(record.exc_info[2])

    on(loop, main())
    assert any("KeyError" in str(record.exc_info) for record in log.errors)
    assert [text for text in log.messages if text.startswith("listening on http://127.0.0.1:")]


@both_loops
def test_async_with_keeps_the_context(loop, app):
    async def main():
        variable.set("kept")
        async with Server(app, port=0, url_path_prefix=None) as server:
            assert (await get(server)).text == "http / kept"
        assert app.events == ["startup", "shutdown"]

    on(loop, main())


@both_loops
@pytest.mark.parametrize(
    ("timeout", "clean"), [(None, True), (0, False), (0.05, False)], ids=["drain", "now", "soon"]
)
def test_stop_with_requests_in_flight(loop, app, timeout, clean):
    async def main():
        async with Server(app, port=0) as server:
            request = asyncio.create_task(get(server, "/wait"))
            await app.waiting.wait()
            stopping = asyncio.create_task(server.stop(timeout))
            if clean:
                await asyncio.sleep(0)
                app.release.set()
                assert (await request).text == "http /wait unset"
                assert await stopping
            else:
                with pytest.raises(httpx.RemoteProtocolError):
                    await request
                assert not await stopping
        await asyncio.sleep(0)  # the cancelled request
        assert sorted(app.events) == sorted(
            ["startup", "shutdown", *([] if clean else ["cancelled"])]
        )

    on(loop, main())


@both_loops
def test_a_second_stop_may_be_shorter(loop, app):
    async def main():
        async with Server(app, port=0) as server:
            request = asyncio.create_task(get(server, "/wait"))
            await app.waiting.wait()
            first = asyncio.create_task(server.stop())
            await asyncio.sleep(0)
            assert not await server.stop(timeout=0)
            assert not await first
            with pytest.raises(httpx.RemoteProtocolError):
                await request

    on(loop, main())


@both_loops
@pytest.mark.parametrize("times", [1, 2])
def test_cancelled_serve_drains(loop, app, times):
    async def main():
        server = Server(app, port=0)
        serving = asyncio.create_task(server.serve())
        await server.wait_started()
        request = asyncio.create_task(get(server, "/wait"))
        await app.waiting.wait()
        serving.cancel()
        await asyncio.sleep(0)
        assert not serving.done()
        if times == 1:
            app.release.set()
            assert (await request).status_code == 200
        else:
            await asyncio.sleep(0)
            serving.cancel()
            with pytest.raises(httpx.RemoteProtocolError):
                await request
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert "shutdown" in app.events

    on(loop, main())


@both_loops
def test_the_end_of_the_loop_ends_a_server_in_the_background(loop, app):
    async def main():
        server = Server(app, port=0)
        main.serving = asyncio.create_task(server.serve())  # type: ignore[attr-defined]
        await server.wait_started()
        assert (await get(server)).status_code == 200

    on(loop, main())


@both_loops
def test_cancelled_stop_goes_on(loop, app):
    async def main():
        server = Server(app, port=0)
        await server.start()
        request = asyncio.create_task(get(server, "/wait"))
        await app.waiting.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        app.release.set()
        assert (await request).status_code == 200
        assert await server.stop()

    on(loop, main())


@both_loops
def test_a_request_stops_its_own_server(loop):
    tasks = []

    async def stopping(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.create_task(server.stop()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"bye"})

    async def main():
        serving = asyncio.create_task(server.serve())
        await server.wait_started()
        assert (await get(server)).text == "bye"
        await serving
        assert await tasks[0]

    server = Server(stopping, port=0, lifespan="off")
    on(loop, main())


def test_control_c_lets_requests_finish(tmp_path):
    """With asyncio.run, which cancels the main task (3.11), or all of them (3.10)."""
    program = tmp_path / "program.py"
    program.write_text(
        """
import asyncio, sys
from granite import Server

async def app(scope, receive, send):
    print("asked", flush=True)
    await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"finished"})

async def main():
    server = Server(app, port=0, lifespan="off")
    serving = asyncio.ensure_future(server.serve())
    await server.wait_started()
    print(f"listening on {server.urls[0]}", flush=True)
    await serving

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    process = GraniteProcess(launcher=(str(program),))
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(httpx.get, process.url())
            process.wait_for("asked")
            process.signal(signal.SIGINT)
            assert process.wait() == 0
            if sys.version_info >= (3, 11):  # before, the request's task is cancelled like all
                assert answer.result().text == "finished"
        assert process.output.endswith("interrupted\n")
    finally:
        process.destroy()


@both_loops
def test_two_servers(loop):
    async def main():
        first, second = App(), App()
        async with Server(first, port=0) as one, Server(second, port=0) as two:
            assert one.port != two.port
            answers = await asyncio.gather(get(one, "/1"), get(two, "/2"))
            assert [answer.text for answer in answers] == ["http /1 unset", "http /2 unset"]
            await one.stop()
            assert first.events == ["startup", "shutdown"]
            assert (await get(two)).status_code == 200

    on(loop, main())


@both_loops
def test_unix_socket(loop, app, tmp_path):
    async def main():
        path = tmp_path / "s"
        async with Server(app, uds=path) as server:
            assert server.urls == [f"unix:{path}"]
            with pytest.raises(RuntimeError, match="no port"):
                server.port  # noqa: B018
            answer = await get(server, transport=httpx.AsyncHTTPTransport(uds=str(path)))
            assert answer.text == "http / unset"
        assert not path.exists()

    on(loop, main())


@both_loops
def test_several_addresses(loop, app, tmp_path):
    async def main():
        path = tmp_path / "s"
        async with Server(app, bind=[f"unix:{path}", "127.0.0.1:0"]) as server:
            assert server.urls == [f"unix:{path}", f"http://127.0.0.1:{server.port}"]
            uds = await get(server, transport=httpx.AsyncHTTPTransport(uds=str(path)))
            assert uds.status_code == 200
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(server.urls[1])).status_code == 200

    on(loop, main())


@both_loops
def test_tls(loop, app, tmp_path):
    authority = trustme.CA()
    certificate = tmp_path / "certificate.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def main():
        async with Server(app, port=0, ssl_cert=certificate) as server:
            answer = await get(server, verify=trusting)
            assert answer.text == "https / unset"

    on(loop, main())


def test_target_and_factory(loop, tmp_path, monkeypatch):
    (tmp_path / "embedded_target.py").write_text(
        "from tests.server.test_embedded import App\nmade = App\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    async def main():
        async with Server("embedded_target:made", factory=True, port=0) as server:
            assert (await get(server)).status_code == 200
        async with Server(App, factory=True, port=0) as server:
            assert (await get(server)).status_code == 200

    on(loop, main())


class TestFailures:
    """A start that fails raises, and leaves nothing open."""

    @staticmethod
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
    def test_lifespan(self, loop, start, tmp_path):
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})

        path = tmp_path / "s"
        on(loop, self.fails(Server(failing, uds=path), LifespanError, "no database", start))
        assert not path.exists()

    def test_port_in_use(self, loop, app):
        async def main():
            async with Server(app, port=0) as server:
                other = Server(App(), port=server.port)
                await self.fails(other, BootError, "address already in use", "start")

        on(loop, main())
        assert app.events == ["startup", "shutdown"]

    @pytest.mark.parametrize(
        ("target", "settings", "error", "match"),
        [
            ("no_such_module:app", {}, LoadError, "no module 'no_such_module'"),
            (App, {"interface": "rsgi"}, BootError, "RSGI is not served"),
            (App, {"ssl_cert": "/no/such/file"}, BootError, "ssl_certificate: cannot read"),
        ],
    )
    def test_others(self, loop, target, settings, error, match):
        on(loop, self.fails(Server(target, port=0, **settings), error, match, "start"))

    @both_loops
    @pytest.mark.parametrize("start", ["start", "serve"])
    def test_stopped_while_starting(self, loop, app, start):
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
    def test_cancelled_while_starting(self, loop, app, tmp_path):
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

    def test_stopped_before_the_start(self, loop, app):
        async def main():
            server = Server(app, port=0)
            serving = asyncio.create_task(server.serve())
            assert await server.stop()
            await serving
            with pytest.raises(RuntimeError, match="stopped before its start"):
                await server.start()

        on(loop, main())
        assert app.events == []

    def test_another_loop(self, loop, app):
        async def stop_elsewhere(server: Server) -> None:
            await server.stop()

        async def main():
            async with Server(app, port=0) as server:
                with pytest.raises(RuntimeError, match="another event loop"):
                    await asyncio.to_thread(asyncio.run, stop_elsewhere(server))

        on(loop, main())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"workers": 2}, "workers: cannot be set here, since an embedded server has no processes"),
        ({"user": "nobody"}, "user: cannot be set here"),
        ({"pidfile": "x"}, "pid_file: cannot be set here"),
        ({"log_level": "debug"}, "log_level: cannot be set here, since the logging of the program"),
        ({"loop": "uvloop"}, "loop: cannot be set here, since .* on the loop that is running"),
        ({"reload": True}, "reload: cannot be set here"),
        ({"wokers": 2}, r"unknown setting 'wokers' \(did you mean 'workers'\?\)"),
        ({"port": "x"}, "port: expected an integer from 0 to 65535, got 'x'"),
    ],
)
def test_refused_settings(settings, match):
    with pytest.raises(UsageError, match=match):
        Server(App(), **settings)


def test_defaults_of_refused_settings_and_granians_names_are_accepted():
    server = Server(App(), workers=1, user=None, address="::1", port=0, websockets=True)
    assert server.config.host == "::1"


def test_no_application():
    with pytest.raises(UsageError, match="expected an application or a target"):
        Server(None)


def test_an_inherited_descriptor(loop, app):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with Server(app, bind=f"fd://{listener.detach()}") as server:
                assert (await get(server)).status_code == 200

    on(loop, main())


def test_the_package_lists_its_names():
    import granite

    assert {"Granite", "Server", "__version__"} <= set(dir(granite))
    assert granite.Server is Server
    with pytest.raises(AttributeError, match="no attribute 'Sever'"):
        granite.Sever  # noqa: B018  # type: ignore[attr-defined]
    assert Path(granite.__file__).parent.name == "granite"
