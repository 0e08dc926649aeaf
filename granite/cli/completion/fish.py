"""The completion script for fish.

Owns the script's text. Must not know how arguments are read. Runs on the main thread.
"""

from __future__ import annotations

from granite.cli import COMMANDS
from granite.cli.arguments import CONFIG_OPTIONS, HELP_OPTIONS
from granite.cli.completion.words import (
    DIRECTORY,
    FILE,
    OF_METAVARS,
    SHELLS,
    offered,
    values_of,
)
from granite.cli.help import SWITCHES
from granite.settings import SETTINGS

__all__ = ["script"]


def script() -> str:
    """Return the script for fish."""
    lines = [
        "# fish completion for granite; made by `granite completion fish`",
        "complete -c granite -f",
    ]
    for name, (_, purpose) in COMMANDS.items():
        lines.append(
            f"complete -c granite -n __fish_use_subcommand -a {name} -d {_fished(purpose)}"
        )
    lines.append(_fish_option(("run", "check"), list(CONFIG_OPTIONS), "config file", FILE))
    for setting in offered():
        names = [name for name in (setting.short, setting.option) if name]
        flag = bool(setting.kind.flags) and not setting.kind.choices
        values = None if flag else values_of(setting)
        lines.append(_fish_option(("run", "check"), names, setting.help, values))
        if setting.negative_option:
            negative = [setting.negative_option]
            lines.append(_fish_option(("run", "check"), negative, setting.help, None))
    for command, own in SWITCHES.items():
        lines += [
            _fish_option((command,), [name], text, OF_METAVARS.get(name))
            for name, text in own.items()
        ]
        lines.append(_fish_option((command,), list(HELP_OPTIONS), "show the options", None))
    arguments = {
        "settings": [setting.name for setting in SETTINGS],
        "completion": list(SHELLS),
        "help": list(COMMANDS),
    }
    for command, words in arguments.items():
        lines.append(f"{_fish_start((command,))} -a {_fished(' '.join(words))}")
    return "\n".join(lines) + "\n"


def _fish_start(commands: tuple[str, ...]) -> str:
    seen = f"__fish_seen_subcommand_from {' '.join(commands)}"
    return f"complete -c granite -n {_fished(seen)}"


def _fish_option(
    commands: tuple[str, ...],
    names: list[str],
    text: str,
    values: str | tuple[str, ...] | None,
) -> str:
    line = _fish_start(commands)
    for name in names:
        line += f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
    if values is not None:
        line += " -r" if values == FILE else " -x"
    if isinstance(values, tuple):
        line += f" -a {_fished(' '.join(values))}"
    elif values == FILE:
        line += " -F"
    elif values == DIRECTORY:
        line += " -a '(__fish_complete_directories)'"
    return f"{line} -d {_fished(text)}"


def _fished(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
