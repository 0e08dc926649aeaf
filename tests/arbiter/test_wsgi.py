"""Workers that serve WSGI, without asyncio in the process."""

from __future__ import annotations

import ast
import signal
from pathlib import Path

import httpx
import pytest

from tests.arbiter.test_drain import connect, read_response

APPS = Path(__file__).parent
HIGH_WATER = 65536
# A head behind which the application is called at once, to wait for the body itself.
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % (2 * HIGH_WATER)

# What costs memory, and none of it is needed.
HEAVY = {"asyncio", "inspect", "ssl", "concurrent.futures", "uvloop"}


@pytest.fixture
def run(run_granite):
    def start(target: str = "told", *arguments: str, **options):
        return run_granite(f"wsgi_apps:{target}", *arguments, cwd=APPS, **options)

    return start


def ask(granite, path: str):
    return ast.literal_eval(httpx.get(granite.url(path)).text)


@pytest.mark.parametrize("arguments", [(), ("--interface", "wsgi"), ("--preload",)])
def test_a_worker_does_without_asyncio(run, arguments):
    granite = run("told", *arguments)
    modules = set(ask(granite, "/modules"))
    assert modules & HEAVY == set()
    assert not {"granite.serving_async", "granite._core.task", "granite._core.asgi"} & modules
    assert "served by WSGI" in granite.output
    assert granite.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_finishes(run, number):
    """The drain begins while the application waits for more of the body."""
    granite = run("upload", "--log-level", "debug")
    with connect(granite) as client:
        client.sendall(HEAD + bytes(HIGH_WATER))
        granite.wait_for("request begun")
        granite.signal(number)
        granite.wait_for("draining: 1 connections left")
        with pytest.raises(ConnectionRefusedError):
            connect(granite)
        client.sendall(bytes(HIGH_WATER))
        response, body = read_response(client)
        assert (response.status, body) == (200, b"131072 bytes")
        assert response.headers["connection"] == "close"
    assert granite.wait() == 0
    assert "cut short" not in granite.output


def test_what_waits_for_a_body_is_cut_short_by_the_timeout(run):
    granite = run("upload", "--graceful-timeout", "0.5")
    with connect(granite) as client:
        client.sendall(HEAD + bytes(HIGH_WATER))
        granite.wait_for("request begun")
        granite.signal(signal.SIGTERM)
        assert granite.wait() == 0
    assert "1 request was cut short after " in granite.output
    assert "request cut short" in granite.output
    assert granite.members() == []


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
def test_a_second_signal_ends_at_once(run, number):
    granite = run("upload", "--log-level", "debug", "--graceful-timeout", "3600")
    with connect(granite) as client:
        client.sendall(HEAD + bytes(HIGH_WATER))
        granite.wait_for("request begun")
        granite.signal(number)
        granite.wait_for("draining")
        granite.signal(number)
        granite.wait()
    assert "request cut short" in granite.output
    granite.wait_gone()


def test_a_stream_hears_of_the_end(run):
    granite = run("ticking")
    with httpx.stream("GET", granite.url()) as response:
        pieces = response.iter_raw()
        assert next(pieces)
        granite.signal(signal.SIGTERM)
        assert b"".join(pieces).endswith(b"goodbye\n")
    assert granite.wait() == 0


def test_failures_are_logged(run):
    granite = run("failing")
    assert httpx.get(granite.url()).status_code == 500
    granite.wait_for("error: a line of wsgi.errors\n")
    granite.wait_for("KeyError: 'asked for'")
    assert granite.stop() == 0
