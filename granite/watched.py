"""Which files count for a reload, and which of them have changed since the last look.

Owns the selection (names, patterns, ignored places) and what each file was like when it was last
looked at. Must not know how the system tells of changes, nor what follows from one. Main thread of
the watcher's process.

Theory of operation. What the system tells of is a path: of a file, of a directory that has come or
gone with everything in it, of a file that another name leads to. A file has changed when it was
told of, even where it is what it was before, since a worker may have read it in between; and when
it is not what it was at the last look. So nothing is lost between the making of a directory and the
watching of it.
"""

# pathlib is used where its rules for patterns are wanted, and only there:
# ruff: noqa: PTH100, PTH112, PTH113, PTH116, PTH118, PTH119, PTH120

from __future__ import annotations

import os
import re
import time
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias

from granite.settings.destination import FILE, Destination

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from granite.settings.config import Config

__all__ = ["Files", "Selection"]

# Time of the last change, size, number: whatever writes a file or takes its place changes one.
Signature: TypeAlias = "tuple[int, int, int]"

# Nanoseconds. The system's times of files come from a clock that ticks every few milliseconds.
_TICK = 20_000_000

# What tools write for themselves, and what is installed.
_DIRECTORIES = frozenset(
    (
        *("__pycache__", "__pypackages__", "site-packages", "node_modules"),
        *(".git", ".hg", ".svn", ".jj", ".bzr"),
        *(".venv", ".tox", ".nox", ".eggs", ".direnv"),
        *(".idea", ".vscode", ".vs", ".ipynb_checkpoints"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".cache"),
    )
)
# What editors put beside the file that they save, and what the interpreter makes of it.
_PATTERNS = (
    r"\.py[cod]$",
    r"~$",  # backups
    r"^\.?#",  # Emacs: a lock, an automatic save
    r"^\.~",
    r"^\._",  # macOS on a foreign file system
    r"\.sw.$",  # Vim
    r"^4913$",  # Vim, to see whether it can make files
    r"___jb_\w+___$",  # JetBrains
    r"\.kate-swp$",
    r"^\.goutputstream-",
    r"^flycheck_",
    r"\.tmp$",
    r"^\.DS_Store$",
)
# Of the system itself: they are no application, and endless.
_SYSTEM = ("/proc", "/sys", "/dev")
_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"


class Selection:
    """What the settings select; relative paths are those of the working directory.

    `roots` are the directories that are watched with what is below them, `files` those files that
    are watched whatever they are called: what `reload_paths` names, and `others`.
    """

    def __init__(self, config: Config, others: Iterable[str] = ()) -> None:
        named = [os.path.abspath(path) for path in config.reload_paths or (".",)]
        self.files = {os.path.abspath(path) for path in others}
        self.files.update(path for path in named if os.path.isfile(path))
        self.roots = [path for path in named if path not in self.files]
        self._include = ("*.py", *config.reload_include)
        self._directories = _DIRECTORIES | set(config.reload_ignore_dirs)
        self._patterns = [re.compile(text) for text in (*_PATTERNS, *config.reload_ignore_patterns)]
        self._paths = {
            *_SYSTEM,
            *map(os.path.abspath, config.reload_ignore_paths),
            *map(os.path.abspath, _written_by_us(config)),
        }

    def takes_file(self, path: str, name: str) -> bool:
        """Say whether a file in a directory that is watched counts."""
        return not self._ignores(path, name) and any(
            PurePath(path).match(pattern) if "/" in pattern else fnmatchcase(name, pattern)
            for pattern in self._include
        )

    def takes_directory(self, path: str, name: str) -> bool:
        """Say whether a directory below a root is watched, as far as its name says."""
        return name not in self._directories and _is_utf8(name) and not self._ignores(path, name)

    def _ignores(self, path: str, name: str) -> bool:
        return path in self._paths or any(pattern.search(name) for pattern in self._patterns)


class Files:
    """What there is of a selection.

    `watched` are the directories in which a change may matter. Files that have been written since
    `since`, in seconds of the system's clock, count as changed at the first look.
    """

    def __init__(self, selection: Selection, since: float) -> None:
        self.watched: set[str] = set()
        self._selection = selection
        self._since: int | None = int(since * 1e9)
        self._directories: set[str] = set()
        self._links: set[str] = set()
        self._seen: dict[str, Signature | None] = {}

    def look(self) -> set[str]:
        """Look at everything; return the files that have changed, come and gone since the last
        look.
        """
        self._directories, self._links = set(), set()
        found: dict[str, Signature | None] = dict(self._below_roots())
        found |= {path: _signature(path) for path in self._selection.files}
        self.watched = self._directories | self._surroundings()
        before, self._seen = self._seen, found
        if self._since is not None:
            since, self._since = self._since, None
            return {path for path, now in found.items() if now is not None and now[0] >= since}
        return {
            path for path in before.keys() | found.keys() if before.get(path) != found.get(path)
        }

    def changed(self, paths: Iterable[str], known: Collection[str] = ()) -> set[str]:
        """Return the files that have changed, when the system has told of `paths`. Files that are
        `known` to have changed, from a look, count only if they have changed once more.
        """
        told = set(paths)
        directories = tuple(os.path.join(path, "") for path in told if self._is_directory(path))
        before = self._seen
        if directories:
            changed = self.look() | {path for path in self._seen if path.startswith(directories)}
        else:
            changed = self._look_at_links()
        for path in filter(self._counts, told):
            now = _signature(path)
            if path not in known or now != before.get(path):
                changed.add(path)
            self._seen[path] = now
        return changed

    def settled(self, paths: Iterable[str]) -> set[str]:
        """Return those of some files that cannot change any more without another time."""
        now = time.time_ns()
        return {path for path in paths if (self._seen.get(path) or (0,))[0] < now - _TICK}

    def _look_at_links(self) -> set[str]:
        """Look at those that may change without being told of by their names."""
        changed = set()
        for path in self._selection.files | self._links:
            now = _signature(path)
            if now != self._seen.get(path):
                self._seen[path] = now
                changed.add(path)
        return changed

    def _counts(self, path: str) -> bool:
        if path in self._selection.files:
            return True
        parent, name = os.path.split(path)
        if parent not in self._directories or not self._selection.takes_file(path, name):
            return False
        if path in self._seen:
            return True
        if os.path.lexists(path):
            return not os.path.isdir(path)
        # It has come and gone: only the name says whether it was an ignored directory.
        return self._selection.takes_directory(path, name)

    def _is_directory(self, path: str) -> bool:
        """Say whether `path` is, or was, a directory that matters."""
        if path in self._directories:
            return True
        takes = self._selection.takes_directory(path, os.path.basename(path))
        return takes and os.path.isdir(path)

    def _below_roots(self) -> Iterator[tuple[str, Signature]]:
        known: set[tuple[int, int]] = set()
        left = list(self._selection.roots)
        while left:
            directory = left.pop()
            try:
                status = os.stat(directory)
                with os.scandir(directory) as found:
                    entries = list(found)
            except OSError:  # gone, or not ours to read
                continue
            if (status.st_dev, status.st_ino) in known:  # a symbolic link may lead to it again
                continue
            if self._is_environment(directory, entries):
                continue
            known.add((status.st_dev, status.st_ino))
            self._directories.add(directory)
            for entry in entries:
                if _leads_to_directory(entry):
                    if self._selection.takes_directory(entry.path, entry.name):
                        left.append(entry.path)
                elif self._selection.takes_file(entry.path, entry.name):
                    if entry.is_symlink():
                        self._links.add(entry.path)
                    signature = _signature(entry.path)
                    if signature is not None:
                        yield entry.path, signature

    def _is_environment(self, directory: str, entries: list[os.DirEntry[str]]) -> bool:
        return directory not in self._selection.roots and any(
            entry.name == _VIRTUAL_ENVIRONMENT for entry in entries
        )

    def _surroundings(self) -> set[str]:
        """Return the directories of single files: those of the names, and of what is behind them;
        and where a root is to appear. What does not exist is awaited where its first part does.
        """
        paths = {root for root in self._selection.roots if root not in self._directories}
        for path in self._selection.files | self._links:
            paths |= {path, os.path.realpath(path)}
        return {_nearest(os.path.dirname(path)) for path in paths}


def _written_by_us(config: Config) -> Iterator[str]:
    """Return the files that a reload itself would change, and so cause the next one."""
    if config.pid_file is not None:
        yield config.pid_file
    for text in (config.log_file, config.access_log_file):
        destination = Destination.parse(text)
        if destination.kind == FILE:
            yield destination.path


def _signature(path: str) -> Signature | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _leads_to_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_utf8(name: str) -> bool:
    """Say whether watchfiles can be told of a file."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _nearest(directory: str) -> str:
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
