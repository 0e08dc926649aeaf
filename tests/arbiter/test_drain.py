"""How a server ends: signals, requests in flight, idle connections, lifespan, time limits."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.granite_process import with_constant
from tests.patience import PATIENCE

APPS = Path(__file__).parent
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n"


def connect(granite) -> socket.socket:
    return socket.create_connection(("127.0.0.1", granite.port), timeout=PATIENCE)


def read_response(client: socket.socket) -> tuple[http.client.HTTPResponse, bytes]:
    response = http.client.HTTPResponse(client)
    response.begin()
    return response, response.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_finishes(run_granite, number):
    granite = run_granite("apps:upload", "--log-level", "debug", cwd=APPS)
    with connect(granite) as client:
        client.sendall(HEAD + b"12")
        granite.wait_for("request begun")
        granite.signal(number)
        granite.wait_for("draining: 1 connections left")
        client.sendall(b"345")
        response, body = read_response(client)
        assert (response.status, body) == (200, b"uploaded")
        assert response.headers["connection"] == "close"
        assert client.recv(1) == b""
    assert granite.wait() == 0
    assert granite.members() == []


def test_new_connections_are_refused_while_draining(run_granite):
    granite = run_granite("apps:upload", "--log-level", "debug", cwd=APPS)
    with connect(granite) as client:
        client.sendall(HEAD + b"12")
        granite.wait_for("request begun")
        granite.signal(signal.SIGTERM)
        granite.wait_for("draining")
        with pytest.raises(ConnectionRefusedError):
            connect(granite)
        client.sendall(b"345")
        assert read_response(client)[1] == b"uploaded"
    assert granite.wait() == 0
    assert "cut short" not in granite.output


def test_an_idle_connection_is_closed(run_granite):
    granite = run_granite("apps:plain", "--keep-alive-timeout", "0", cwd=APPS)
    with connect(granite) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        response, body = read_response(client)
        assert body == b"plain"
        assert response.headers["connection"] is None
        granite.signal(signal.SIGTERM)
        assert client.recv(1) == b""
    assert granite.wait() == 0


def test_a_connection_that_never_sent_anything_is_closed(run_granite):
    granite = run_granite("apps:plain", cwd=APPS)
    with connect(granite) as client:
        httpx.get(granite.url())  # accepted in order: after this one, so is the silent one
        granite.signal(signal.SIGTERM)
        assert client.recv(1) == b""
    assert granite.wait() == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_graceful_timeout_bounds_a_request_that_hangs(run_granite, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    granite = run_granite("apps:hang", "--graceful-timeout", "300ms", "--loop", loop, cwd=APPS)
    with connect(granite) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        granite.wait_for("request begun")
        granite.signal(signal.SIGTERM)
        assert received_until_closed(client) == b""
    assert granite.wait() == 0
    granite.wait_for(r"warning: 1 request was cut short after \d\.\d s\n")
    assert granite.output.endswith("info: stopped\n")
    assert "killed" not in granite.output


def test_the_graceful_timeout_bounds_a_shutdown_that_hangs(run_granite):
    granite = run_granite("apps:unending", "--graceful-timeout", "300ms", cwd=APPS)
    granite.signal(signal.SIGTERM)
    granite.wait_for("shutdown begun")
    assert granite.wait() == 0
    assert "lifespan did not end in time" in granite.output


def test_a_second_interrupt_ends_it_at_once(run_granite):
    arguments = ("--log-level", "debug", "--graceful-timeout", "10m")
    granite = run_granite("apps:hang", *arguments, cwd=APPS)
    with connect(granite) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        granite.wait_for("request begun")
        granite.signal(signal.SIGINT)
        granite.wait_for("draining: 1")
        granite.signal(signal.SIGINT)
        assert received_until_closed(client) == b""
        assert granite.wait() == 0


def test_an_interrupt_from_the_terminal_is_one_interrupt(run_granite):
    granite = run_granite("apps:upload", "--log-level", "debug", cwd=APPS)
    with connect(granite) as client:
        client.sendall(HEAD + b"12")
        granite.wait_for("request begun")
        os.killpg(granite.process.pid, signal.SIGINT)
        granite.wait_for("draining: 1 connections left")
        client.sendall(b"345")
        assert read_response(client)[1] == b"uploaded"
    assert granite.wait() == 0


def test_quit_ends_it_at_once(run_granite):
    granite = run_granite("apps:hang", cwd=APPS)
    with connect(granite) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        granite.wait_for("request begun")
        granite.signal(signal.SIGQUIT)
        assert received_until_closed(client) == b""
    assert granite.wait() == 0
    assert granite.output.count("info: stopping at once: ") == 1
    assert granite.output.endswith("info: stopped\n")


def test_a_blocked_worker_is_killed(run_granite, tmp_path):
    (tmp_path / "blocked.py").write_text(
        "import time\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    print('request begun', flush=True)\n"
        "    time.sleep(600)\n"
    )
    granite = run_granite("blocked:app", cwd=tmp_path)
    with connect(granite) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        granite.wait_for("request begun")
        granite.signal(signal.SIGQUIT)
        assert granite.wait() == 0
    assert "did not end in time and is killed" in granite.output
    assert granite.members() == []


def test_the_lifespan_is_shut_down(run_granite):
    granite = run_granite("apps:lifespan", cwd=APPS)
    assert "shutdown ran" not in granite.output
    assert granite.stop() == 0
    assert granite.output.count("shutdown ran") == 1


def test_an_end_during_the_startup(run_granite):
    launcher = with_constant("slots._SLOW", 0.2)
    granite = run_granite("apps:starting", cwd=APPS, launcher=launcher, ready=False)
    granite.wait_for("startup begun")
    granite.wait_for(r"warning: worker 1 \(pid \d+\) is not ready yet: ")
    granite.signal(signal.SIGTERM)
    assert granite.wait() == 0
    assert "startup cancelled" in granite.output
    assert "listening" not in granite.output
    assert granite.output.count("not ready yet") == 1
    assert granite.output.endswith("info: stopped\n")


def test_an_end_during_the_import(run_granite, tmp_path):
    (tmp_path / "long.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    granite = run_granite("long:app", cwd=tmp_path, ready=False)
    granite.wait_for("begun")
    granite.signal(signal.SIGINT)
    assert granite.wait() == 0
    assert "Traceback" not in granite.output


def received_until_closed(client: socket.socket) -> bytes:
    try:
        return client.recv(65536)
    except ConnectionResetError:
        return b""
