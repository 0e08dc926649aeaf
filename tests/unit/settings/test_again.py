"""Settings that are read again while the server runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from granite import environment
from granite.errors import UsageError
from granite.keywords import read_keywords
from granite.settings import BY_NAME
from granite.settings.changes import AT_START
from granite.settings.load import Loaded, load


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.endswith("_of_ours")]:
        del sys.modules[name]


def texts(loaded: Loaded) -> list[str]:
    return [note.text for note in loaded.notes]


@pytest.mark.parametrize("name", ["granite.conf.py", "pyproject.toml", "other.toml", "other.py"])
def test_a_file_that_has_changed(folder, name):
    table = "[tool.granite]\n" if name == "pyproject.toml" else ""
    (folder / name).write_text(f"{table}keep_alive_timeout = 3\nbacklog = 64\n")
    loaded = load({}, {}, name if name.startswith("other") else None)
    assert loaded.files == (str(folder / name),)
    (folder / name).write_text(f"{table}keep_alive_timeout = 4\nbacklog = 64\n")
    again = loaded.again()
    assert (again.config.keep_alive_timeout, again.config.backlog) == (4.0, 64)
    assert loaded.config.keep_alive_timeout == 3.0
    assert texts(again) == []
    assert again.again().config.keep_alive_timeout == 4.0


def test_other_sources_are_what_they_were(folder):
    environ = {"GRANITE_KEEP_ALIVE_TIMEOUT": "5"}
    loaded = load({"max_head_size": 10_000}, environ)
    environ["GRANITE_KEEP_ALIVE_TIMEOUT"] = "6"
    again = loaded.again()
    assert (again.config.keep_alive_timeout, again.config.max_head_size) == (5.0, 10_000)


def test_another_working_directory(folder, tmp_path_factory, monkeypatch):
    (folder / "granite.toml").write_text("keep_alive_timeout = 3")
    loaded = load({}, {"GRANITE_CONFIG": "granite.toml"})
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    (folder / "granite.toml").write_text("keep_alive_timeout = 4")
    assert loaded.again().config.keep_alive_timeout == 4.0
    assert Path.cwd() == elsewhere
    (folder / "granite.toml").write_text("keep_alive_timeout = []")
    with pytest.raises(UsageError, match=r"^granite.toml: keep_alive_timeout: expected"):
        loaded.again()
    assert Path.cwd() == elsewhere
    (folder / "granite.toml").unlink()
    folder.rmdir()
    with pytest.raises(UsageError, match=r"^cannot read the settings again in .*: no such file"):
        loaded.again()
    assert Path.cwd() == elsewhere


def test_what_needs_a_restart_stays_and_is_named(folder):
    file = folder / "granite.conf.py"
    file.write_text("bind = '127.0.0.1:0'\nkeep_alive_timeout = 3")
    loaded = load({}, {})
    file.write_text("bind = '127.0.0.1:1'\numask = 0o077\nuser = 'nobody'\nkeep_alive_timeout = 4")
    again = loaded.again()
    assert again.config.bind == ("127.0.0.1:0",)
    assert (again.config.umask, again.config.user, again.config.uds_owner) == (None, None, None)
    assert again.config.keep_alive_timeout == 4.0
    line = "changes that need a restart or SIGUSR2 have no effect yet: bind, user, umask"
    assert texts(again) == [line]
    assert texts(again.again()) == [line]
    file.write_text("bind = '127.0.0.1:0'")
    assert texts(again.again()) == []


def test_the_list_of_what_needs_a_restart():
    assert {name for name in AT_START if BY_NAME[name][0].name == name} == AT_START


def test_hooks_are_read_again(folder):
    file = folder / "granite.conf.py"
    file.write_text("def post_fork(server, worker): return 1")
    loaded = load({}, {})
    file.write_text("def post_fork(server, worker): return 2\ndef on_exit(server): pass")
    again = loaded.again()
    assert again.hooks["post_fork"](None, None) == 2
    assert set(again.hooks.names()) == {"on_exit", "post_fork"}


@pytest.mark.parametrize("config", ["granite.conf.py", "python:settings_of_ours"])
def test_modules_that_the_file_has_imported(folder, config, monkeypatch):
    """They are read again, too, and are among the files; libraries are not."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    name = config if config.endswith(".py") else "settings_of_ours.py"
    (folder / name).write_text("import colorsys, values_of_ours\nserver_header = values_of_ours.x")
    (folder / "values_of_ours.py").write_text("x = 'one'")
    loaded = load({}, {}, config)
    assert set(loaded.files) == {str(folder / name), str(folder / "values_of_ours.py")}
    library = sys.modules["colorsys"]
    (folder / "values_of_ours.py").write_text("x = 'two'")  # within one second, of one length
    assert loaded.again().config.server_header == "two"
    assert sys.modules["colorsys"] is library
    (folder / "values_of_ours.py").write_text("x = ")
    with pytest.raises(UsageError, match="SyntaxError"):
        loaded.again()
    (folder / "values_of_ours.py").write_text("x = 'six'")
    again = loaded.again()
    assert again.config.server_header == "six"
    assert set(again.files) == set(loaded.files)


def test_keyword_arguments_come_from_nowhere():
    loaded = read_keywords({"target": "app:app", "port": 1})
    assert loaded.again() is loaded
    assert loaded.files == ()


def test_variables_that_are_set_again(monkeypatch):
    monkeypatch.setenv("KEPT", "before")
    environment.set_raw(("KEPT=1", "NEW=1", "NEW=2"))
    assert (os.environ["KEPT"], os.environ["NEW"]) == ("1", "2")
    environment.set_raw(("KEPT=3",))
    assert (os.environ["KEPT"], "NEW" in os.environ) == ("3", False)
    environment.set_raw(())
    assert os.environ["KEPT"] == "before"
