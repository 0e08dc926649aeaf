"""Requests that come over Unix sockets, and servers that listen at more than one address."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import httpx
import pytest

from granite.errors import BootError
from granite.testing import TestServer
from tests.patience import PATIENCE
from tests.server.apps import Scopes, answer, eventually, hello


def ask(address: str | bytes) -> bytes:
    """The start of the answer that the server at a Unix socket gives."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(address)
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        return client.recv(15)


def test_the_scope_at_a_path(serve, tmp_path: Path):
    scopes = Scopes()
    path = str(tmp_path / "é.sock")
    serve(scopes, uds=path)
    assert ask(path) == b"HTTP/1.1 200 OK"
    scope = scopes.get()
    assert tuple(scope["server"]) == (path, None)
    assert scope["client"] is None
    assert scope["scheme"] == "http"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
def test_the_scope_at_an_abstract_name(serve):
    scopes = Scopes()
    serve(scopes, bind=f"unix:@granite/{os.getpid()}")
    assert ask(f"\0granite/{os.getpid()}") == b"HTTP/1.1 200 OK"
    scope = scopes.get()
    assert tuple(scope["server"]) == (f"@granite/{os.getpid()}", None)
    assert scope["client"] is None


def test_the_access_log(serve, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = str(tmp_path / "x.sock")
    with caplog.at_level("INFO", "granite.access"):
        serve(hello, uds=path, access_log=True)
        assert ask(path) == b"HTTP/1.1 200 OK"
        # The line may come after the answer.
        eventually(lambda: any("GET / " in record.getMessage() for record in caplog.records))


def test_the_file_lives_as_long_as_the_server(tmp_path: Path):
    path = tmp_path / "x.sock"
    with TestServer(hello, uds=str(path), uds_permissions=0o600, lifespan="off"):
        assert path.is_socket()
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


def test_the_file_goes_when_the_startup_fails(tmp_path: Path):
    path = tmp_path / "x.sock"
    with pytest.raises(BootError), TestServer(hello, bind=[f"unix:{path}", "unix:/nowhere/x"]):
        pass
    assert not path.exists()


def test_several_addresses(serve, tmp_path: Path):
    path = tmp_path / "x.sock"
    server = serve(hello, bind=[f"unix:{path}", "127.0.0.1:0", "127.0.0.1:0"])
    assert httpx.get(server.url()).text == "hello"
    assert server.host == "127.0.0.1"
    assert ask(str(path)) == b"HTTP/1.1 200 OK"


def test_no_tcp_address(serve, tmp_path: Path):
    server = serve(hello, uds=str(tmp_path / "x.sock"))
    with pytest.raises(RuntimeError, match="no TCP address"):
        server.url()


def test_responses_larger_than_the_socket_takes(serve, tmp_path: Path):
    async def app(scope, receive, send):
        await answer(send, b"x" * 4_000_000)

    path = str(tmp_path / "x.sock")
    serve(app, uds=path)
    with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
        for _ in range(2):
            assert len(client.get("http://test/").content) == 4_000_000
