"""Programs with Gunicorn's hooks and with Granian's arguments."""

from __future__ import annotations

import httpx

from tests.arbiter.granite_class.programs import USUAL, said


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
