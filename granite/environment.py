"""What surrounds the application when it is imported: the working directory, variables, sys.path.

Owns the settings working_dir, raw_env, env_files and pythonpath. Must not know processes, nor what
is imported. The arbiter enters the directory and sets the variables of raw_env, so that its hooks
see them; a worker reads the files and extends sys.path, so that a later worker sees what has
changed. Main thread.
"""

from __future__ import annotations

import os
import sys

from granite.errors import BootError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from granite.settings.config import Config

# What raw_env has taken the place of; None: no such variable.
_replaced: dict[str, str | None] = {}

__all__ = ["change_dir", "extend_path", "load_files", "prepare", "set_raw"]


def prepare(config: Config) -> None:
    """Do all of it, in a process that is both arbiter and worker, such as one that only checks."""
    change_dir(config.working_dir)
    set_raw(config.raw_env)
    load_files(config.env_files)
    extend_path(config.pythonpath)


def change_dir(path: str | None) -> None:
    """Make `path` the working directory; None stays in the current one. Raises BootError if it
    cannot be entered or does not exist any more.
    """
    if path is None:
        _current()
        return
    try:
        os.chdir(path)
    except OSError as exc:
        raise BootError(f"cannot change to the working directory {path!r}: {reason(exc)}") from None


def set_raw(assignments: Sequence[str]) -> None:
    """Set the variables that `assignments`, each `NAME=VALUE`, name; they win over inherited ones.

    What an earlier call has set is undone. A `GRANITE_*` variable among them has no effect on
    granite's settings, which are fixed by then.
    """
    while _replaced:
        name, before = _replaced.popitem()
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        _replaced.setdefault(name, os.environ.get(name))
        os.environ[name] = value


def load_files(paths: Sequence[str]) -> None:
    """Set the variables that the files `paths` assign, in the syntax of python-dotenv.

    A variable that exists already, inherited or from raw_env, keeps its value; of several files,
    the last one wins. `GRANITE_*` variables in them have no effect on granite's settings, which are
    fixed by then. Raises BootError if python-dotenv is not installed or a file cannot be read.
    """
    if not paths:
        return
    existing = frozenset(os.environ)
    for path in paths:
        os.environ.update(
            (name, value) for name, value in _read_file(path).items() if name not in existing
        )


def _read_file(path: str) -> dict[str, str]:
    try:
        from dotenv import dotenv_values
    except ImportError:
        raise BootError(
            "env_files: python-dotenv is not installed; install granite[dotenv]"
        ) from None
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 (pathlib costs a worker)
            found = dotenv_values(stream=file)
    except UnicodeDecodeError:
        raise BootError(f"env_files: cannot read {path!r}: it is not UTF-8") from None
    except OSError as exc:
        raise BootError(f"env_files: cannot read {path!r}: {reason(exc)}") from None
    if any("\0" in name or "\0" in (value or "") for name, value in found.items()):
        raise BootError(f"env_files: cannot read {path!r}: it holds a zero byte")
    return {name: value for name, value in found.items() if value is not None}


def extend_path(directories: Sequence[str]) -> None:
    """Make `directories`, in their order, and then the working directory the first places that
    imports look at. Raises BootError if the working directory does not exist any more.
    """
    current = _current()
    first = list(dict.fromkeys((*map(os.path.abspath, directories), current)))
    # "" is what `python -m` leaves there for the working directory: one entry is enough.
    sys.path[:] = [*first, *(entry for entry in sys.path if entry not in ("", *first))]


def _current() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 (pathlib costs a worker 0.7 MiB and 4 ms)
    except OSError as exc:
        raise BootError(f"cannot find the working directory: {reason(exc)}") from None
