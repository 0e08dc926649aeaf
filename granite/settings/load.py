"""Where values come from, and which one wins: default < variables of other servers < file <
environment < command line.

Owns the order of the sources, the reading of the environment, and reading all of it again while the
server runs. Must not know how the command line is parsed nor how a file is found; it gets those
sources as mappings. Runs in the arbiter.
"""

# pathlib would cost the arbiter memory:
# ruff: noqa: PTH109

from __future__ import annotations

import os

from granite.errors import UsageError, reason
from granite.settings import BY_NAME, SETTINGS, suggestion
from granite.settings.config import Config
from granite.settings.files import FileValues, read_config_file
from granite.settings.hooks import Hooks
from granite.settings.rules import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from granite.settings.base import Kind, Setting, Value

    # Origin and final value by setting name.
    Source: TypeAlias = dict[str, tuple[str, Value]]

__all__ = ["Loaded", "Sources", "load"]

_CONFIG_VARIABLE = "GRANITE_CONFIG"
_PREFIX = "GRANITE_"
# The file's path, what an arbiter hands to its successor, and what steers the build (setup.py).
_OTHER_VARIABLES = frozenset(
    (_CONFIG_VARIABLE, "GRANITE_DEBUG", "GRANITE_INHERITED", "GRANITE_JOBS", "GRANITE_SANITIZE")
)
# Settings that say where to listen, each with those that it would be hidden by.
_HIDDEN_BY = {"host": ("bind", "uds"), "port": ("bind", "uds"), "uds": ("bind",)}


class Loaded:
    """What the sources say together.

    `origins` tells for each setting that is not at its default where its value came from. `notes`
    are remarks for the log. `files` are the paths of what was read: the config file, and what it
    has imported of the application. `sources` are asked by `again()`.
    """

    __slots__ = ("_sources", "config", "files", "hooks", "notes", "origins")

    def __init__(
        self,
        config: Config,
        hooks: Hooks,
        origins: dict[str, str],
        notes: list[Note],
        *,
        files: tuple[str, ...] = (),
        sources: Sources | None = None,
    ) -> None:
        self.config = config
        self.hooks = hooks
        self.origins = origins
        self.notes = notes
        self.files = files
        self._sources = sources

    def again(self) -> Loaded:
        """Return what the sources say now; settings that take effect at a start only keep their
        values, and a note names them. Raises UsageError as `load` does.

        The settings of a program, which come from no source, are what they were.
        """
        if self._sources is None:
            return self
        from granite.settings.changes import keep

        found = self._sources.read_again()
        found.config, kept = keep(self.config, found.config)
        # Others follow from these.
        names = [name for name in kept if name in self.origins or name in found.origins]
        if names:
            text = f"changes that need a restart or SIGUSR2 have no effect yet: {', '.join(names)}"
            found.notes.append(Note("warning", text))
        return found


class Sources:
    """Where the settings come from: values of the command line by name, the variables, and what
    names the config file; relative paths are those of the directory in which this is made.
    """

    __slots__ = ("_command_line", "_config_file", "_directory", "_environ", "_imported")

    def __init__(
        self,
        command_line: Mapping[str, Value],
        environ: Mapping[str, str],
        config_file: str | None,
    ) -> None:
        self._command_line = dict(command_line)
        # A copy, since raw_env and the application's own variables are no settings.
        self._environ = dict(environ)
        self._config_file = config_file or environ.get(_CONFIG_VARIABLE) or None
        self._directory: str | None = None
        self._imported: tuple[str, ...] = ()

    def read(self) -> Loaded:
        """Read and merge all of them; raises UsageError."""
        notes: list[Note] = []
        file = read_config_file(self._config_file)
        self._imported = file.imported
        notes += file.notes
        merged: Source = {}
        for source in (
            {name: (file.origin, value) for name, value in file.values.items()},
            _read_environment(self._environ, notes),
            {name: (_option(name), value) for name, value in self._command_line.items()},
        ):
            _give_way(merged, source, notes)
            merged.update(source)
        _fall_back(merged, self._environ)
        _drop_threads(merged, file, notes)
        values = {name: value for name, (_, value) in merged.items()}
        config, remarks = Config.of(values)
        origins = {name: origin for name, (origin, _) in merged.items()}
        self._directory = self._directory or _current_directory()
        return Loaded(config, file.hooks, origins, notes + remarks, files=file.paths, sources=self)

    def read_again(self) -> Loaded:
        """Read all of them as at the first time, in the same directory."""
        if self._imported:
            from granite.settings.python_file import forget

            forget(self._imported)
        if self._directory in (None, _current_directory()):
            return self.read()
        assert self._directory is not None
        try:
            back = os.open(".", os.O_RDONLY)
            os.chdir(self._directory)
        except OSError as exc:
            raise UsageError(
                f"cannot read the settings again in {self._directory!r}: {reason(exc)}"
            ) from None
        try:
            return self.read()
        finally:
            os.fchdir(back)
            os.close(back)


def load(
    command_line: Mapping[str, Value],
    environ: Mapping[str, str],
    config_file: str | None = None,
) -> Loaded:
    """Merge the sources.

    `command_line` holds final values by setting name. `config_file` is what the option `--config`
    names; without it the variable GRANITE_CONFIG is looked at, then the working directory. Raises
    UsageError, in one line, for a wrong value or an unknown key.
    """
    return Sources(command_line, environ, config_file).read()


def _current_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it is gone
        return None


def _fall_back(merged: Source, environ: Mapping[str, str]) -> None:
    """Add what variables of other servers say of settings that no source gives."""
    for setting in SETTINGS:
        variable = setting.fallback
        if variable is None or not environ.get(variable.name):
            continue
        if setting.name == "bind":
            given = any(_is_given(name, merged) for name in ("bind", *_HIDDEN_BY))
        else:
            given = setting.name in merged
        if given:
            continue
        value = setting.parse(environ[variable.name], variable.name, variable.kind)
        merged[setting.name] = variable.name, value


def _give_way(merged: Source, source: Source, notes: list[Note]) -> None:
    """Drop from the weaker sources what would hide an address that `source` gives: `--port` is
    meant, also where a file has a `bind`.
    """
    for name, hiding in _HIDDEN_BY.items():
        for other in hiding:
            if _is_given(name, source) and other in merged and other not in source:
                origin, _ = merged.pop(other)
                stronger = source[name][0]
                notes.append(Note("info", f"{other} ({origin}) gives way to {name} ({stronger})"))


def _is_given(name: str, source: Source) -> bool:
    """Say whether `source` gives an address by `name`, and not that there is none."""
    return name in source and source[name][1] not in (None, ())


def _drop_threads(merged: Source, file: FileValues, notes: list[Note]) -> None:
    """Drop the threads of a file of Gunicorn's where the interface, whoever says it, has none."""
    interface = merged.get("interface", ("", "auto"))[1]
    threads = file.gunicorn_threads
    if threads is None or interface in ("auto", "wsgi"):
        return
    if merged.get("blocking_threads") == (file.origin, threads):
        del merged["blocking_threads"]
        if isinstance(threads, int) and threads > 1:
            text = f"{file.origin}: threads: has no effect with the interface {interface}"
            notes.append(Note("warning", text))


def _option(name: str) -> str:
    return "argument TARGET" if name == "target" else BY_NAME[name][0].option


def _read_environment(environ: Mapping[str, str], notes: list[Note]) -> Source:
    """Return the variable and the value by setting name for the `GRANITE_*` variables in `environ`.

    An empty variable is a value only where the setting can be empty, see `_is_blank`. A variable
    that looks like a setting and is none adds to `notes`. Raises UsageError for a wrong value, and
    for a setting that is given by two names.
    """
    values: Source = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        if _is_service_link(variable, text):
            continue
        name = variable[len(_PREFIX) :].lower()
        found = BY_NAME.get(name) if variable.isupper() else None
        if found is None:
            hint = suggestion(name, BY_NAME)
            notes.append(
                Note("warning", f"the variable {variable} names no setting{hint}: ignored")
            )
            continue
        setting, kind = found
        if not text and _is_blank(setting, kind):
            continue
        if setting.name in values:
            other = values[setting.name][0]
            raise UsageError(f"{variable}: the same setting as {other}; give one")
        values[setting.name] = variable, setting.parse(text, variable, kind)
    return values


def _is_blank(setting: Setting, kind: Kind) -> bool:
    """Say whether the empty text is no value of a setting, so that an empty variable, as compose
    files make them, counts as not set. An empty list is a value where the default is another one.
    """
    if kind.several:
        return not setting.default
    try:
        kind.read("")
    except ValueError:
        return True
    return False


def _is_service_link(variable: str, text: str) -> bool:
    """Say whether Kubernetes has set this variable for a Service called granite, or granite-…."""
    if "_SERVICE_HOST" in variable or "_SERVICE_PORT" in variable:
        return True
    if variable.endswith("_PORT"):
        return "://" in text
    return "_PORT_" in variable and any(word in variable for word in ("_TCP", "_UDP", "_SCTP"))
