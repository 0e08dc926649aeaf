"""Programs that call `Granite(...).serve()`, run as such."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from tests.granite_process import GraniteProcess

# An application that tells who answers, and a program around `serve()`: what it prints tells where
# each part ran.
PROGRAM = """
import atexit
import os
import signal
import sys
from contextlib import contextmanager

from granite import Granite

ARBITER = os.getpid()


def say(what):
    who = "arbiter" if os.getpid() == ARBITER else "worker"
    sys.stdout.write(f"[{who} {what}]\\n")
    sys.stdout.flush()


async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def around(what):
    try:
        yield
    finally:
        say(f"left {what}")


def load(*arguments):
    say(f"loads {arguments}")
    return app

"""
USUAL = {"port": 0, "lifespan": "off"}


class RunProgram(Protocol):
    def __call__(self, code: str, *, ready: bool = True) -> GraniteProcess: ...


@pytest.fixture
def run_program(tmp_path: Path) -> Iterator[RunProgram]:
    """Run PROGRAM with `code` behind it; with `ready`, return when the server listens."""
    with ExitStack() as stack:

        def run(code: str, *, ready: bool = True) -> GraniteProcess:
            path = tmp_path / "program.py"
            path.write_text(PROGRAM + code)
            process = GraniteProcess(launcher=(str(path),), cwd=tmp_path)
            stack.callback(process.destroy)
            if ready:
                process.wait_for("listening on ")
            return process

        yield run


def said(process: GraniteProcess) -> list[str]:
    return re.findall(r"^\[(.*)\]$", process.output, re.MULTILINE)


SERVE = f"""
if __name__ == "__main__":
    server = Granite("program:app", workers=2, **{USUAL})
    server.serve()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal(run_program, number):
    process = run_program(SERVE)
    assert httpx.get(process.url("/x")).text == "/x"
    process.signal(number)
    assert process.wait() == 0
    process.wait_gone()
    assert "Traceback" not in process.output


def test_what_surrounds_serve_runs_once(run_program):
    process = run_program(
        f"""
atexit.register(say, "exits")  # in each process that executes the module
if __name__ == "__main__":
    atexit.register(say, "exits as main")
    server = Granite("program:app", workers=2, **{USUAL})

    @server.on_startup
    def first():
        say("first")

    @server.on_startup
    def second():
        say("second")

    @server.on_reload
    def reload():
        say("reload")

    @server.on_shutdown
    def shut_down():
        say("shutdown")

    say("before")
    with around("with"):
        server.serve()
        say("behind")
"""
    )
    assert process.stop() == 0
    lines = said(process)
    # program.py is executed once more in each worker, as the module `program`, where ARBITER is
    # the worker's own process id.
    assert sorted(lines[3:5]) == ["arbiter exits", "arbiter exits"]
    assert lines[:3] + lines[5:] == [
        "arbiter before",
        "arbiter first",
        "arbiter second",
        "arbiter shutdown",
        "arbiter behind",
        "arbiter left with",
        "arbiter exits as main",
        "arbiter exits",
    ]


def test_a_worker_ends_like_a_program(run_program):
    """Exit functions of the application run, threads are waited for, output is flushed."""
    process = run_program(
        """
if __name__ == "__main__":
    atexit.register(say, "exits")
    import logging, multiprocessing.util, threading  # which have exit functions

    def load():
        def linger():
            stop.wait(10)
            say("thread ended")

        stop = threading.Event()
        threading.Thread(target=linger).start()
        atexit.register(say, "application exits")

        async def lifespan(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                stop.set()
                sys.stdout.write("[worker unflushed]\\n")
                await send({"type": "lifespan.shutdown.complete"})

        return lifespan

    Granite("program:app", port=0).serve(target_loader=load, wrap_loader=False)
"""
    )
    assert process.stop() == 0
    assert sorted(said(process)[:-1]) == [
        "worker application exits",
        "worker thread ended",
        "worker unflushed",
    ]
    assert said(process)[-1] == "arbiter exits"


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        ("target_loader=load", "('the target',)"),
        ("target_loader=load, wrap_loader=False", "()"),
    ],
)
def test_target_loader(run_program, arguments, called):
    process = run_program(
        f"""
Granite("the target", **{USUAL}).serve({arguments})
"""
    )
    assert httpx.get(process.url("/x")).text == "/x"
    assert process.stop() == 0
    assert said(process) == [f"worker loads {called}"]


def test_signals_and_the_wakeup_descriptor_are_given_back(run_program):
    process = run_program(
        f"""
def handler(number, frame):
    say(f"got {{signal.Signals(number).name}}")

if __name__ == "__main__":
    import gc
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGINT)
    for number in numbers:
        signal.signal(number, handler)
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    descriptors = os.listdir("/proc/self/fd")
    for _ in range(2):  # a program may serve again
        Granite("program:app", **{USUAL}).serve()
        assert all(signal.getsignal(number) is handler for number in numbers)
        assert os.listdir("/proc/self/fd") == descriptors
        assert gc.get_freeze_count() == 0
        say("served")
    assert signal.set_wakeup_fd(-1) == write
    os.kill(os.getpid(), signal.SIGTERM)
"""
    )
    process.signal(signal.SIGTERM)
    process.wait_for(r"served\][^$]*listening on ")
    assert process.stop() == 0
    assert said(process) == ["arbiter served", "arbiter served", "arbiter got SIGTERM"]


def test_a_program_with_an_event_loop_and_threads(run_program):
    process = run_program(
        f"""
if __name__ == "__main__":
    import asyncio, threading
    asyncio.run(asyncio.sleep(0))
    done = threading.Event()
    threading.Thread(target=done.wait, name="of the program").start()
    Granite("program:app", **{USUAL}).serve()
    done.set()
    asyncio.run(asyncio.sleep(0))
    say("behind")
"""
    )
    assert httpx.get(process.url("/x")).text == "/x"
    assert process.stop() == 0
    assert said(process) == ["arbiter behind"]
    assert "warning: threads run in this program (of the program)" in process.output
    assert "DeprecationWarning" not in process.output


def test_gunicorns_hooks(run_program):
    process = run_program(
        f"""
if __name__ == "__main__":
    hooks = {{
        "on_starting": lambda server: say("on_starting"),
        "post_fork": lambda server, worker: say(f"post_fork {{worker.age}}"),
        "post_request": lambda worker, req, environ, resp: say(f"{{req.uri}} {{resp.status}}"),
        "on_exit": lambda server: say("on_exit"),
    }}
    server = Granite("program:app", hooks=hooks, **{USUAL})
    server.on_startup(lambda: say("on_startup"))
    server.on_shutdown(lambda: say("on_shutdown"))
    server.serve()
"""
    )
    assert httpx.get(process.url("/x?y")).text == "/x"
    assert process.stop() == 0
    assert said(process) == [
        "arbiter on_starting",
        "arbiter on_startup",
        "worker post_fork 1",
        "worker /x?y 200 OK",
        "arbiter on_exit",
        "arbiter on_shutdown",
    ]


# Names and values as a program has them that was written for Granian 2.8; its classes are here
# what they are there.
GRANIANS = """
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Interfaces(str, Enum):
    ASGI = "asgi"


class RuntimeModes(str, Enum):
    mt = "mt"


@dataclass
class HTTP1Settings:
    header_read_timeout: int = 30_000
    keep_alive: bool = True
    max_buffer_size: int = 417792
    pipeline_flush: bool = False


if __name__ == "__main__":
    server = Granite(
        "program:app",
        "127.0.0.1",
        0,
        interface=Interfaces.ASGI,
        workers=1,
        blocking_threads=1,
        runtime_threads=1,
        runtime_mode=RuntimeModes.mt,
        websockets=True,
        backlog=2048,
        backpressure=None,
        http1_settings=HTTP1Settings(keep_alive=False),
        log_enabled=True,
        log_access=True,
        log_dictconfig=None,
        respawn_failed_workers=True,
        workers_kill_timeout=None,
        working_dir=Path.cwd(),
        env_files=None,
        url_path_prefix=None,
        pid_file=Path("server.pid"),
    )
    server.serve()
"""


def test_a_program_for_granian(run_program, tmp_path):
    process = run_program(GRANIANS)
    assert httpx.get(process.url("/x")).headers["connection"] == "close"
    assert (tmp_path / "server.pid").exists()
    assert process.stop() == 0
    assert not (tmp_path / "server.pid").exists()
    assert "of no meaning here: runtime_threads, runtime_mode\n" in process.output
    assert "GET /x" in process.output


class TestFailures:
    """One line, the status of `granite run`, and nothing left."""

    @pytest.mark.parametrize(
        ("code", "status", "line"),
        [
            ('Granite("a:b", wokers=2)', 2, "unknown setting 'wokers' (did you mean 'workers'?)"),
            ('Granite("a:b", port="x").serve()', 2, "port: expected an integer from 0 to 65535"),
            ('Granite("a:b", uds="/no/such/s").serve()', 1, "cannot listen on unix:/no/such/s: "),
            ('Granite("a:b", interface="rsgi").serve()', 1, "interface: RSGI is not served"),
            ('Granite("no_such:b", port=0).serve()', 3, "cannot load 'no_such:b': there is no mo"),
            (
                "import asyncio\nasync def main(): Granite('a:b').serve()\nasyncio.run(main())",
                2,
                "serve() was called inside of a running event loop",
            ),
        ],
        ids=["name", "value", "boot", "unserved", "load", "loop"],
    )
    def test_one_line(self, run_program, code, status, line):
        process = run_program(code, ready=False)
        assert process.wait() == status
        assert process.output.startswith(f"granite: {line}")
        assert process.output.count("\n") == 1
        process.wait_gone()

    def test_other_exceptions_are_shown_as_usual(self, run_program):
        process = run_program(
            """
try:
    Granite("a:b", port="x")
except Exception as exc:
    say(type(exc).__name__)
1 / 0
""",
            ready=False,
        )
        assert process.wait() == 1
        assert said(process) == ["arbiter UsageError"]
        assert "Traceback" in process.output
        assert process.output.endswith("ZeroDivisionError: division by zero\n")

    def test_the_status_can_be_caught(self, run_program):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            process = run_program(
                f"""
try:
    Granite("a:b", port={taken.getsockname()[1]}).serve()
except SystemExit as exc:
    say(f"status {{exc.code}}")
""",
                ready=False,
            )
            assert process.wait() == 0
        assert said(process) == ["arbiter status 1"]
        assert "address already in use" in process.output

    @pytest.mark.parametrize(
        ("loader", "text"),
        [
            ("lambda target: 1 / 0", "ZeroDivisionError: division by zero"),
            ("lambda target: None", "expected"),
        ],
    )
    def test_target_loader(self, run_program, loader, text):
        process = run_program(
            f'with around("with"): Granite("t", port=0).serve(target_loader={loader})', ready=False
        )
        assert process.wait() == 3
        assert process.output.startswith("granite: ")
        assert text in process.output
        assert said(process) == ["arbiter left with"]

    def test_serve_without_the_guard(self, run_program):
        process = run_program(f'Granite("program:app", **{USUAL}).serve()', ready=False)
        assert process.wait() == 3
        assert "granite: cannot load 'program:app'" in process.output
        assert 'put the call under if __name__ == "__main__"' in process.output

    def test_a_failing_startup_function(self, run_program):
        process = run_program(
            """
server = Granite("program:app", port=0)

@server.on_startup
def fail():
    raise KeyError("no key")

server.serve()
""",
            ready=False,
        )
        assert process.wait() == 1
        assert "KeyError: 'no key'" in process.output
        process.wait_gone()
