"""Config files that real processes are started with: five of Gunicorn's, unmodified, in the styles
of well-known projects, and granite's own.
"""

from __future__ import annotations

import json
import re
import ssl
import stat
from pathlib import Path

import httpx
import pytest
import trustme

from granite.errors import EXIT_USAGE
from tests.granite_process import GraniteProcess

FILES = Path(__file__).parent / "config_files"
APP = """\
import json, os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    variable = os.environ.get(scope["path"][1:])
    told = {"scheme": scope["scheme"], "variable": variable, "pid": os.getpid()}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def start(directory):
    """Start `granite run ARGUMENTS` in a directory with an application."""
    processes = []

    def run(*arguments: str, **environ: str) -> GraniteProcess:
        process = GraniteProcess("run", *arguments, cwd=directory, env=environ)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.destroy()


def test_hooks(start, directory):
    granite = start("app:app", "-c", str(FILES / "hooks.py"), HOST="127.0.0.1", PORT="0")
    port = granite.port
    for _ in range(2):
        granite.wait_for(r"worker initialized \(pid: \d+\)")
    assert (directory / "app-initialized").exists()
    answer = httpx.get(f"http://127.0.0.1:{port}/PROMETHEUS_MULTIPROC_DIR").json()
    assert answer["variable"] == "metrics"
    pids = re.findall(r"worker spawned \(pid: (\d+)\)", granite.output)
    assert str(answer["pid"]) in pids
    assert {path.name for path in (directory / "metrics").iterdir()} == {
        f"counter_{pid}.db" for pid in pids
    }
    granite.wait_for('"GET /PROMETHEUS_MULTIPROC_DIR HTTP/1.1"')
    assert granite.stop() == 0
    assert len(re.findall(r"worker left \(pid: (\d+)\)", granite.output)) == len(pids) == 2
    assert list((directory / "metrics").iterdir()) == []
    assert not (directory / "app-initialized").exists()
    assert granite.output.count("no counterpart in granite: worker_tmp_dir\n") == 1


def test_computed_workers(start):
    granite = start(
        *("app:app", "-c", str(FILES / "computed.py")), HOST="127.0.0.1", PORT="0", MAX_WORKERS="2"
    )
    assert httpx.get(granite.url("/")).json()["scheme"] == "http"
    data = json.loads(granite.wait_for(r"(?m)^\{.*\}$").group())
    assert data["bind"] == "127.0.0.1:0"
    granite.wait_for("2 workers are ready")
    assert granite.stop() == 0


def test_logging_dictionary(start, directory):
    granite = start("app:app", "-c", str(FILES / "logging_dict.py"), BIND="127.0.0.1:0")
    for path in ("/health", "/shop"):
        assert httpx.get(granite.url(path)).status_code == 200
    assert granite.stop() == 0
    assert re.search(r"(?m)^shop INFO .*\| .*listening on http://127.0.0.1:\d+", granite.output)
    [line] = (directory / "access.log").read_text().splitlines()
    assert line.startswith("shop access | ")
    assert "/shop" in line


def test_tls(start, directory):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    for index, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(str(directory / "server.pem"), append=index > 0)
    certificate.private_key_pem.write_to_path(str(directory / "server.key"))
    context = ssl.create_default_context()
    authority.configure_trust(context)

    granite = start(
        *("app:app", "-c", str(FILES / "tls.py")),
        BIND="127.0.0.1:0",
        CERTIFICATES=str(directory),
    )
    port = granite.wait_for(r"listening on https://127.0.0.1:(\d+)").group(1)
    assert httpx.get(f"https://127.0.0.1:{port}/", verify=context).json()["scheme"] == "https"
    assert granite.stop() == 0
    assert re.search(r"(?m)tls\.py: no counterpart in granite: ciphers$", granite.output)
    assert "tls.py: threads: has no effect with the interface asgi" in granite.output


def test_unix_socket(start, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    app = tmp_path_factory.mktemp("srv")
    (app / "app.py").write_text(APP)
    granite = start(
        *("-c", str(FILES / "unix_socket.py")), RUN_DIRECTORY=str(run), APP_DIRECTORY=str(app)
    )
    path = run / "shop.sock"
    granite.wait_for(f"listening on unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o770
    assert int((run / "shop.pid").read_text()) == granite.process.pid
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        answer = client.get("http://shop/SHOP_HOSTS").json()
    assert answer["variable"] == "shop.example,www.shop.example"
    assert granite.stop() == 0
    assert list(run.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("granite.conf.py", "port = 0\nraw_env = ['FROM=file']\ntarget = 'app:app'"),
        (
            "pyproject.toml",
            "[project]\nname = 'x'\n[tool.granite]\nport = 0\ntarget = 'app'\n"
            "raw-env = ['FROM=file']\n",
        ),
    ],
)
def test_a_file_in_the_working_directory_is_found(name, text, start, directory):
    (directory / name).write_text(text)
    granite = start()
    assert httpx.get(granite.url("/FROM")).json()["variable"] == "file"
    assert granite.stop() == 0


def test_the_environment_names_the_file(start, directory):
    (directory / "deploy.toml").write_text("bind = ['[::1]:0']\nraw_env = 'FROM=file'")
    granite = start(
        "app:app", "--port", "0", GRANITE_CONFIG="deploy.toml", GRANITE_RAW_ENV="FROM=x"
    )
    assert httpx.get(granite.url("/FROM")).json()["variable"] == "x"
    assert "bind (deploy.toml) gives way to port (--port)" in granite.output


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.py", "import os\nos.nothing", "c.py:2: AttributeError: module 'os' has no attribute"),
        ("c.py", "worker = 2", "c.py:1: unknown setting 'worker' (did you mean 'workers'?)"),
        ("c.toml", "workers = 'x'", "c.toml: workers: expected an integer from 0 to 1024, got 'x'"),
        ("no.py", None, "no.py: expected a config file, found none"),
    ],
)
def test_a_mistake_is_one_line(name, text, message, start, directory):
    if text is not None:
        (directory / name).write_text(text)
    granite = start("app:app", "-c", name)
    assert granite.wait() == EXIT_USAGE
    assert granite.output.startswith(f"granite: {message}")
    assert granite.output.count("\n") == 1
