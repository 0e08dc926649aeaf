"""The config file: a Python file, or a table of TOML.

Owns finding the file, reading it, and telling settings from what else a Python file defines. Must
not know the other sources. Runs in the arbiter, before the fork.
"""

from __future__ import annotations

from granite.settings.hooks import Hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.base import Value
    from granite.settings.rules import Note

__all__ = ["FileValues", "read_config_file"]


class FileValues:
    """What a config file says: final values by setting name, hooks, and remarks for the log.

    `origin` is the file's name, for messages.
    """

    __slots__ = ("hooks", "notes", "origin", "values")

    def __init__(self, origin: str = "") -> None:
        self.origin = origin
        self.values: dict[str, Value] = {}
        self.hooks = Hooks()
        self.notes: list[Note] = []


def read_config_file(name: str | None) -> FileValues:
    """Read the config file `name`, or the one that lies in the working directory."""
    return FileValues()
