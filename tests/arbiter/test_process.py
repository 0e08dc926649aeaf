"""What the processes are to the system, and what surrounds the application in them."""

from __future__ import annotations

import ast
import os
import pwd
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
import trustme

from tests.arbiter.asking import facts, one_line, title, until, wait_for_port
from tests.arbiter.managing import Manager
from tests.granite_process import ROOT, GraniteProcess
from tests.patience import PATIENCE

APPS = Path(__file__).parent
NOBODY = pwd.getpwnam("nobody")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")


@as_root
@pytest.mark.parametrize(
    ("arguments", "uid", "gid"),
    [
        (("--user", "nobody"), NOBODY.pw_uid, NOBODY.pw_gid),
        (("--user", str(NOBODY.pw_uid), "--group", "12345"), NOBODY.pw_uid, 12345),
        (("--user", "54321", "--group", "12345"), 54321, 12345),
        (("--group", "12345"), 0, 12345),
    ],
)
def test_workers_give_root_up(run_granite, tmp_path, arguments, uid, gid):
    log, secrets = tmp_path / "log", tmp_path / "env"
    secrets.write_text("SECRET=known\n")
    secrets.chmod(0o600)  # read before root is given up
    granite = run_granite(
        *("process_apps:told", *arguments, "--access-log", "--access-log-file", str(log)),
        *("--env-files", str(secrets)),
        cwd=APPS,
    )
    told = ast.literal_eval(httpx.get(granite.url(), timeout=PATIENCE).text)
    for moment in ("import", "now"):
        assert told[moment]["uids"] == [uid, uid]
        assert told[moment]["gids"] == [gid, gid]
        assert 0 not in told[moment]["groups"]
        assert gid in told[moment]["groups"]
    assert told["import"]["env"]["SECRET"] == "known"
    assert told["now"]["env"].get("HOME") == os.environ.get("HOME")
    arbiter = Path(f"/proc/{granite.process.pid}/status").read_text()
    assert "Uid:\t0\t0\t0\t0" in arbiter
    assert (log.stat().st_uid, log.stat().st_gid) == (uid, gid)
    assert granite.stop() == 0


@as_root
def test_the_key_is_read_before_root_is_given_up(run_granite, tmp_path):
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    server.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)
    arguments = ("--user", "nobody", "--ssl-certificate", str(chain), "--ssl-keyfile", str(key))
    granite = run_granite("process_apps:told", *arguments, cwd=APPS)
    url = granite.wait_for(r"listening on (https://\S+)").group(1)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    told = ast.literal_eval(httpx.get(url, verify=context).text)["now"]
    assert told["uids"] == [NOBODY.pw_uid] * 2


@as_root
def test_logs_are_reopened_by_workers_that_gave_root_up(run_granite):
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)  # others may look, and not write
        log = place / "access"
        arguments = (
            "--user",
            "nobody",
            "--access-log",
            "--access-log-file",
            str(log),
            "--loop",
            "asyncio",
        )
        granite = run_granite("process_apps:told", *arguments, cwd=APPS)
        httpx.get(granite.url())
        log.rename(place / "access.1")
        granite.signal(signal.SIGUSR1)
        until(
            lambda: httpx.get(granite.url()).status_code == 200 and log.exists() and log.read_text()
        )
        assert log.stat().st_uid == NOBODY.pw_uid
        assert granite.stop() == 0
        assert "error" not in granite.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--user", "no-such-user"), "user: there is no user 'no-such-user'"),
        (("--group", "no-such-group"), "group: there is no group 'no-such-group'"),
        (("--user", "54321"), "user: there is no user with the number 54321, and so no group"),
        pytest.param(("--user", "root"), "user: only root can run workers as", marks=as_user),
    ],
)
def test_users_that_cannot_be(run_granite, arguments, message):
    granite = run_granite("process_apps:told", *arguments, cwd=APPS, ready=False)
    assert granite.wait() == 1
    assert one_line(granite).startswith(f"granite: {message}")


@as_root
def test_another_user_without_being_root():
    # The interpreter's library may be out of another user's reach: what is needed is loaded before.
    code = (
        "import os, sys, granite.cli, granite.launch, granite.arbiter.arbiter, granite.log.writer\n"
        "import granite.settings.load, importlib.machinery\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(granite.cli.main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "run", "apps:plain", "--user", "root"],
        env={"PYTHONPATH": str(ROOT)},
        cwd=APPS,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert result.returncode == 1
    assert result.stderr == "granite: user: only root can run workers as 'root'\n"


@pytest.fixture
def low_limit():
    """The soft limit of open files is low, for this process and what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 500), hard))
    yield 500, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("wanted", [None, 400, 600])
def test_umask_and_limit(run_granite, low_limit, wanted):
    _, hard = low_limit
    arguments = () if wanted is None else ("--rlimit-nofile", str(wanted))
    granite = run_granite("process_apps:told", "--umask", "027", *arguments, cwd=APPS)
    assert facts(granite)["umask"] == 0o027
    assert facts(granite)["nofile"] == (wanted or hard, hard)


def test_a_limit_that_the_system_refuses(run_granite):
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    granite = run_granite(
        "process_apps:told", "--rlimit-nofile", str(most + 1), cwd=APPS, ready=False
    )
    assert granite.wait() == 1
    assert one_line(granite).startswith("granite: rlimit_nofile: the system allows at most ")


@pytest.fixture
def notifications(tmp_path, monkeypatch):
    """Receive what a service manager is told, one message at a time."""
    manager = Manager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    yield lambda: [f"{name}={value}" for name, value in manager.receive().items()]
    manager.close()


def test_the_service_manager_hears_of_each_change(run_granite, notifications):
    granite = run_granite("process_apps:told", "--workers", "2", cwd=APPS)
    pid = granite.process.pid
    assert notifications() == ["READY=1", f"MAINPID={pid}", "STATUS=2 of 2 workers ready"]
    assert "NOTIFY_SOCKET" not in facts(granite)["env"]
    os.kill(facts(granite)["pid"], signal.SIGKILL)
    assert notifications() == ["STATUS=1 of 2 workers ready"]
    assert notifications() == ["STATUS=2 of 2 workers ready"]
    assert granite.stop() == 0
    assert notifications() == ["STOPPING=1", "STATUS=stopping"]


def test_the_watchdog_hears_of_a_loop_that_turns(run_granite, notifications, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    granite = run_granite("process_apps:told", cwd=APPS)
    beats = 0
    others: list[str] = []
    while beats < 8 or not others:  # it turns while the worker starts, too
        message = notifications()
        if message == ["WATCHDOG=1"]:
            beats += 1
        else:
            others.append(message[0])
    assert others == ["READY=1"]
    assert granite.stop() == 0


def test_streams_that_are_closed_do_not_become_sockets(tmp_path):
    log = tmp_path / "log"
    arguments = ["-m", "granite", "run", "process_apps:told", "--port=0", f"--log-file={log}"]
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, *arguments],
        cwd=ROOT / "tests" / "arbiter",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        url = f"http://127.0.0.1:{wait_for_port(log)}/"
        pid = ast.literal_eval(httpx.get(url, timeout=PATIENCE).text)["now"]["pid"]
        for member in (process.pid, pid):
            for fd in (0, 1, 2):
                assert os.readlink(f"/proc/{member}/fd/{fd}") == "/dev/null"  # noqa: PTH115
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert "killed" not in log.read_text()
    finally:
        process.kill()
        process.wait(PATIENCE)


def test_titles(run_granite):
    granite = run_granite("process_apps:told", cwd=APPS)
    assert facts(granite)["title"] == "granite: worker 1 [process_apps:told]"
    assert title(granite.process.pid) == "granite: arbiter"
    granite = run_granite("process_apps:told", "--process-name", "shop", cwd=APPS)
    assert facts(granite)["title"] == "shop: worker 1 [process_apps:told]"
    assert title(granite.process.pid) == "shop: arbiter"


def test_what_surrounds_the_application(run_granite, tmp_path):
    (tmp_path / "one.env").write_text(
        "# a comment\nexport FROM_FILE='one value'\nOVER=one\nINHERITED=lost\nRAW=lost\n"
        "GRANITE_SERVER_HEADER=lost\nEMPTY\n"
    )
    (tmp_path / "two.env").write_text('OVER="two"\n')
    (tmp_path / "library").mkdir()
    granite = run_granite(
        *("process_apps:told", "--working-dir", str(APPS)),
        *("--env-files", str(tmp_path / "one.env"), "--env-files", str(tmp_path / "two.env")),
        *(
            "--raw-env",
            "RAW=a=b",
            "--raw-env",
            "INHERITED2=raw",
            "--pythonpath",
            f"{tmp_path}/library,..",
        ),
        cwd=tmp_path,
        env={"INHERITED": "kept", "INHERITED2": "lost", "NOTIFY_SOCKET": "", "LISTEN_FDS": "0"},
    )
    response = httpx.get(granite.url(), timeout=PATIENCE)
    told = ast.literal_eval(response.text)["import"]
    found = {name: told["env"].get(name) for name in ("FROM_FILE", "OVER", "RAW", "EMPTY")}
    assert found == {"FROM_FILE": "one value", "OVER": "two", "RAW": "a=b", "EMPTY": None}
    assert (told["env"]["INHERITED"], told["env"]["INHERITED2"]) == ("kept", "raw")
    assert response.headers["server"] == "granite"
    assert told["cwd"] == str(APPS)
    assert told["path"][:3] == [f"{tmp_path}/library", str(APPS.parent), str(APPS)]


@pytest.mark.parametrize("command", [("run", "apps:plain", "--port", "0"), ("check", "apps:plain")])
def test_a_working_directory_that_is_gone(tmp_path, command):
    code = (
        "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "from granite.cli import main; sys.exit(main())"
    )
    granite = GraniteProcess(*command, cwd=tmp_path, launcher=("-c", code))
    try:
        assert granite.wait() == 1
        assert granite.output.splitlines()[-1] == (
            "granite: cannot find the working directory: no such file or directory"
        )
        assert "Traceback" not in granite.output
    finally:
        granite.destroy()


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "no such file or directory"), (b"\xff=1", "it is not UTF-8")]
)
def test_an_env_file_that_cannot_be_read(run_granite, tmp_path, content, reason):
    file = tmp_path / "env"
    if content is not None:
        file.write_bytes(content)
    granite = run_granite("apps:plain", "--env-files", str(file), cwd=APPS, ready=False)
    assert granite.wait() == 1
    assert one_line(granite) == f"granite: env_files: cannot read {str(file)!r}: {reason}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--env-files", "x"),
            "env_files: python-dotenv is not installed; install granite[dotenv]",
        ),
        (
            ("--process-name", "x"),
            "process_name: setproctitle is not installed; install granite[pname]",
        ),
    ],
)
def test_an_extra_that_is_missing(run_granite, tmp_path, arguments, message):
    # Found before the installed ones, and of no use.
    (tmp_path / "dotenv.py").write_text("raise ImportError\n")
    (tmp_path / "setproctitle.py").write_text("raise ImportError\n")
    granite = run_granite(
        "apps:plain", *arguments, cwd=APPS, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, ready=False
    )
    assert granite.wait() == 1
    assert one_line(granite) == f"granite: {message}"
