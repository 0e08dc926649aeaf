"""The lifespan in a real process: its modes, its failures, and what requests see of it."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE
from tests.ports import unused_port

APPS = Path(__file__).parent


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_requests_see_the_state_and_the_context(run_granite, mode):
    granite = run_granite("apps:lifespan", "--lifespan", mode, cwd=APPS)
    assert granite.output.index("startup ran") < granite.output.index("listening on")
    assert httpx.get(granite.url()).text == "value set"


def test_off_never_runs_it(run_granite):
    granite = run_granite("apps:lifespan", "--lifespan", "off", cwd=APPS)
    assert httpx.get(granite.url()).text == "None unset"
    assert granite.stop() == 0
    assert "startup ran" not in granite.output
    assert "shutdown ran" not in granite.output


def test_an_application_without_it_is_served(run_granite):
    granite = run_granite("apps:plain", cwd=APPS)
    assert httpx.get(granite.url()).text == "plain"
    assert "Traceback" not in granite.output


def test_on_requires_it(run_granite):
    granite = run_granite("apps:plain", "--lifespan", "on", cwd=APPS, ready=False)
    assert granite.wait() == 3
    assert "AssertionError" in granite.output.splitlines()[0]
    assert "and lifespan is on" in granite.output


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_a_failed_startup_ends_the_server(run_granite, mode):
    granite = run_granite("apps:failing", "--lifespan", mode, cwd=APPS, ready=False)
    assert granite.wait() == 3
    assert granite.output == (
        "granite: the application's startup failed: the database is not there\n"
    )


def test_an_early_client_is_answered_after_the_startup(run_granite, tmp_path):
    # The arbiter's socket listens while the application starts: a client waits, and is not refused.
    (tmp_path / "slow.py").write_text(
        "import asyncio, pathlib\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'lifespan':\n"
        "        await receive()\n"
        "        print('startup begun', flush=True)\n"
        "        while not pathlib.Path('go').exists():\n"
        "            await asyncio.sleep(0.01)\n"
        "        print('startup done', flush=True)\n"
        "        await send({'type': 'lifespan.startup.complete'})\n"
        "        await receive()\n"
        "        return\n"
        "    print('request', flush=True)\n"
        "    await send({'type': 'http.response.start', 'status': 204, 'headers': []})\n"
        "    await send({'type': 'http.response.body'})\n"
    )
    port = unused_port()
    granite = run_granite("slow:app", "--port", str(port), cwd=tmp_path, ready=False)
    granite.wait_for("startup begun")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        (tmp_path / "go").touch()
        assert client.recv(65536).startswith(b"HTTP/1.1 204 ")
    granite.wait_for(r"startup done\n(.*\n)*request")
