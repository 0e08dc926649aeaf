"""Which files count for a reload, and which have changed since the last look."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from granite.settings.config import Config
from granite.watched import Files, Selection


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, as the working directory."""
    folder = tmp_path / "project"
    (folder / "package").mkdir(parents=True)
    (folder / "main.py").write_text("")
    (folder / "package" / "views.py").write_text("")
    monkeypatch.chdir(folder)
    return folder


def files_of(*others: str, **settings) -> Files:
    files = Files(Selection(Config(**settings), others), since=time.time() + 3600)
    assert files.look() == set()
    return files


def changed(files: Files, *paths: Path | str) -> list[str]:
    """What has changed, by the system's word on `paths`, as paths from the working directory."""
    found = files.changed([str(Path(path).absolute()) for path in paths])
    return sorted(os.path.relpath(path) for path in found)


def looked(files: Files) -> list[str]:
    return sorted(os.path.relpath(path) for path in files.look())


@pytest.mark.parametrize(
    ("settings", "path", "counts"),
    [
        ({}, "main.py", True),
        ({}, "package/views.py", True),
        ({}, "package/new.py", True),
        ({}, "page.html", False),
        ({}, "main.pyc", False),
        ({"reload_include": "*.html"}, "page.html", True),
        ({"reload_include": "*.html"}, "package/page.html", True),
        ({"reload_include": "*.html"}, "main.py", True),
        ({"reload_include": "package/*.html"}, "package/page.html", True),
        ({"reload_include": "package/*.html"}, "page.html", False),
        ({"reload_include": "*"}, "data.bin", True),
        ({"reload_include": "*"}, "main.pyc", False),
        ({"reload_include": "*", "log_file": "app.log"}, "app.log", False),
        ({"reload_include": "*", "access_log_file": "package/a.log"}, "package/a.log", False),
        ({"reload_include": "*", "pid_file": "app.pid"}, "app.pid", False),
        ({"reload_ignore_patterns": r"^test_"}, "test_main.py", False),
        ({"reload_ignore_patterns": r"^test_ _pb2\.py$"}, "x_pb2.py", False),
        ({"reload_ignore_patterns": r"^test_"}, "latest_main.py", True),
        ({"reload_ignore_paths": "main.py"}, "main.py", False),
        ({"reload_ignore_paths": "main.py"}, "package/main.py", True),
        ({"reload_ignore_paths": "package"}, "package/views.py", False),
        ({"reload_ignore_paths": "pack"}, "package/views.py", True),
        ({"reload_ignore_dirs": "package"}, "package/views.py", False),
        ({"reload_ignore_dirs": "package"}, "main.py", True),
        ({"reload_paths": "package"}, "package/views.py", True),
        ({"reload_paths": "package"}, "main.py", False),
        ({"reload_paths": "package,main.py"}, "main.py", True),
    ],
)
def test_what_counts(folder, settings, path, counts):
    files = files_of(**settings)
    (folder / path).write_text("changed")
    assert changed(files, path) == [path] * counts


def test_directories_are_no_files(folder):
    """Not even where the names of all files count."""
    files = files_of(reload_include="*")
    for name in ("__pycache__", "new"):
        (folder / name).mkdir()
        assert changed(files, name) == []
    (folder / "__pycache__").rmdir()
    assert changed(files, "__pycache__") == []
    (folder / "new" / "data").write_text("")
    assert changed(files, "new", "new/data") == ["new/data"]
    (folder / ".git").write_text("gitdir: elsewhere")  # as in a second working tree
    assert changed(files, ".git") == [".git"]
    (folder / ".git").unlink()
    assert changed(files, ".git") == [".git"]


@pytest.mark.parametrize(
    "name",
    [
        *("main.py~", ".main.py.swp", ".#main.py", "#main.py#", "4913", "flycheck_main.py"),
        *("main.py___jb_tmp___", "main.py___jb_old___", ".~main.py", "._main.py", "main.py.tmp"),
        *(".main.py.kate-swp", ".goutputstream-ABC123", ".DS_Store"),
    ],
)
def test_what_editors_leave_beside_a_file(folder, name):
    files = files_of(reload_include="*")
    (folder / name).write_text("")
    assert changed(files, name) == []
    assert looked(files) == []


@pytest.mark.parametrize(
    "name", [".git", "node_modules", "__pycache__", ".venv", "site-packages", ".mypy_cache", "own"]
)
def test_directories_that_are_not_watched(folder, name):
    (folder / name / "below").mkdir(parents=True)
    (folder / name / "below" / "a.py").write_text("")
    files = files_of(reload_ignore_dirs="own")
    assert files.watched == {str(folder), str(folder / "package")}
    (folder / name / "below" / "a.py").write_text("changed")
    assert changed(files, f"{name}/below/a.py", f"{name}/below", name) == []


def test_a_virtual_environment_by_any_name(folder):
    (folder / "env" / "bin").mkdir(parents=True)
    (folder / "env" / "pyvenv.cfg").write_text("")
    assert files_of().watched == {str(folder), str(folder / "package")}
    assert files_of(reload_paths="env").watched == {str(folder / "env"), str(folder / "env/bin")}


def test_ignored_names_above_the_project_do_not_matter(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages" / ".venv"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    files = files_of()
    (folder / "main.py").write_text("")
    assert changed(files, "main.py") == ["main.py"]


def test_a_new_directory_with_what_is_in_it(folder):
    files = files_of()
    (folder / "new" / "deep").mkdir(parents=True)
    (folder / "new" / "deep" / "a.py").write_text("")
    assert changed(files, "new") == ["new/deep/a.py"]
    assert str(folder / "new" / "deep") in files.watched


def test_a_directory_that_is_renamed_and_removed(folder):
    files = files_of()
    (folder / "package").rename(folder / "moved")
    assert changed(files, "package", "moved") == ["moved/views.py", "package/views.py"]
    assert files.watched == {str(folder), str(folder / "moved")}
    (folder / "moved" / "views.py").unlink()
    (folder / "moved").rmdir()
    assert changed(files, "moved") == ["moved/views.py"]
    assert files.watched == {str(folder)}


def test_a_look_finds_what_nobody_has_told_of_and_once(folder):
    files = files_of()
    (folder / "main.py").write_text("changed")
    (folder / "new.py").write_text("")
    (folder / "package" / "views.py").unlink()
    assert looked(files) == ["main.py", "new.py", "package/views.py"]
    assert looked(files) == []
    (folder / "main.py").write_text("again")
    assert changed(files, "main.py") == ["main.py"]
    assert looked(files) == []


def test_what_was_gone_for_a_moment_has_changed(folder):
    """A worker may have missed it just then."""
    files = files_of()
    (folder / "package").rename(folder / "moved")
    (folder / "moved").rename(folder / "package")
    assert changed(files, "package", "moved") == ["package/views.py"]
    (folder / "main.py").rename(folder / "moved")
    (folder / "moved").rename(folder / "main.py")
    assert changed(files, "main.py", "moved") == ["main.py"]


def test_what_a_look_has_told_is_told_once(folder):
    files = files_of()
    main = str(folder / "main.py")
    (folder / "main.py").write_text("changed")
    now = time.time() + 60  # however long it takes to look
    os.utime(main, (now, now))
    known = files.look()
    assert files.settled(known) == set()  # it may change in the same tick of the system's clock
    os.utime(main, (1000, 1000))
    known = files.look()
    assert files.settled(known) == {main}
    assert files.changed([main], known) == set()
    assert files.changed([main]) == {main}
    (folder / "main.py").write_text("changed again")
    assert files.changed([main], known) == {main}


def test_the_first_look_finds_what_was_written_since(folder):
    os.utime("main.py", (1000, 1000))
    files = Files(Selection(Config()), since=2000)
    assert looked(files) == ["package/views.py"]


def test_single_files_whatever_they_are_called(folder):
    (folder / "conf").mkdir()
    env = folder / "conf" / ".env"
    env.write_text("A=1")
    files = files_of(str(env), reload_paths="package", reload_ignore_patterns="env")
    assert files.watched == {str(folder / "package"), str(folder / "conf")}
    (folder / "conf" / "other.py").write_text("")
    assert changed(files, "conf/other.py") == []
    env.write_text("A=22")
    assert changed(files, env) == ["conf/.env"]
    (folder / "conf" / "new").write_text("A=333")
    (folder / "conf" / "new").rename(env)
    assert changed(files, "conf/new", env) == ["conf/.env"]
    env.unlink()
    assert changed(files, env) == ["conf/.env"]
    assert changed(files, "conf/new") == []
    env.write_text("A=1")
    assert changed(files, env) == ["conf/.env"]


def test_a_single_file_whose_directory_is_to_come(folder):
    env = folder / "later" / "deeper" / ".env"
    files = files_of(str(env))
    assert files.watched == {str(folder), str(folder / "package")}
    env.parent.mkdir(parents=True)
    env.write_text("A=1")
    assert changed(files, "later") == ["later/deeper/.env"]
    assert str(env.parent) in files.watched


def test_symbolic_links(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "shared").mkdir(parents=True)
    (elsewhere / "shared" / "a.py").write_text("")
    (elsewhere / "b.py").write_text("")
    (elsewhere / ".env").write_text("")
    (folder / "shared").symlink_to(elsewhere / "shared")
    (folder / "around").symlink_to(folder)
    (folder / "b.py").symlink_to(elsewhere / "b.py")
    (folder / ".env").symlink_to(elsewhere / ".env")
    (folder / "nowhere.py").symlink_to(folder / "missing.py")
    files = files_of(str(folder / ".env"))
    assert str(elsewhere) in files.watched
    (elsewhere / "b.py").write_text("changed")
    assert changed(files, elsewhere / "b.py") == ["b.py"]
    (elsewhere / ".env").write_text("changed")
    assert changed(files, elsewhere / ".env") == [".env"]
    assert changed(files, elsewhere / ".env") == []
    (folder / "shared" / "a.py").write_text("changed")
    assert changed(files, "shared/a.py") == ["shared/a.py"]


def test_a_root_that_goes_and_comes_back(folder):
    files = files_of(reload_paths="package")
    (folder / "package" / "views.py").unlink()
    (folder / "package").rmdir()
    assert changed(files, "package") == ["package/views.py"]
    assert files.watched == {str(folder)}
    assert changed(files, "main.py") == []
    (folder / "package").mkdir()
    (folder / "package" / "views.py").write_text("")
    assert changed(files, "package") == ["package/views.py"]
    assert files.watched == {str(folder / "package")}


def test_names_that_are_not_utf_8(folder):
    strange = folder / os.fsdecode(b"\xff")
    strange.mkdir()
    (strange / "a.py").write_text("")
    files = files_of()
    assert files.watched == {str(folder), str(folder / "package")}


def test_directories_that_may_not_be_read(folder):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (folder / "package").chmod(0)
    assert files_of().watched == {str(folder)}
    (folder / "package").chmod(0o755)
