"""The config file: a Python file, or a table of TOML.

Owns finding the file and reading TOML. Must not know the other sources, nor what the names in a
Python file mean (that is python_file's). Runs in the arbiter, before the fork.
"""

# pathlib would cost the arbiter memory:
# ruff: noqa: PTH100, PTH113, PTH119, PTH123

from __future__ import annotations

import os

from granite.errors import UsageError, reason
from granite.settings.config import read_named
from granite.settings.hooks import Hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.base import Value
    from granite.settings.rules import Note

__all__ = ["FileValues", "read_config_file"]

_DEFAULT = "granite.conf.py"
_PROJECT = "pyproject.toml"
# Some of these are Python by chance, and would set nothing.
_OTHER_FORMATS = (".yaml", ".yml", ".json", ".ini", ".cfg")


class FileValues:
    """What a config file says: final values by setting name, hooks, and remarks for the log.

    `origin` is the file's name, for messages, and `paths` are those of the file and of what it has
    imported of the application: the modules `imported`. `gunicorn_threads` is the value of
    Gunicorn's setting `threads`, which gives way to an interface that has none.
    """

    __slots__ = ("gunicorn_threads", "hooks", "imported", "notes", "origin", "paths", "values")

    def __init__(self, origin: str = "", *paths: str) -> None:
        self.origin = origin
        self.paths = tuple(os.path.abspath(path) for path in paths if path)
        self.imported: tuple[str, ...] = ()
        self.gunicorn_threads: Value = None
        self.hooks = Hooks()
        self.notes: list[Note] = []
        self.values: dict[str, Value] = {}


def read_config_file(name: str | None) -> FileValues:
    """Read the config file `name`; without one, `granite.conf.py` or the table `[tool.granite]` of
    `pyproject.toml` in the working directory, if there is one.

    `name` is a path (TOML if it ends so, else Python), `file:PATH` or `python:MODULE`. Raises
    UsageError, in one line, for a file that cannot be read, for what its code raises, and for a
    wrong setting.
    """
    if name is None:
        if os.path.isfile(_DEFAULT):
            name = _DEFAULT
        else:
            return _read_project()
    if name.startswith("python:"):
        from granite.settings.python_file import read_module

        return read_module(name.removeprefix("python:"))
    name = name.removeprefix("file:")
    data = _contents(name)
    if name.lower().endswith(_OTHER_FORMATS):
        raise UsageError(f"{name}: expected a config file in Python or TOML")
    if name.endswith(".toml"):
        return _read_toml(name, data)
    # Costs memory, which only an operator with a Python file pays.
    from granite.settings.python_file import read_file

    return read_file(name, data)


def _contents(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise UsageError(f"{name}: expected a config file, found none") from None
    except (OSError, ValueError) as exc:  # ValueError: a zero byte in the name
        raise UsageError(f"{name}: the config file cannot be read: {reason(exc)}") from None


def _read_project() -> FileValues:
    """Return what the project in the working directory says, which need not be about us."""
    if _mentions_us(_PROJECT):
        table = _own_table(_PROJECT, _document(_PROJECT, _contents(_PROJECT)))
        if table is not None:
            return _read_table(_PROJECT, table)
    return FileValues()


def _mentions_us(name: str) -> bool:
    """Tell whether a project may have settings of ours, at less than the cost of a TOML parser."""
    try:
        with open(name, "rb") as file:
            return any(map(_is_mention, file))
    except OSError:
        return False


def _is_mention(line: bytes) -> bool:
    line = line.replace(b" ", b"")
    _, found, rest = line.partition(b"tool.granite")
    another = rest[:1].isalnum() or rest[:1] in (b"_", b"-")
    return bool(found) and not another and not line.startswith(b"#")


def _read_toml(name: str, data: bytes) -> FileValues:
    document = _document(name, data)
    table = _own_table(name, document)
    if table is None:
        if os.path.basename(name) == _PROJECT:
            raise UsageError(f"{name}: expected a table [tool.granite], found none")
        table = document
    return _read_table(name, table)


def _read_table(name: str, table: dict[str, object]) -> FileValues:
    file = FileValues(name, name)
    found = read_named(table.items(), f"{name}: ")
    file.values.update((setting, value) for setting, (_, value) in found.items())
    return file


def _document(name: str, data: bytes) -> dict[str, object]:
    from granite.settings.toml import parse_toml

    try:
        return parse_toml(data)
    except ValueError as exc:
        raise UsageError(f"{name}: {exc}") from None


def _own_table(name: str, document: dict[str, object]) -> dict[str, object] | None:
    tool = document.get("tool")
    table = tool.get("granite") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{name}: expected a table [tool.granite], got {table!r}")
    return table
