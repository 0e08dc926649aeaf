"""Reading the arguments of `run` and `check`, as the table of settings has them.

Owns the notation of options. The reader is granite's own: argparse would cost every process of the
tree 1.5 MiB and the start 10 ms, and says less about a mistake. Must not know what a setting is
for, nor what a command does. Runs in the arbiter, before the fork.
"""

from __future__ import annotations

from granite.errors import UsageError
from granite.settings import BY_NAME, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from granite.settings.base import Kind, Setting, Value

    # The setting, the kind that reads the option's value, and what it sets if it takes none.
    Option: TypeAlias = tuple[Setting, Kind, "tuple[Value] | None"]

__all__ = ["CONFIG_OPTIONS", "HELP_OPTIONS", "Arguments", "options", "read"]

CONFIG_OPTIONS = ("-c", "--config")
HELP_OPTIONS = ("-h", "--help")
# Gunicorn's, for the worker classes that say which interface is served.
_CLASS_OPTIONS = ("-k", "--worker-class")
# Not in the table of settings.
_OTHERS = (*CONFIG_OPTIONS, *_CLASS_OPTIONS)


class Arguments:
    """What a command line says.

    `values` are final values by setting name, the target among them; `config_file` is what
    `--config` names; `switches` are the options of the command itself that were given; `help` tells
    that help was asked for, and the rest was not read.
    """

    __slots__ = ("config_file", "help", "switches", "values")

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}
        self.config_file: str | None = None
        self.switches: set[str] = set()
        self.help = False


def read(arguments: Iterable[str], switches: tuple[str, ...] = ()) -> Arguments:
    """Read the arguments of a command that takes a target and the options of all settings, and
    `switches`, options without a value.

    Options are `--name VALUE`, `--name=VALUE`, `--flag` and `--no-flag`, before or after the
    target, the short ones also `-w4`; the last one of a kind wins, and those of several values add
    up. Raises UsageError, in one line, for anything else.
    """
    known = options()
    found = Arguments()
    targets: list[str] = []
    flag: str | None = None  # the argument before, if it is an option that takes no value
    misplaced: list[tuple[str, str]] = []
    rest = iter(arguments)
    for argument in rest:
        before, flag = flag, None
        if argument == "--":
            targets.extend(rest)
        elif not argument.startswith("-") or argument == "-":
            targets.append(argument)
            if before is not None:
                misplaced.append((before, argument))
        elif argument in HELP_OPTIONS:
            found.help = True
            return found
        elif argument in switches:
            found.switches.add(argument)
        else:
            _read_option(*_split(argument, known), rest, known, found, switches)
            flag = argument if argument in known and known[argument][2] is not None else None
    if len(targets) > 1:
        for option, text in misplaced:
            _refuse_value(option, text, known[option][1])
        raise UsageError(
            'expected one target, "module:attribute" such as package.main:app, got '
            + " ".join(map(repr, targets))
        )
    if targets:
        setting, kind = BY_NAME["target"]
        found.values["target"] = setting.parse(targets[0], "TARGET", kind)
    return found


def options() -> dict[str, Option]:
    """Return each option, under all its names, with what it means."""
    known: dict[str, Option] = {}
    for name, (setting, kind) in BY_NAME.items():
        flags = kind.flags
        dashed = name.replace("_", "-")
        known[f"--{dashed}"] = setting, kind, (flags[0],) if flags else None
        if flags:
            known[f"--no-{dashed}"] = setting, kind, (flags[1],)
        if setting.short is not None:
            known[setting.short] = known[setting.option]
    return known


def _split(argument: str, known: dict[str, Option]) -> tuple[str, str | None]:
    """Return the option and its value where they are one argument: `--name=VALUE`, `-w4`."""
    option, equals, text = argument.partition("=")
    if not argument.startswith("--") and option not in known and option not in _OTHERS:
        short = argument[:2]
        if len(argument) > 2 and (short in known or short in _OTHERS):
            return short, argument[2:]
    return option, text if equals else None


def _read_option(
    option: str,
    text: str | None,
    rest: Iterator[str],
    known: dict[str, Option],
    found: Arguments,
    switches: tuple[str, ...],
) -> None:
    if option in CONFIG_OPTIONS:
        found.config_file = text if text is not None else _following(rest, option, "a path")
        return
    if option in _CLASS_OPTIONS:
        from granite.cli.foreign import interface_of

        text = text if text is not None else _following(rest, option, "a class of workers")
        found.values["interface"] = interface_of(option, text)
        return
    setting, kind, flag = _find(option, known, switches)
    if flag is not None and not (text is not None and _takes_value(option, kind)):
        if text is not None:
            raise UsageError(f"{option}: expected no value, got {text!r}")
        found.values[setting.name] = flag[0]
        return
    if text is None:
        text = _following(rest, option, kind.expected)
    value = setting.parse(text, option, kind)
    earlier = found.values.get(setting.name) if kind.several else None
    if isinstance(earlier, tuple) and isinstance(value, tuple):
        value = earlier + value
    found.values[setting.name] = value


def _refuse_value(option: str, text: str, kind: Kind) -> None:
    """Raise UsageError if `text`, which follows a flag, is meant as its value."""
    try:
        kind.read(text)
    except ValueError:
        return
    if _takes_value(option, kind):
        raise UsageError(f"{option}: expected {option}={text}, got {option} {text}")
    raise UsageError(f"{option}: expected no value, got {text!r}")


def _takes_value(option: str, kind: Kind) -> bool:
    """Say whether a flag may have a value, behind an equals sign."""
    return bool(kind.choices) and not option.startswith("--no-")


def _following(rest: Iterator[str], option: str, expected: str) -> str:
    text = next(rest, None)
    if text is None:
        raise UsageError(f"{option}: expected {expected}, got nothing")
    return text


def _find(option: str, known: dict[str, Option], switches: tuple[str, ...]) -> Option:
    found = known.get(option)
    if found is None:
        from granite.cli import foreign

        foreign.refuse(option)
        raise UsageError(f"unknown option {option!r}{suggestion(option, (*known, *switches))}")
    return found
