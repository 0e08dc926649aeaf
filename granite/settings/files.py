"""The config file: a Python file, or a table of TOML.

Owns finding the file and reading TOML. Must not know the other sources, nor what the names in a
Python file mean (that is python_file's). Runs in the arbiter, before the fork.
"""

# pathlib would cost the arbiter memory:
# ruff: noqa: PTH113, PTH119, PTH123

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


class FileValues:
    """What a config file says: final values by setting name, hooks, and remarks for the log.

    `origin` is the file's name, for messages. `gunicorn_threads` is the value of Gunicorn's setting
    `threads`, which gives way to an interface that has none.
    """

    __slots__ = ("gunicorn_threads", "hooks", "notes", "origin", "values")

    def __init__(self, origin: str = "") -> None:
        self.origin = origin
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
        elif _has_table(_PROJECT):
            name = _PROJECT
        else:
            return FileValues()
    if name.startswith("python:"):
        from granite.settings.python_file import read_module

        return read_module(name.removeprefix("python:"))
    name = name.removeprefix("file:")
    data = _contents(name)
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


def _has_table(name: str) -> bool:
    """Tell whether a project has settings of ours, at less than the cost of a TOML parser."""
    try:
        with open(name, "rb") as file:
            return any(
                line.replace(b" ", b"").startswith((b"[tool.granite]", b"[tool.granite."))
                for line in file
            )
    except OSError:
        return False


def _read_toml(name: str, data: bytes) -> FileValues:
    file = FileValues(name)
    found = read_named(_table(name, data).items(), f"{name}: ")
    file.values.update((setting, value) for setting, (_, value) in found.items())
    return file


def _table(name: str, data: bytes) -> dict[str, object]:
    from granite.settings.toml import parse_toml

    try:
        document = parse_toml(data)
    except ValueError as exc:
        raise UsageError(f"{name}: {exc}") from None
    tool = document.get("tool")
    table = tool.get("granite") if isinstance(tool, dict) else None
    if isinstance(table, dict):
        return table
    if os.path.basename(name) == _PROJECT:
        raise UsageError(f"{name}: expected a table [tool.granite], found none")
    return document
