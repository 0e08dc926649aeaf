"""The commands beside `run`, as processes: what they print, and the exit status for scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]

APPLICATION = """\
import os, sys
print("printed by the application")

async def app(scope, receive, send): ...

def wsgi(environ, start_response): ...

def make():
    assert os.environ["FLAVOUR"] == "sweet"
    return app

def broken():
    raise RuntimeError("no database")

def interrupted():
    raise KeyboardInterrupt
"""


@pytest.fixture
def granite(tmp_path):
    """Run `granite ARGUMENTS` to its end in a directory with an application."""
    (tmp_path / "app.py").write_text(APPLICATION)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GRANITE_")}
        return subprocess.run(
            [sys.executable, "-m", "granite", *arguments],
            cwd=tmp_path,
            env={**environ, "PYTHONPATH": str(ROOT), **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    return run


def test_check_shows_values_and_where_they_come_from(granite, tmp_path):
    (tmp_path / "granite.conf.py").write_text(
        "backlog = 7\nworkers = 3\nbind = 'unix:x.sock'\ndef on_starting(server): ...\n"
    )
    done = granite(
        *("check", "app", "-w", "1", "--ssl-keyfile-password", "hunter2", "-e", "TOKEN=hunter2"),
        GRANITE_LOG_LEVEL="debug",
        GRANITE_WORKES="1",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "printed by the application\n"
    *lines, last = done.stdout.splitlines()
    assert last == "ok: app loads (ASGI)"
    shown = {line.split()[0]: line.split(None, 1)[1] for line in lines}
    assert shown["backlog"].split() == ["7", "(granite.conf.py)"]
    assert shown["workers"].split() == ["1", "(--workers)"]
    assert shown["log_level"].split() == ["debug", "(GRANITE_LOG_LEVEL)"]
    assert shown["target"].split(None, 1) == ["app", "(argument TARGET)"]
    assert shown["ssl_keyfile_password"].startswith("*** ")
    assert shown["raw_env"].startswith("TOKEN=*** ")
    assert shown["hooks"].startswith("on_starting ")
    assert "GRANITE_WORKES" in "".join(line for line in lines if line.startswith("warning: "))
    assert "hunter2" not in done.stdout
    assert "port" not in shown


def test_check_as_json(granite, tmp_path):
    (tmp_path / "env").write_text("FLAVOUR=sweet\n")
    done = granite("check", "app:make", "--factory", "--env-files=env", "--json", "--all")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["ok"], found["exit_code"], found["interface"]) == (True, 0, "ASGI")
    assert found["settings"]["factory"] == {"value": True, "origin": "--factory"}
    assert found["settings"]["port"] == {"value": 8000, "origin": "default"}
    assert found["errors"] == []


def test_check_knows_the_interface(granite):
    done = granite("check", "app:wsgi")
    assert done.stdout.splitlines()[-1] == "ok: app:wsgi loads (WSGI)"
    done = granite("check", "app:wsgi", "--interface", "wsgi", "--preload", "--json")
    assert json.loads(done.stdout)["interface"] == "WSGI"


def test_check_of_what_is_not_there(granite):
    done = granite("check", "app:app", "--pid-file", "no/such/pid", "--log-config", "none.json")
    assert done.returncode == 2
    (
        first,
        *_,
    ) = done.stderr.splitlines()[1:]
    assert first == "granite: pid_file: there is no directory 'no/such' for 'no/such/pid'"
    assert "none.json" in done.stderr
    assert "ok:" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["app:app", "--prot", "1"], 2, "unknown option '--prot' (did you mean '--port'?)"),
        (["app:app", "--port", "x"], 2, "--port: expected an integer from 0 to 65535, got 'x'"),
        ([], 2, "expected a target"),
        (["app:app", "-c", "none.py"], 2, "none.py"),
        (["app:app", "--user", "nobody-has-this-name"], 1, "there is no user"),
        (["app:app", "--working-dir", "none"], 1, "working directory 'none'"),
        (["app:app", "--ssl-certificate", "none.pem"], 1, "ssl_certificate: cannot read"),
        (["app:app", "--ssl-certificate", "app.py"], 1, "TLS: app.py"),
        (["app:app", "--interface", "wsgi"], 3, "expected a WSGI application"),
        (["app:nothing"], 3, "module 'app' has no attribute 'nothing'"),
        (["none:app"], 3, "there is no module 'none'"),
        (["app:wsgi", "--interface", "asgi"], 3, "expected an ASGI application"),
        (["app:broken", "--factory"], 3, "RuntimeError: no database"),
        (["app:interrupted", "--factory"], 3, "cannot load 'app:interrupted': it was interrupted"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_check_of_what_is_wrong(granite, arguments, status, message):
    done = granite("check", *arguments, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_code"], found["ok"]) == (status, status, False)
    (error,) = found["errors"]
    assert message in error["text"] + (error["details"] or "")
    assert "Traceback" not in done.stderr


def test_check_of_an_encrypted_key_without_its_password(granite, tmp_path):
    certificate = trustme.CA().issue_cert("localhost")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "chain.pem"))
    files = ("--ssl-certificate", "chain.pem", "--ssl-keyfile", "key.pem")
    done = granite("check", "app:app", *files)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "granite: TLS: key.pem: the key is encrypted; expected an ssl_keyfile_password, got none"
    )
    assert (
        granite("check", "app:app", *files, GRANITE_SSL_KEYFILE_PASSWORD="hunter2").returncode == 0
    )


def test_check_names_the_interface(granite, tmp_path):
    (tmp_path / "speaks_rsgi.py").write_text(
        "class App:\n    async def __rsgi__(self, scope, protocol): ...\napp = App()\n"
    )
    done = granite("check", "speaks_rsgi:app")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "ok: speaks_rsgi:app loads (RSGI)",
    )


def test_check_ends_although_the_application_has_a_thread(granite, tmp_path):
    (tmp_path / "threads.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
        "async def app(scope, receive, send): ...\n"
    )
    done = granite("check", "threads:app")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ok: threads:app loads (ASGI)")


def test_a_target_may_come_from_the_environment(granite):
    assert granite("check", GRANITE_TARGET="app:app").returncode == 0
    done = granite("run", GRANITE_TARGET="app:nothing", GRANITE_PORT="0")
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["version", "--json"], 0),
        (["settings", "bind"], 0),
        (["settings", "bnid"], 2),
        (["completion", "fish"], 0),
        (["run"], 2),
        (["run", "app:app", "-k", "gevent"], 2),
        (["app:app"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_status(granite, arguments, status):
    done = granite(*arguments)
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == (1 if status else 0)
    assert bool(done.stdout) is (status == 0)
