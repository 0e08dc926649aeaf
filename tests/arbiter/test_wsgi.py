"""Workers that serve WSGI, without asyncio in the process."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.arbiter.asking import until, wait_for_port
from tests.arbiter.changing import hang_up, told
from tests.arbiter.hot import Hot
from tests.arbiter.test_drain import connect, read_response
from tests.granite_process import with_constant

APPS = Path(__file__).parent
HIGH_WATER = 65536
# A head behind which the application is called at once, to wait for the body itself.
HEAD = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % (2 * HIGH_WATER)

# What costs memory, and none of it is needed.
HEAVY = {"asyncio", "concurrent.futures", "inspect", "selectors", "ssl", "uvloop"}
# What has a price as well, and is imported by whoever has a use for it.
USEFUL = {
    *("collections", "contextlib", "enum", "functools", "logging", "re", "socket", "string"),
    *("threading", "traceback", "typing", "weakref"),
}

PATIENT = with_constant("watchdog._REPORT", 4.0)

# Answers `TEXT PID`.
MODULE = """
import os

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"{text} %d" % os.getpid()]
"""


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


def test_a_worker_imports_little_of_the_standard_library(run):
    code = "import importlib, runpy, sys; print(*sys.modules)"
    bare = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    granite = run("told")
    assert (set(ask(granite, "/modules")) - set(bare.stdout.split())) & USEFUL == set()
    assert granite.stop() == 0


def test_a_program_that_imports_logging_finds_the_servers_loggers_configured(run):
    granite = run("told")
    assert ask(granite, "/log") is False
    granite.wait_for("warning: a line of logging\n")
    granite.signal(signal.SIGTERM)
    assert granite.wait() == 0
    assert granite.output.count("a line of logging") == 1


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
    arguments = ("--log-level", "debug", "--graceful-timeout", "3600")
    granite = run("upload", *arguments, launcher=with_constant("slots.QUICK", 30.0))
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


def test_a_stream_hears_of_it_at_the_signal(run):
    """The arbiter says so, while the application waits for room."""
    granite = run("ticking", "--drain-delay", "1h")
    with httpx.stream("GET", granite.url()) as response:
        pieces = response.iter_raw()
        assert next(pieces)
        granite.signal(signal.SIGTERM)
        granite.wait_for("stopping in 3600 s")
        assert b"".join(pieces).endswith(b"goodbye\n")
    granite.signal(signal.SIGTERM)
    assert granite.wait() == 0


def test_a_worker_that_waits_for_a_body_beats(measure):
    """What waits inside of the application's call is no blocked event loop."""
    server = measure("wsgi_apps:upload", "--worker-timeout", "4")
    with connect(server.granite) as client:
        client.sendall(HEAD + bytes(HIGH_WATER))
        server.granite.wait_for("request begun")
        before = server.value("loop_lag_seconds_count")
        until(lambda: server.value("loop_lag_seconds_count") > before + 3)
        client.sendall(bytes(HIGH_WATER))
        assert read_response(client)[1] == b"131072 bytes"
    assert "has not answered" not in server.granite.output
    assert server.granite.stop() == 0


@pytest.mark.slow
def test_a_blocked_worker_is_explained_and_replaced(run):
    granite = run("told", "--worker-timeout", "4", "--workers-kill-timeout", "2", launcher=PATIENT)
    old = ask(granite, "/pid")
    with connect(granite) as client:
        client.sendall(b"GET /nap HTTP/1.1\r\nHost: test\r\n\r\n")
        granite.wait_for("asleep")
        assert ask(granite, "/pid") != old
    granite.wait_for(rf"worker 1 \(pid {old}\) has not answered for")
    granite.wait_for(r'wsgi_apps\.py", line \d+ in nap')
    granite.wait_for(r"Requests in flight: 1\n\s+GET /nap, for \d")
    assert granite.stop() == 0


def test_requests_recycle_a_worker(run):
    granite = run("told", "--max-requests", "5")
    seen = {ask(granite, "/pid") for _ in range(5)}
    assert len(seen) == 1
    granite.wait_for(rf"worker 1 \(pid {min(seen)}\) is replaced: it has served max_requests")
    until(lambda: ask(granite, "/pid") not in seen)
    assert granite.stop() == 0


def test_threads(run):
    """Some calls wait for their clients, and others go on beside them."""
    granite = run("upload", "--blocking-threads", "3")
    with connect(granite) as first, connect(granite) as second:
        for client in (first, second):
            client.sendall(HEAD + bytes(HIGH_WATER))
        until(lambda: granite.output.count("request begun") == 2)
        assert httpx.post(granite.url(), content=b"12345").text == "5 bytes"
        granite.signal(signal.SIGTERM)
        for client in (first, second):
            client.sendall(bytes(HIGH_WATER))
            assert read_response(client)[1] == b"131072 bytes"
    assert granite.wait() == 0
    assert "cut short" not in granite.output


def test_threads_are_cut_short_by_the_timeout(run):
    granite = run("upload", "--blocking-threads", "2", "--graceful-timeout", "0.5")
    with connect(granite) as client:
        client.sendall(HEAD + bytes(HIGH_WATER))
        granite.wait_for("request begun")
        granite.signal(signal.SIGTERM)
        assert granite.wait() == 0
    assert "1 request was cut short after " in granite.output
    granite.wait_gone()


@pytest.mark.parametrize("arguments", [(), ("--preload",)])
def test_a_reload_serves_the_new_code(changing, arguments):
    changing.write("one", MODULE)
    granite = changing.start(*arguments)
    text, first = told(granite)
    changing.write("two", MODULE)
    hang_up(granite)
    until(lambda: told(granite)[0] == "two")
    assert (text, told(granite)[1] != first) == ("one", True)
    assert granite.stop() == 0


def test_logs_are_reopened(run_granite, tmp_path):
    log = tmp_path / "log"
    arguments = ("--log-file", str(log), "--port", "0")
    granite = run_granite("wsgi_apps:failing", *arguments, cwd=APPS, ready=False)
    url = f"http://127.0.0.1:{wait_for_port(log)}/"
    log.rename(tmp_path / "log.1")
    granite.signal(signal.SIGUSR1)
    until(log.exists)

    def is_written_to() -> bool:
        return httpx.get(url).status_code == 500 and "wsgi.errors" in log.read_text()

    until(is_written_to)
    assert granite.stop() == 0


def test_hooks(run, tmp_path):
    config = tmp_path / "conf.py"
    config.write_text(
        "def post_worker_init(worker): print('init', worker.wsgi.__name__, flush=True)\n"
        "def pre_request(worker, req): print('before', req.path, flush=True)\n"
        "def post_request(worker, req, environ, resp):\n"
        "    print('after', environ['PATH_INFO'], resp.status, worker.nr, flush=True)\n"
        "def worker_int(worker): print('interrupted', flush=True)\n"
        "def worker_exit(server, worker): print('left', flush=True)\n"
    )
    granite = run("told", "--config", str(config))
    pid = ask(granite, "/pid")
    granite.wait_for("after /pid 200 OK 1\n")
    os.kill(pid, signal.SIGQUIT)  # as Gunicorn would tell it
    granite.wait_for("left\n")
    said = [line for line in granite.output.splitlines() if not line.startswith("20")]
    assert said[:5] == [
        *("init told", "before /pid", "after /pid 200 OK 1", "interrupted", "left"),
    ]
    assert granite.stop() == 0


def test_an_error_page_and_its_end(tmp_path, run_granite):
    pytest.importorskip("watchfiles")
    hot = Hot(tmp_path, run_granite)
    hot.save("one", MODULE)
    granite = hot.start()
    assert hot.told() == "one"
    hot.save("", "def app(")
    assert "SyntaxError" in hot.failed().text
    hot.save("two", MODULE)
    hot.expect("two")
    assert granite.stop() == 0


def test_failures_are_logged(run):
    granite = run("failing")
    assert httpx.get(granite.url()).status_code == 500
    granite.wait_for("error: a line of wsgi.errors\n")
    granite.wait_for("KeyError: 'asked for'")
    assert granite.stop() == 0
