"""Where values come from, and which one wins: default < file < environment < command line.

Owns the order of the sources and the reading of the environment. Must not know how the command line
is parsed nor how a file is found; it gets those sources as mappings. Runs in the arbiter, before the
fork.
"""

from __future__ import annotations

from granite.settings import BY_NAME, SETTINGS
from granite.settings.config import Config, suggestion
from granite.settings.files import FileValues, read_config_file
from granite.settings.hooks import Hooks
from granite.settings.rules import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from granite.settings.base import Value

__all__ = ["CONFIG_VARIABLE", "Loaded", "load", "read_environment"]

CONFIG_VARIABLE = "GRANITE_CONFIG"
_PREFIX = "GRANITE_"
# The file's path, and what steers the build of the extensions (setup.py).
_OTHER_VARIABLES = frozenset((CONFIG_VARIABLE, "GRANITE_DEBUG", "GRANITE_JOBS", "GRANITE_SANITIZE"))


class Loaded:
    """What the sources say together.

    `origins` tells for each setting that is not at its default where its value came from. `notes`
    are remarks for the log.
    """

    __slots__ = ("config", "hooks", "notes", "origins")

    def __init__(
        self, config: Config, hooks: Hooks, origins: dict[str, str], notes: list[Note]
    ) -> None:
        self.config = config
        self.hooks = hooks
        self.origins = origins
        self.notes = notes


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
    notes: list[Note] = []
    file = read_config_file(config_file or environ.get(CONFIG_VARIABLE) or None)
    notes += file.notes
    values: dict[str, Value] = {}
    origins: dict[str, str] = {}
    for found, origin in (
        *_sources(file, environ, notes),
        *(({name: value}, _option(name)) for name, value in command_line.items()),
    ):
        values.update(found)
        origins.update(dict.fromkeys(found, origin))
    config, remarks = Config.of(values)
    return Loaded(config, file.hooks, origins, notes + _reserved(values) + remarks)


def _sources(
    file: FileValues, environ: Mapping[str, str], notes: list[Note]
) -> list[tuple[dict[str, Value], str]]:
    sources: list[tuple[dict[str, Value], str]] = []
    for setting in SETTINGS:
        if setting.fallback is not None and environ.get(setting.fallback):
            value = setting.parse(environ[setting.fallback], setting.fallback)
            sources.append(({setting.name: value}, setting.fallback))
    sources.append((file.values, file.origin))
    for name, (variable, value) in read_environment(environ, notes).items():
        sources.append(({name: value}, variable))
    return sources


def _option(name: str) -> str:
    return "argument TARGET" if name == "target" else BY_NAME[name][0].option


def _reserved(values: Mapping[str, Value]) -> list[Note]:
    names = [
        setting.name
        for setting in SETTINGS
        if setting.reserved and values.get(setting.name, setting.default) != setting.default
    ]
    if not names:
        return []
    return [Note("warning", f"no effect in this release: {', '.join(names)}")]


def read_environment(environ: Mapping[str, str], notes: list[Note]) -> dict[str, tuple[str, Value]]:
    """Return the variable and the value by setting name for the `GRANITE_*` variables in `environ`.

    An empty variable counts as an empty value, not as absent. A variable that looks like a setting
    and is none adds to `notes`. Raises UsageError for a wrong value.
    """
    values: dict[str, tuple[str, Value]] = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        name = variable[len(_PREFIX) :].lower()
        found = BY_NAME.get(name) if variable.isupper() else None
        if found is None:
            hint = suggestion(name, BY_NAME)
            notes.append(
                Note("warning", f"the variable {variable} names no setting{hint}: ignored")
            )
        else:
            setting, kind = found
            values[setting.name] = variable, setting.parse(text, variable, kind)
    return values
