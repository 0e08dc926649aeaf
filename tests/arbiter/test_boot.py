"""From the command to the first answer, and the ways in which that fails."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import httpx
import pytest

from tests.granite_process import GraniteProcess
from tests.ports import unused_port

APPS = Path(__file__).parent


def test_serves_and_says_where(run_granite):
    granite = run_granite("apps:plain", cwd=APPS)
    assert httpx.get(granite.url()).text == "plain"
    assert granite.output.count("listening on http://127.0.0.1:") == 1
    assert granite.stop() == 0


def test_serves_on_ipv6(run_granite):
    granite = run_granite("apps:plain", "--host", "::1", cwd=APPS)
    assert httpx.get(f"http://[::1]:{granite.port}/").text == "plain"


def test_serves_on_a_host_name(run_granite):
    granite = run_granite("apps:plain", "--host", "localhost", cwd=APPS)
    assert httpx.get(f"http://localhost:{granite.port}/").text == "plain"


def test_serves_on_a_given_port(run_granite):
    port = unused_port()
    granite = run_granite("apps:plain", "--port", str(port), cwd=APPS)
    assert granite.port == port


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_serves_on_either_loop(run_granite, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    granite = run_granite("apps:lifespan", "--loop", loop, cwd=APPS)
    assert httpx.get(granite.url()).text == "value set"
    assert granite.stop() == 0
    assert "shutdown ran" in granite.output


def test_factory(run_granite):
    granite = run_granite("apps:factory", "--factory", cwd=APPS)
    assert httpx.get(granite.url()).text == "plain"


def test_working_dir(run_granite, tmp_path):
    granite = run_granite("apps:plain", "--working-dir", str(APPS), cwd=tmp_path)
    assert httpx.get(granite.url("/cwd")).text == str(APPS)


def test_a_missing_working_dir(run_granite):
    granite = run_granite("apps:plain", "--working-dir", "/no/such", cwd=APPS, ready=False)
    assert granite.wait() == 1
    assert one_line(granite) == (
        "granite: cannot change to the working directory '/no/such': no such file or directory"
    )


def test_the_command_line_wins_over_the_environment(run_granite):
    env = {"GRANITE_URL_PATH_PREFIX": "/environment", "GRANITE_SERVER_HEADER": "from-env"}
    granite = run_granite("apps:plain", "--url-path-prefix", "/line", cwd=APPS, env=env)
    response = httpx.get(granite.url("/root"))
    assert response.headers["server"] == "from-env"
    assert httpx.get(granite.url("/line/root")).status_code == 200
    assert granite.stop() == 0


def test_the_access_log_is_off_unless_asked_for(run_granite):
    granite = run_granite("apps:plain", cwd=APPS)
    httpx.get(granite.url("/some/path"))
    granite.stop()
    assert "/some/path" not in granite.output


def test_the_access_log(run_granite):
    granite = run_granite("apps:plain", "--access-log", cwd=APPS)
    httpx.get(granite.url("/some/path"))
    granite.wait_for("/some/path")


def test_an_unknown_variable_is_named_and_ignored(run_granite):
    granite = run_granite("apps:plain", cwd=APPS, env={"GRANITE_BACKLOGS": "7"})
    assert "GRANITE_BACKLOGS names no setting (did you mean 'backlog'?)" in granite.output
    assert granite.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "x"], "--port: expected an integer from 0 to 65535, got 'x'"),
        (["--port=65536"], "--port: expected an integer from 0 to 65535, got '65536'"),
        (["--loop", "trio"], "--loop: expected one of auto, asyncio, uvloop, got 'trio'"),
        (["--prot", "80"], "unknown option '--prot' (did you mean '--port'?)"),
        (["--factory=yes"], "--factory: expected no value, got 'yes'"),
    ],
)
def test_a_wrong_option(run_granite, arguments, message):
    granite = run_granite("apps:plain", *arguments, cwd=APPS, ready=False)
    assert granite.wait() == 2
    assert one_line(granite) == f"granite: {message}"


def test_a_wrong_variable(run_granite):
    granite = run_granite("apps:plain", cwd=APPS, env={"GRANITE_BACKLOG": "no"}, ready=False)
    assert granite.wait() == 2
    assert one_line(granite) == (
        "granite: GRANITE_BACKLOG: expected an integer from 1 to 1000000, got 'no'"
    )


def test_a_port_in_use(run_granite):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        granite = run_granite("apps:plain", "--port", str(port), cwd=APPS, ready=False)
        assert granite.wait() == 1
    assert one_line(granite) == (
        f"granite: cannot listen on 127.0.0.1:{port}: address already in use"
    )


def test_an_address_of_nobody(run_granite):
    granite = run_granite("apps:plain", "--host", "192.0.2.1", cwd=APPS, ready=False)
    assert granite.wait() == 1
    assert one_line(granite).startswith("granite: cannot listen on 192.0.2.1:0: ")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nosuch:app", "cannot load 'nosuch:app': there is no module 'nosuch'"),
        ("apps:nosuch", "cannot load 'apps:nosuch': module 'apps' has no attribute 'nosuch'"),
        (
            "apps:factory",
            "cannot serve the application: expected a WSGI application, which takes environ and "
            "start_response, got one of no arguments; where it makes the application, set factory",
        ),
        (
            "apps:not_callable",
            "cannot load 'apps:not_callable': expected a callable, got an object of type int",
        ),
    ],
)
def test_a_target_that_does_not_exist(run_granite, target, message):
    granite = run_granite(target, cwd=APPS, ready=False)
    assert granite.wait() == 3
    assert one_line(granite) == f"granite: {message}"


def test_rsgi(run_granite):
    granite = run_granite("apps:rsgi", cwd=APPS)
    assert httpx.get(granite.url("/path")).text == "/path value"
    assert "the application is served by RSGI" in granite.output
    assert granite.stop() == 0
    assert [line for line in granite.output.splitlines() if "ran" in line.split()] == [
        "init ran",
        "del ran",
    ]


def test_rsgi_of_a_template(run_granite):
    granite = run_granite("apps:rsgi", "--preload", "--workers", "2", cwd=APPS)
    assert httpx.get(granite.url("/path")).text == "/path value"
    assert granite.stop() == 0
    lines = granite.output.splitlines()
    assert (lines.count("init ran"), lines.count("del ran")) == (2, 2)


def test_an_rsgi_application_whose_init_raises(run_granite):
    granite = run_granite("apps:rsgi_failing", cwd=APPS, ready=False)
    assert granite.wait() == 3
    assert (
        "the application's startup failed: __rsgi_init__ raised OSError: no database\n"
        in granite.output
    )
    assert granite.output.count("Traceback") == 1


def test_an_application_that_raises_keeps_its_traceback(run_granite, tmp_path):
    (tmp_path / "broken.py").write_text("def f():\n    import nosuch\n\nf()\n")
    granite = run_granite("broken:app", cwd=tmp_path, ready=False)
    assert granite.wait() == 3
    lines = granite.output.splitlines()
    assert lines[0] == (
        "granite: cannot load 'broken:app': the application raised ModuleNotFoundError"
    )
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "ModuleNotFoundError: No module named 'nosuch'"
    assert granite.output.count("Traceback") == 1
    assert "importlib" not in granite.output


def test_a_worker_that_dies_before_it_is_ready(run_granite, tmp_path):
    (tmp_path / "dying.py").write_text("import os\nos._exit(77)\n")
    granite = run_granite("dying:app", cwd=tmp_path, ready=False)
    assert granite.wait() == 1
    assert one_line(granite) == "granite: worker 1 exited with status 77 before it was ready"


def test_nothing_is_left_behind(run_granite):
    granite = run_granite("apps:plain", cwd=APPS)
    assert len(granite.members()) == 2
    granite.stop()
    assert granite.members() == []


def test_the_arbiter_imports_little(tmp_path):
    # What it holds is paid for in every process of the tree.
    unwanted = {"asyncio", "logging", "socket", "signal", "typing", "re", "argparse", "dataclasses"}
    unwanted |= {
        "inspect",
        "pathlib",
        "enum",
        "granite.worker",
        "granite.serving",
        "granite.testing",
    }
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]);"
        "import granite.cli, granite.settings.load, granite.arbiter.arbiter;"
        "print(*sorted(set(sys.modules) - before))"
    )
    root = str(APPS.parent.parent)
    loaded = run_python("-S", "-c", code, root).split()
    assert "granite.arbiter.fleet" in loaded
    assert not unwanted & set(loaded)
    assert not [name for name in loaded if name.startswith("granite._core")]


def test_help_and_version():
    version = GraniteProcess("version")
    try:
        assert version.wait() == 0
        names = [line.split()[0] for line in version.output.splitlines()]
        assert {"granite", "Python", "libuv", "llhttp", "nghttp2", "OpenSSL"} <= set(names)
    finally:
        version.destroy()


def one_line(granite: GraniteProcess) -> str:
    assert granite.output.count("\n") == 1, granite.output
    return granite.output.rstrip("\n")


def run_python(*arguments: str) -> str:
    import subprocess

    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, *arguments], env=environ, capture_output=True, text=True, check=True
    )
    return result.stdout
