"""TestServer and the pytest fixture, as a project that uses granite would use them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import threading
from pathlib import Path

import httpx
import pytest

from granite.errors import BootError, LifespanError, LoadError, UsageError
from granite.testing import TestServer
from granite.testing_pytest import GraniteServer
from tests.patience import PATIENCE


class App:
    """Record the lifespan; answer with the path; raise for /raise."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.hanging = threading.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            self.events.append("startup")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.events.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/raise":
            raise KeyError("asked for")
        if scope["path"] == "/hang":
            self.hanging.set()
            await asyncio.Event().wait()
        body = f"{scope['path']} {threading.current_thread().name}".encode()
        length = str(len(body)).encode()
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", length)],
            }
        )
        await send({"type": "http.response.body", "body": body})


def test_with():
    app = App()
    with TestServer(app) as server:
        assert app.events == ["startup"]
        assert httpx.get(server.url("/a")).text == "/a granite test server"
        assert server.host == "127.0.0.1"
        assert server.url("x y/é") == f"http://127.0.0.1:{server.port}/x%20y/%C3%A9"
        assert server.url() == server.url("/") == f"http://127.0.0.1:{server.port}/"
    assert app.events == ["startup", "shutdown"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url())


def test_async_with():
    app = App()

    async def main():
        async with TestServer(app) as server, httpx.AsyncClient() as client:
            return (await client.get(server.url("/a"))).text

    assert asyncio.run(main()) == "/a granite test server"
    assert app.events == ["startup", "shutdown"]


def test_exceptions_stay_readable():
    with TestServer(App()) as server:
        assert httpx.get(server.url("/raise")).status_code == 500
        assert httpx.get(server.url("/fine")).status_code == 200
    assert [repr(exception) for exception in server.exceptions] == ["KeyError('asked for')"]
    assert server.exceptions[0].__traceback__ is not None


def test_counters():
    with TestServer(App()) as server:
        with httpx.Client() as client:
            client.get(server.url())
            assert sum(server.counters().values()) > 0
    assert not any(server.counters().values())


def test_settings():
    with TestServer(App(), server_header="mine", loop="asyncio", url_path_prefix="/p") as server:
        assert server.config.server_header == "mine"
        assert httpx.get(server.url()).headers["server"] == "mine"


def test_a_wrong_setting():
    with pytest.raises(UsageError, match="unknown setting 'prot'"):
        TestServer(App(), prot=1)
    with pytest.raises(UsageError, match=r"^lifespan: expected one of auto, on, off"):
        TestServer(App(), lifespan="sometimes")


def test_a_target(tmp_path, monkeypatch):
    (tmp_path / "target_of_testing.py").write_text(
        "def make():\n    from tests.unit.test_testing import App\n    return App()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with TestServer("target_of_testing:make", factory=True) as server:
        assert httpx.get(server.url("/a")).text.startswith("/a ")


def test_a_target_that_is_missing():
    with pytest.raises(LoadError, match="there is no module 'target_none'"):
        with TestServer("target_none:app"):
            raise AssertionError("the body must not run")


async def failing(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


def test_a_startup_that_fails():
    with pytest.raises(LifespanError, match="no database"):
        with TestServer(failing):
            raise AssertionError("the body must not run")


def test_a_startup_that_fails_in_async_with():
    async def main():
        async with TestServer(failing):
            raise AssertionError("the body must not run")

    with pytest.raises(LifespanError, match="no database"):
        asyncio.run(main())


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(BootError, match=r"cannot listen on 127\.0\.0\.1"):
            TestServer(App(), port=taken.getsockname()[1]).start()


def test_a_request_that_hangs_is_aborted():
    app = App()
    with TestServer(app, graceful_timeout=0.1) as server:
        with socket.create_connection((server.host, server.port), timeout=60) as client:
            client.sendall(b"GET /hang HTTP/1.1\r\nHost: test\r\n\r\n")
            assert app.hanging.wait(PATIENCE)
            server.stop()
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
    assert app.events == ["startup", "shutdown"]


def test_the_bodys_failure_comes_through():
    app = App()
    with pytest.raises(ZeroDivisionError):
        with TestServer(app):
            raise ZeroDivisionError
    assert app.events == ["startup", "shutdown"]


def test_it_is_used_once():
    server = TestServer(App())
    with pytest.raises(RuntimeError, match="has not been started"):
        server.url()
    server.stop()
    with server:
        pass
    with pytest.raises(RuntimeError, match="started once"):
        server.start()


def test_several_at_a_time():
    with TestServer(App()) as one, TestServer(App()) as two:
        assert one.port != two.port
        assert httpx.get(one.url("/1")).text.startswith("/1")
        assert httpx.get(two.url("/2")).text.startswith("/2")


def test_fixture(granite_server: GraniteServer):
    one = granite_server(App())
    two = granite_server(App(), server_header="two")
    assert httpx.get(one.url()).headers["server"] == "granite"
    assert httpx.get(two.url()).headers["server"] == "two"


def test_tls():
    with TestServer(App(), tls=True) as server:
        assert server.url("/").startswith("https://127.0.0.1:")
        assert httpx.get(server.url("/"), verify=server.ssl_context()).text.startswith("/ ")
        url = f"https://localhost:{server.port}/"
        assert httpx.get(url, verify=server.ssl_context()).text.startswith("/ ")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(server.url("/"))
        with TestServer(App(), tls=True) as other:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                httpx.get(other.url("/"), verify=server.ssl_context())
    [folder] = {Path(path).parent for path in server.config.ssl_certificate}
    assert folder.stat().st_mode & 0o777 == 0o700
    del server
    gc.collect()
    assert not folder.exists()


def test_tls_has_a_certificate_of_its_own():
    for name in ("ssl_certificate", "certfile", "ssl_key"):
        with pytest.raises(UsageError, match="tls: expected no ssl_certificate"):
            TestServer(App(), tls=True, **{name: "cert.pem"})
    with TestServer(App()) as server, pytest.raises(RuntimeError, match="give it tls=True"):
        server.ssl_context()


def test_tls_needs_trustme(monkeypatch):
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(BootError, match=r"install granite\[tls\]"):
        TestServer(App(), tls=True)
