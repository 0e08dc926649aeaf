"""A config file in Python: running it, and telling settings from what else it defines.

Owns the module `__config__`, the messages about what its code raises, and the choice of the names
that count. Must not know what a setting is for. Runs in the arbiter, before the fork; imported only
where there is such a file.
"""

# pathlib would cost the arbiter memory:
# ruff: noqa: PTH100, PTH108, PTH109, PTH120, PTH123

from __future__ import annotations

import os
import sys

from granite.errors import UsageError
from granite.settings import BY_NAME, gunicorn, suggestion
from granite.settings.files import FileValues
from granite.settings.hooks import ARITIES, Hooks
from granite.settings.rules import Note
from granite.settings.source_names import SourceNames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from granite.settings.base import Kind, Setting, Value

__all__ = ["read_file", "read_module"]

# The name that the file's code sees as __name__, the same as with Gunicorn.
_MODULE = "__config__"
# Below it, a name that nothing reads is more likely the author's own than a setting misspelt.
_NEARNESS = 0.8
# The same for a function, which has more reasons to be in the file.
_HOOK_NEARNESS = 0.85
_PLAIN = (str, bytes, int, float, list, tuple, set, frozenset, dict)


def read_file(name: str, data: bytes) -> FileValues:
    """Run the file `name`, whose contents are `data`, and return what it sets.

    As with Gunicorn the working directory can be imported from, and the file's own cannot. Raises
    UsageError.
    """
    path = os.path.abspath(name)
    _search_working_directory()
    module = type(sys)(_MODULE)
    module.__file__ = path
    sys.modules[_MODULE] = module
    before = set(sys.modules)
    try:
        exec(compile(data, path, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as exc:
        forget(_own_modules(before))
        raise UsageError(_failure(exc, name, path)) from None
    values = _File(name, path, data).read(vars(module))
    _add_imported(values, before)
    return values


def read_module(name: str) -> FileValues:
    """Import the module `name` and return what it sets. Raises UsageError."""
    import importlib

    origin = f"python:{name}"
    _search_working_directory()
    before = set(sys.modules)
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as exc:
        forget(_own_modules(before))
        raise UsageError(_failure(exc, origin, None)) from None
    path = getattr(module, "__file__", None) or ""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:  # a module without a source of its own
        data = b""
    values = _File(origin, path, data).read(vars(module))
    _add_imported(values, before)
    return values


def forget(names: Iterable[str]) -> None:
    """Have the modules `names` loaded anew by the next import, also in workers that are forked
    later.
    """
    for name in names:
        module = sys.modules.pop(name, None)
        cached = getattr(getattr(module, "__spec__", None), "cached", None)
        if cached:
            # It is good for a time in whole seconds, and the source may have changed within one.
            try:  # noqa: SIM105
                os.unlink(cached)
            except OSError:
                pass


def _add_imported(values: FileValues, before: set[str]) -> None:
    values.imported = tuple(_own_modules(before))
    paths = (sys.modules[name].__file__ or "" for name in values.imported)
    values.paths = tuple(dict.fromkeys((*values.paths, *paths)))


def _own_modules(before: set[str]) -> list[str]:
    """Return the names of the modules in Python that have been imported since `before` and belong
    to the application, not to an installed library.
    """
    library = os.path.dirname(os.__file__)
    found = []
    for name in sys.modules.keys() - before - {_MODULE}:
        path = getattr(sys.modules[name], "__file__", None) or ""
        installed = path.startswith(library) or "-packages" in path
        if path.endswith(".py") and not installed and name.partition(".")[0] != "granite":
            found.append(name)
    return found


def _search_working_directory() -> None:
    directory = os.getcwd()
    if directory not in sys.path and "" not in sys.path:
        sys.path.insert(0, directory)


def _failure(exc: BaseException, origin: str, path: str | None) -> str:
    """Describe in one line what the file's code raised, and where."""
    line = _line_of(exc.__traceback__, path)
    text = " ".join(str(exc).split())
    if isinstance(exc, SyntaxError) and (path is None or exc.filename == path):
        line, text = exc.lineno or line, exc.msg
    where = f"{origin}:{line}" if line else origin
    if isinstance(exc, SystemExit):
        return f"{where}: the file ended the process: sys.exit({exc.code!r})"
    return f"{where}: {type(exc).__name__}{': ' if text else ''}{text}"


def _line_of(traceback: TracebackType | None, path: str | None) -> int:
    """Return the line of the innermost frame in `path`, without one in any file; 0: there is
    none.
    """
    line = 0
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if filename == path or (path is None and filename != __file__ and not _is_import(filename)):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _is_import(filename: str) -> bool:
    return filename.startswith("<frozen") or filename.endswith("importlib/__init__.py")


class _File:
    """One file that was run: its name for messages, and its source, which is parsed only when a
    name has to be explained.
    """

    def __init__(self, origin: str, path: str, data: bytes) -> None:
        self._origin = origin
        self._path = path
        self._data = data
        self._parsed: SourceNames | None = None

    def read(self, namespace: Mapping[str, object]) -> FileValues:
        file = FileValues(self._origin, self._path)
        theirs: dict[str, object] = {}
        hooks: dict[str, object] = {}
        unknown: list[str] = []
        for name, value in namespace.items():
            if name.startswith("_"):
                continue
            if name in ARITIES:
                hooks[name] = value
            elif name in gunicorn.NAMES:
                theirs[name] = value
            elif name in BY_NAME:
                self._read_own(file, name, value)
            elif not _is_definition(value):
                unknown.append(name)
            else:
                self._refuse_near_hook(name, value)
        self._read_theirs(file, theirs)
        file.hooks = Hooks.of(hooks, self._origin)
        self._explain(file, unknown)
        return file

    def _refuse_near_hook(self, name: str, value: object) -> None:
        """Refuse a function of this file that nothing in it reads, by a name like a hook's."""
        code = getattr(value, "__code__", None)
        if code is None or code.co_filename != self._path or self._names.is_helper(name):
            return
        hint = suggestion(name, ARITIES, _HOOK_NEARNESS)
        if hint:
            raise UsageError(f"{self._origin}:{code.co_firstlineno}: unknown hook {name!r}{hint}")

    def _read_own(self, file: FileValues, name: str, value: object) -> None:
        """Read a setting that only granite has; a helper of the file's author may have its name."""
        if value is None or not _is_plain(value):
            return
        setting, kind = BY_NAME[name]
        try:
            parsed = self._parse(setting, kind, name, value)
        except UsageError:
            if not self._names.is_helper(name):
                raise
            return
        if file.values.get(setting.name, parsed) != parsed:
            self._refuse_second(setting, name)
        file.values[setting.name] = parsed

    def _refuse_second(self, setting: Setting, name: str) -> None:
        """Refuse two names of a setting that contradict each other, unless the file itself has a
        use for one of them.
        """
        names = (setting.name, *(alias.name for alias in setting.aliases))
        given = [other for other in names if other in self._names.assigned and other != name]
        if given and not any(map(self._names.is_helper, (name, *given))):
            raise UsageError(f"{self._where(name)}: the same setting as {given[0]}; give one")

    def _read_theirs(self, file: FileValues, given: dict[str, object]) -> None:
        """Read settings of Gunicorn's; one of granite's own wins over its counterpart."""
        translated = gunicorn.translate(
            {name: value for name, value in given.items() if value is not None}, self._where
        )
        for name, (source, value) in translated.values.items():
            setting, kind = BY_NAME[name]
            parsed = self._parse(setting, kind, source, value)
            file.values.setdefault(setting.name, parsed)
            if source == "threads":
                file.gunicorn_threads = parsed
        if translated.unmatched:
            names = ", ".join(sorted(translated.unmatched))
            file.notes.append(
                Note("warning", f"{self._origin}: no counterpart in granite: {names}")
            )

    def _explain(self, file: FileValues, unknown: list[str]) -> None:
        """Report names that are no settings, and that the file has no use for itself."""
        known = {*BY_NAME, *gunicorn.NAMES, *ARITIES}
        ignored = []
        for name in unknown:
            if name not in self._names.assigned or self._names.is_helper(name):
                continue
            hint = suggestion(name, known, _NEARNESS)
            if hint:
                line = self._names.assigned[name]
                raise UsageError(f"{self._origin}:{line}: unknown setting {name!r}{hint}")
            ignored.append(name)
        if ignored:
            names = ", ".join(sorted(ignored))
            file.notes.append(
                Note("warning", f"{self._origin}: ignored, as these are no settings: {names}")
            )

    def _parse(self, setting: Setting, kind: Kind, name: str, value: object) -> Value:
        try:
            return setting.parse(value, name, kind)
        except UsageError:  # again, with what a look into the source adds to the message
            return setting.parse(value, self._where(name), kind)

    @property
    def _names(self) -> SourceNames:
        if self._parsed is None:
            self._parsed = SourceNames(self._data, self._path)
        return self._parsed

    def _where(self, name: str) -> str:
        line = self._names.assigned.get(name)
        return f"{self._origin}:{line}: {name}" if line else f"{self._origin}: {name}"


def _is_plain(value: object) -> bool:
    """Tell whether `value` is of a type that a setting may have."""
    value = getattr(value, "value", value)  # an enumeration's
    return isinstance(value, _PLAIN) or hasattr(value, "__fspath__")


def _is_definition(value: object) -> bool:
    return callable(value) or isinstance(value, type(sys))
