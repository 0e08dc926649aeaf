"""Files and streams as destinations: sharing, owner, rotation, failures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from granite import log
from granite.errors import BootError
from granite.log.outputs import error_output
from granite.settings.config import Config
from tests.unit.log.records import NOON


def test_a_worker_takes_over_what_is_open(tmp_path):
    path = tmp_path / "log"
    config = Config(log_file=str(path), access_log_file=str(path), access_log=True)
    log.Log(config)
    before = len(list(Path("/proc/self/fd").iterdir()))
    log.configure(config)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_written_after_the_end_is_lost(tmp_path):
    path = tmp_path / "log"
    writer = log.Log(Config(log_file=str(path)))
    log.close()
    with (tmp_path / "other").open("wb"):  # takes the number of the descriptor
        writer.info("x")
    assert (tmp_path / "other").read_text() == path.read_text() == ""


def test_files_are_not_for_everybody(tmp_path):
    path = tmp_path / "log"
    previous = os.umask(0o022)
    try:
        log.Log(Config(log_file=str(path))).info("x")
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_gets_new_files_only(tmp_path):
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "link"
    old.touch()
    link.symlink_to(tmp_path / "dangling")
    for path in (old, new, link):
        log.Log(Config(log_file=str(path)), (12345, 12346)).info("x")
    assert (new.stat().st_uid, new.stat().st_gid) == (12345, 12346)
    assert old.stat().st_uid == 0
    assert link.stat().st_uid == 0


def test_reopen(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    writer = log.Log(Config(log_file="in/log"))
    monkeypatch.chdir("/")  # the name is that of the start
    path = tmp_path / "in" / "log"
    writer.info("one")
    path.rename(tmp_path / "in" / "log.1")
    writer.info("two")
    writer.reopen()
    writer.info("three")
    assert path.read_text().splitlines()[0].endswith("three")
    assert len((tmp_path / "in" / "log.1").read_text().splitlines()) == 2


def test_reopen_that_fails_keeps_the_old_file(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    config = Config(log_file=str(folder / "log"))
    writer = log.Log(config)
    log.configure(config)
    folder.rename(tmp_path / "away")
    writer.reopen()
    log.reopen()
    writer.info("still here")
    lines = (tmp_path / "away" / "log").read_text().splitlines()
    assert len(lines) == 3
    for line in lines[:2]:
        assert f"error: cannot open the log {str(folder / 'log')!r} again: no such file" in line


@pytest.mark.parametrize("access_too", [False, True])
def test_a_file_that_cannot_be_opened(tmp_path, access_too):
    setting = "access_log_file" if access_too else "log_file"
    config = Config(access_log=True, **{setting: str(tmp_path / "no" / "log")})
    with pytest.raises(BootError, match=r"cannot open the log '.*/no/log': no such file or dir"):
        log.Log(config)


def test_a_full_disk_and_a_closed_pipe_are_survived(tmp_path):
    log.Log(Config(log_file="/dev/full")).info("x")
    read, write = os.pipe()
    output = error_output(Config(log_file=f"/proc/self/fd/{write}"))
    os.close(read)
    os.close(write)
    output.error("info", "granite.error", "x", "", NOON)


def test_a_closed_standard_error(tmp_path):
    """Its number may belong to a socket by now."""
    path = tmp_path / "other"
    script = f"""
import os
assert os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY) == 2
from granite import log
from granite.settings.config import Config
log.Log(Config()).info("x")
log.write_error("x")
"""
    command = f"exec \"{sys.executable}\" -c '{script.replace(chr(39), chr(34))}' 2>&-"
    root = str(Path(log.__file__).parents[2])
    environ = os.environ | {"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(["/bin/sh", "-c", command], env=environ, check=True)
    assert path.read_text() == ""


def test_two_processes_share_a_file(tmp_path):
    path = tmp_path / "log"
    writer = log.Log(Config(log_file=str(path)))
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(300):
                    writer.info("x" * 500)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    lines = path.read_text().splitlines()
    assert len(lines) == 900
    assert {line.partition("info: ")[2] for line in lines} == {"x" * 500}
    assert {int(line.split()[2][1:-1]) for line in lines} == set(children)
