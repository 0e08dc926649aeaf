"""The pid file: when another server's is respected, and that ours comes and goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from granite.arbiter.pidfile import PidFile
from granite.errors import BootError

APPS = Path(__file__).parent


@pytest.fixture
def ended() -> int:
    """The id of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_it_names_the_arbiter_and_goes_at_the_end(run_granite, tmp_path):
    path = tmp_path / "granite.pid"
    granite = run_granite(
        *("apps:plain", "--pid-file", "granite.pid", "--umask", "077"),
        *("--working-dir", str(tmp_path), "--pythonpath", str(APPS)),
        cwd=APPS,
    )
    assert path.read_text() == f"{granite.process.pid}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    worker = next(pid for pid in granite.members() if pid != granite.process.pid)
    os.kill(worker, signal.SIGKILL)
    granite.wait_for("a new one starts")
    assert path.exists()
    second = run_granite(
        "apps:plain", "--pid-file", str(path), cwd=APPS, ready=False, env={"GRANITE_PORT": "0"}
    )
    assert second.wait() == 1
    assert second.output == (
        f"granite: pid_file: already running (pid {granite.process.pid}), says {str(path)!r}\n"
    )
    assert path.read_text() == f"{granite.process.pid}\n"
    assert granite.stop() == 0
    assert list(tmp_path.iterdir()) == []


def test_it_goes_when_the_application_cannot_be_loaded(run_granite, tmp_path):
    path = tmp_path / "granite.pid"
    granite = run_granite("apps:nosuch", "--pid-file", str(path), cwd=APPS, ready=False)
    assert granite.wait() == 3
    assert not path.exists()


def test_another_one_stays_at_the_end(run_granite, tmp_path):
    path = tmp_path / "granite.pid"
    granite = run_granite("apps:plain", "--pid-file", str(path), cwd=APPS)
    path.write_text("1\n")
    assert granite.stop() == 0
    assert path.read_text() == "1\n"


def test_an_unwritable_place(run_granite, tmp_path):
    path = tmp_path / "missing" / "granite.pid"
    granite = run_granite("apps:plain", "--pid-file", str(path), cwd=APPS, ready=False)
    assert granite.wait() == 1
    assert granite.output == (
        f"granite: pid_file: cannot write {str(path)!r}: no such file or directory\n"
    )


@pytest.mark.parametrize("content", ["{ended}", "{ended}\n", " {ended} \n", "", "\n", "{own}\n"])
def test_a_stale_one_is_replaced(tmp_path, ended, content):
    path = tmp_path / "pid"
    path.write_text(content.format(ended=ended, own=os.getpid()))
    file = PidFile(str(path))
    file.check()
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    file.remove()
    file.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["x", "0", "-1", "1.5", "99999999999", "1 2", "٣", "#!" * 100])
def test_what_is_no_pid_file_is_left_alone(tmp_path, content):
    path = tmp_path / "pid"
    path.write_text(content, "utf-8")
    with pytest.raises(BootError, match="holds no process id and is left as it is"):
        PidFile(str(path)).check()
    assert path.read_text("utf-8") == content


def test_a_process_that_lives(tmp_path):
    path = tmp_path / "pid"
    path.write_text(f"{os.getppid()}\n")
    file = PidFile(str(path))
    for attempt in (file.check, file.write):
        with pytest.raises(BootError, match=rf"already running \(pid {os.getppid()}\)"):
            attempt()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_what_is_no_file(tmp_path, kind):
    path = tmp_path / "pid"
    if kind == "directory":
        path.mkdir()
        with pytest.raises(BootError, match=r"cannot read .*: is a directory"):
            PidFile(str(path)).check()
    else:
        os.mkfifo(path)
        PidFile(str(path)).check()


def test_a_link_is_replaced_and_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("")
    path = tmp_path / "pid"
    path.symlink_to(target)
    PidFile(str(path)).write()
    assert not path.is_symlink()
    assert target.read_text() == ""
