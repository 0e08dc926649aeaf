"""The surroundings of an application, apart from processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dotenv
import pytest

from granite import environment
from granite.errors import BootError
from granite.settings.config import Config


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Whatever a test does to the process is undone."""
    monkeypatch.chdir(os.curdir)
    monkeypatch.setattr(sys, "path", ["", "/elsewhere", str(tmp_path)])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return tmp_path


def test_the_working_directory_comes_first(place):
    environment.change_dir(str(place))
    environment.extend_path(())
    assert sys.path == [str(place), "/elsewhere"]
    assert Path.cwd().samefile(place)


def test_pythonpath_comes_before_it(place):
    environment.change_dir(str(place))
    environment.extend_path(("/elsewhere", "sub", "."))
    assert sys.path == ["/elsewhere", f"{place}/sub", str(place)]


def test_a_missing_working_directory(place):
    with pytest.raises(BootError, match=r"cannot change to the working directory .*missing"):
        environment.change_dir(str(place / "missing"))


@pytest.mark.parametrize(
    "step", [lambda: environment.change_dir(None), lambda: environment.extend_path(())]
)
def test_a_working_directory_that_is_gone(place, step):
    gone = place / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    with pytest.raises(BootError, match=r"^cannot find the working directory: no such file or dir"):
        step()


def test_prepare_does_all_of_it(place):
    assert dotenv.__name__ in sys.modules  # it could not be found from here
    (place / "file").write_text("ONE=1\nTWO=2\n")
    environment.prepare(
        Config(working_dir=str(place), raw_env=["ONE=raw"], env_files=["file"], pythonpath=["lib"])
    )
    assert (os.environ["ONE"], os.environ["TWO"]) == ("raw", "2")
    assert sys.path[:2] == [f"{place}/lib", str(place)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"A=\xff", "it is not UTF-8"), (b"A='x\0y'", "it holds a zero byte"), (None, "no such file")],
)
def test_a_file_that_cannot_be_read(place, content, reason):
    if content is not None:
        (place / "file").write_bytes(content)
    with pytest.raises(BootError, match=rf"^env_files: cannot read '{place}/file': {reason}"):
        environment.load_files([f"{place}/file"])
