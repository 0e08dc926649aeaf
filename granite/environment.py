"""What surrounds the application when it is imported: the working directory, variables, sys.path.

Owns the settings working_dir, raw_env, env_files and pythonpath. Must not know processes, nor what
is imported. The arbiter enters the directory and sets the variables of raw_env, so that its hooks
see them; a worker reads the files and extends sys.path, so that a later worker sees what has
changed. Main thread.
"""

from __future__ import annotations

import os
import sys

from granite.errors import BootError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from granite.settings.config import Config

__all__ = ["change_dir", "extend_path", "load_files", "prepare", "set_raw"]


def prepare(config: Config) -> None:
    """Do all of it, in a process that is both arbiter and worker, such as one that only checks."""
    change_dir(config.working_dir)
    set_raw(config.raw_env)
    load_files(config.env_files)
    extend_path(config.pythonpath)


def change_dir(path: str | None) -> None:
    """Make `path` the working directory; None stays in the current one. Raises BootError if it
    cannot be entered.
    """
    if path is None:
        return
    try:
        os.chdir(path)
    except OSError as exc:
        raise BootError(
            f"cannot change to the working directory {path!r}: {exc.strerror}"
        ) from None


def set_raw(assignments: Sequence[str]) -> None:
    """Set the variables that `assignments`, each `NAME=VALUE`, name; they win over inherited ones.

    Raises UsageError for one that is no assignment. A `GRANITE_*` variable among them has no effect
    on granite's settings, which are fixed by then.
    """
    pairs = []
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name or "\0" in assignment:
            raise UsageError(f"raw_env: expected NAME=VALUE, got {assignment!r}")
        pairs.append((name, value))
    os.environ.update(pairs)


def load_files(paths: Sequence[str]) -> None:
    """Set the variables that the files `paths` assign, in the syntax of python-dotenv.

    A variable that exists already, inherited or from raw_env, keeps its value; of several files,
    the last one wins. `GRANITE_*` variables in them have no effect on granite's settings, which are
    fixed by then. Raises BootError if python-dotenv is not installed or a file cannot be read.
    """
    if not paths:
        return
    try:
        from dotenv import dotenv_values
    except ImportError:
        raise BootError(
            "env_files: python-dotenv is not installed; install granite[dotenv]"
        ) from None
    existing = frozenset(os.environ)
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:  # noqa: PTH123 (pathlib costs a worker)
                found = dotenv_values(stream=file)
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
            raise BootError(f"env_files: cannot read {path!r}: {reason}") from None
        os.environ.update(
            (name, value)
            for name, value in found.items()
            if value is not None and name not in existing
        )


def extend_path(directories: Sequence[str]) -> None:
    """Make `directories`, in their order, and then the working directory the first places that
    imports look at.
    """
    current = os.getcwd()  # noqa: PTH109 (pathlib costs a worker 0.7 MiB and 4 ms)
    first = list(dict.fromkeys((*map(os.path.abspath, directories), current)))
    # "" is what `python -m` leaves there for the working directory: one entry is enough.
    sys.path[:] = [*first, *(entry for entry in sys.path if entry not in ("", *first))]
