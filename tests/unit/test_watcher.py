"""The process that watches: what it tells, without a process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

watchfiles = pytest.importorskip("watchfiles")

from granite import watcher  # noqa: E402
from granite.settings.config import Config  # noqa: E402
from granite.watched import Files, Selection  # noqa: E402


class Watching(watcher._Watcher):
    """One that ends after some questions whether its parent lives, before each of which something
    happens.
    """

    def __init__(self, pipe: int, *events) -> None:
        files = Files(Selection(Config(reload_tick=50)), since=time.time() + 3600)
        super().__init__(files, 50, pipe, os.getppid())
        self._events = list(events)

    def _orphaned(self) -> bool:
        if self._events:
            self._events.pop(0)()
            return False
        return True


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Return a function that runs a watcher with events, and returns the lines that it has told."""
    monkeypatch.chdir(tmp_path)
    reader, writer = os.pipe()

    def run(*events) -> list[str]:
        Watching(writer, *events).run()
        os.close(writer)
        with open(reader, encoding="utf-8", closefd=False) as lines:
            return [line.rstrip("\n").replace("\0", " ") for line in lines]

    yield run
    os.close(reader)


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    "error",
    [OSError("OS file watch limit reached."), RuntimeError("Too many open files (os error 24)")],
)
def test_files_are_polled_where_the_system_does_not_tell(told, tmp_path, monkeypatch, error):
    def refuse(*directories: str, **options: object) -> None:
        raise error

    monkeypatch.setattr(watchfiles, "watch", refuse)
    monkeypatch.setenv("WATCHFILES_POLL_DELAY_MS", "10")
    lines = told(nothing, lambda: (tmp_path / "new.py").write_text(""), nothing)
    (warning,) = [line for line in lines if line.startswith("W")]
    assert warning.startswith("Wreload: the files are polled, since")
    assert warning.endswith(str(error))
    assert f"C{tmp_path / 'new.py'}" in lines


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), RuntimeError("cannot decode a path")])
def test_a_failure_on_the_way_loses_nothing(told, tmp_path, monkeypatch, error):
    def fail(*directories: str, stop_event, **options: object) -> Iterator[set]:
        assert not stop_event.is_set()
        yield {(1, str(tmp_path / "notes.txt"))}
        (tmp_path / "new.py").write_text("")
        raise error

    monkeypatch.setattr(watchfiles, "watch", fail)
    lines = told(nothing, nothing)
    assert f"C{tmp_path / 'new.py'}" in lines
    assert [line for line in lines if line.startswith("W")] == []


def test_a_flood_may_be_more_than_was_told(told, tmp_path, monkeypatch):
    monkeypatch.setattr(watcher, "_FLOOD", 2)

    def tell(*directories: str, stop_event, **options: object) -> Iterator[set]:
        assert not stop_event.is_set()
        for name in ("a.py", "b.py", "c.py"):
            (tmp_path / name).write_text("")
        yield {(1, str(tmp_path / "a.py")), (1, str(tmp_path / "other.txt"))}

    monkeypatch.setattr(watchfiles, "watch", tell)
    lines = told(nothing, nothing)
    assert "C" + " ".join(str(tmp_path / name) for name in ("a.py", "b.py", "c.py")) in lines


@pytest.mark.parametrize(
    ("variable", "polls"), [("1", True), ("true", True), ("false", False), ("disabled", False)]
)
def test_the_variable_that_asks_for_polling(monkeypatch, variable, polls):
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", variable)
    assert watcher._is_to_poll() is polls


@pytest.mark.parametrize(
    ("variable", "tick", "delay"),
    [("", 50, 300), ("", 500, 500), ("100", 500, 100), ("x", 50, 300)],
)
def test_the_time_between_two_looks(monkeypatch, variable, tick, delay):
    monkeypatch.setenv("WATCHFILES_POLL_DELAY_MS", variable)
    assert watcher._poll_delay(tick) == delay


def test_names_with_line_ends(told, tmp_path):
    lines = told(nothing, lambda: (tmp_path / "a\nb.py").write_text(""), nothing)
    assert all(line[0] in "CDW" for line in lines)
    assert f"C{tmp_path}/a?b.py" in lines
