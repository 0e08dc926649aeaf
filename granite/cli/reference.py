"""`granite settings`: the reference of all settings, for the terminal, for programs and for docs/.

Owns the three forms; what they say follows from the table. Must not know the settings' use. Runs on
the main thread. docs/settings.md is `granite settings --markdown`; a test fails when it is stale.
"""

from __future__ import annotations

from granite.cli.help import default_of, value_of
from granite.cli.output import bold, entry, width, wrap, write
from granite.errors import EXIT_OK, UsageError
from granite.settings import BY_NAME, SECTIONS, SETTINGS, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from granite.settings.base import Setting

__all__ = ["describe", "find", "main", "markdown"]

_COLUMN = 30
_NO_EFFECT = "no effect in this release"

_INTRODUCTION = """\
# Settings

<!-- Made by `python -m granite settings --markdown > docs/settings.md`. Do not edit: the text comes
from granite/settings/. -->

Each setting can be given in four places. A later one wins:

1. the default,
2. the config file: `--config FILE`, or the variable `GRANITE_CONFIG`, or in the working directory
   `granite.conf.py` or the table `[tool.granite]` of `pyproject.toml`,
3. a variable, `GRANITE_` and the name in capitals,
4. the command line, `--` and the name with dashes.

All names of a setting work in all four places: `keepalive = 5` in a file is `keep_alive_timeout`.
In a file, and among the variables, only one of them may be given.
A flag, such as `--access-log`, takes no value on the command line; `--no-access-log` takes it back.
Durations are in seconds or have a unit: `30`, `0.5`, `500ms`, `5m`, `1h30m`. Sizes are in bytes or
have a unit: `65536`, `64k`, `1m`. Lists are lists in Python and TOML; in a variable their items
stand in one text, with commas between where the setting does not say otherwise; on the command line
the option may be repeated.

A variable that is empty turns an optional setting off, and counts as not set where the setting
needs a value or is a list. Below the config file, some variables of other servers stand in for the
default; they are listed with their settings.

A setting that is marked “no effect in this release” is accepted and checked, so that a
configuration can already name it; the server says so in a warning.
"""


def main(arguments: Sequence[str]) -> int:
    """Run `granite settings` with `arguments`; return the exit status."""
    names = [argument for argument in arguments if argument not in ("--json", "--markdown")]
    options = [name for name in names if name.startswith("-") and not _is_known(name)]
    if options:
        raise UsageError(f"settings: unknown option {options[0]!r}{_nearest(options[0])}")
    if len(names) > 1:
        raise UsageError(f"settings: expected one name, got {' '.join(map(repr, names))}")
    if "--markdown" in arguments:
        write(markdown())
    elif "--json" in arguments:
        import json

        found = describe(find(names[0])) if names else [describe(each) for each in SETTINGS]
        write(json.dumps(found, indent=2) + "\n")
    else:
        write(_page(find(names[0])) if names else _list())
    return EXIT_OK


def find(name: str) -> Setting:
    """Return the setting that `name` means: its name or an alias, its option or its variable.

    Raises UsageError, which names the nearest one, if there is none.
    """
    for setting in SETTINGS:
        if name in (setting.short, setting.fallback and setting.fallback.name):
            return setting
    found = BY_NAME.get(_key(name))
    if found is None:
        from granite.cli.foreign import HINTS

        hint = HINTS.get("--" + _key(name).replace("_", "-"))
        if hint is not None:
            raise UsageError(f"settings: {name}: {hint}")
        raise UsageError(f"settings: there is no setting {name!r}{_nearest(name)}")
    return found[0]


def _key(name: str) -> str:
    key = name.removeprefix("--").replace("-", "_").lower().removeprefix("granite_")
    if key not in BY_NAME and name.startswith("--no-"):
        return key.removeprefix("no_")
    return key


def _is_known(name: str) -> bool:
    return _key(name) in BY_NAME or any(name == setting.short for setting in SETTINGS)


def _nearest(name: str) -> str:
    return suggestion(_key(name), BY_NAME)


def describe(setting: Setting) -> dict[str, object]:
    """Return everything of a setting as values that JSON has."""
    kind = setting.kind
    section = next(section.title for section in SECTIONS if setting in section.settings)
    default = setting.default
    return {
        "name": setting.name,
        "section": section,
        "help": setting.help,
        "option": setting.option,
        "negative_option": setting.negative_option,
        "short_option": setting.short,
        "variable": setting.variable,
        "fallback_variable": setting.fallback.name if setting.fallback else None,
        "aliases": {alias.name: (alias.kind or kind).expected for alias in setting.aliases},
        "expected": kind.expected,
        "choices": list(kind.choices),
        "several": kind.several,
        "default": list(default) if isinstance(default, tuple) else default,
        "default_text": setting.show(default),
        "reserved": setting.reserved,
    }


def _list() -> str:
    lines: list[str] = []
    for section in SECTIONS:
        lines += [bold(f"{section.title}:")]
        for setting in section.settings:
            text = setting.help + default_of(setting)
            if setting.reserved:
                text += f" ({_NO_EFFECT})"
            lines += entry(setting.name, text, _COLUMN)
        lines.append("")
    lines.append("granite settings NAME tells more of one.")
    return "\n".join(lines) + "\n"


def _page(setting: Setting) -> str:
    lines = [bold(setting.name), *(f"  {line}" for line in wrap(setting.help, width() - 2)), ""]
    for title, text in _facts(setting):
        lines += entry(title, text, 14)
    if setting.reserved:
        lines += entry("effect", _NO_EFFECT.replace("no effect", "none"), 14)
    return "\n".join(lines) + "\n"


def _facts(setting: Setting, code: str = "") -> list[tuple[str, str]]:
    """Return titles and texts; what is to be typed is put between `code`."""

    def typed(*words: str | None) -> str:
        return ", ".join(f"{code}{word}{code}" for word in words if word)

    kind = setting.kind
    option = typed(setting.short, setting.option + value_of(setting), setting.negative_option)
    if kind.several:
        option += ", may be repeated"
    variable = typed(setting.variable)
    if setting.fallback:
        variable += f", or {typed(setting.fallback.name)} where nothing else sets it"
        if setting.fallback.kind is not None:
            variable += f" ({setting.fallback.kind.expected})"
    facts = [("option", option), ("variable", variable), ("key", typed(setting.name))]
    if setting.aliases:
        facts.append(("aliases", _aliases(setting, code)))
    default = setting.show(setting.default)
    facts.append(("default", typed(default) if default else "none"))
    facts.append(("expected", kind.expected))
    return facts


def _aliases(setting: Setting, code: str) -> str:
    return ", ".join(
        f"{code}{alias.name}{code}" + (f" ({alias.kind.expected})" if alias.kind else "")
        for alias in setting.aliases
    )


def markdown() -> str:
    """Return the reference page."""
    lines = [_INTRODUCTION]
    for section in SECTIONS:
        lines += [f"## {section.title}", ""]
        for setting in section.settings:
            lines += [f"### `{setting.name}`", "", setting.help]
            if setting.reserved:
                lines += ["", f"*{_NO_EFFECT.capitalize()}.*"]
            lines += ["", *(f"- {title}: {text}" for title, text in _facts(setting, "`")), ""]
    return "\n".join(lines).rstrip() + "\n"
