"""Where values come from, and which one wins: default < environment < command line.

Owns the order of the sources and the reading of the environment. Must not know how the command line
is parsed; it gets that source as a mapping. Runs in the arbiter, before the fork.
"""

from __future__ import annotations

from granite.settings import BY_NAME
from granite.settings.config import Config, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from granite.settings.base import Value

__all__ = ["load", "read_environment"]

_PREFIX = "GRANITE_"
# These steer the build of the extensions (setup.py), not the server.
_BUILD_VARIABLES = frozenset(("GRANITE_DEBUG", "GRANITE_JOBS", "GRANITE_SANITIZE"))


def load(
    command_line: Mapping[str, Value],
    environ: Mapping[str, str],
    warn: Callable[[str], None],
) -> Config:
    """Merge the sources into a Config.

    `command_line` holds final values by setting name. `warn` is called with one line for each
    variable that looks like a setting and is none. Raises UsageError, in one line, for a wrong
    value.
    """
    merged: dict[str, Value] = {}
    for source in (read_environment(environ, warn), command_line):
        merged.update(source)
    return Config.of(merged)


def read_environment(environ: Mapping[str, str], warn: Callable[[str], None]) -> dict[str, Value]:
    """Return the values of the `GRANITE_*` variables in `environ` by setting name.

    An empty variable counts as an empty value, not as absent. Raises UsageError for a wrong value.
    """
    values: dict[str, Value] = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX) or variable in _BUILD_VARIABLES:
            continue
        name = variable[len(_PREFIX) :].lower()
        setting = BY_NAME.get(name) if variable.isupper() else None
        if setting is None:
            warn(f"the variable {variable} names no setting{suggestion(name, BY_NAME)}: ignored")
        else:
            values[setting.name] = setting.parse(text, variable)
    return values
