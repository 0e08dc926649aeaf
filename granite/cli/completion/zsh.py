"""The completion script for zsh.

Owns the script's text. Must not know how arguments are read. Runs on the main thread.
"""

from __future__ import annotations

from granite.cli import COMMANDS
from granite.cli.arguments import CONFIG_OPTIONS, HELP_OPTIONS
from granite.cli.completion.words import (
    ANYTHING,
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

_ZSH = """\
#compdef granite
# zsh completion for granite; made by `granite completion zsh`

_granite() {{
    local -a commands options
    commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    local command=${{words[2]}}
    shift words
    (( CURRENT-- ))
    case $command in
        run|check)
            options=(
{options}
            )
            [[ $command == check ]] && options+=(
{check}
            )
            _arguments -s $options '1:target: ' ;;
        stats) _arguments {stats} ;;
        top) _arguments {top} ;;
        settings) _arguments {settings_switches} '1:setting:({settings})' ;;
        version) _arguments {version_switches} ;;
        completion) _arguments '1:shell:({shells})' ;;
        help) _arguments '1:command:({names})' ;;
    esac
}}

if [[ $funcstack[1] == _granite ]]; then
    _granite "$@"
else
    compdef _granite granite
fi
"""


def script() -> str:
    """Return the script for zsh."""
    indent = " " * 16
    options = [_zsh_option(name, "config file", FILE) for name in CONFIG_OPTIONS]
    options += [_quoted(f"{name}[show the options]") for name in HELP_OPTIONS]
    for setting in offered():
        if setting.kind.flags and not setting.kind.choices:
            options.append(_quoted(f"{setting.option}[{_zsh_text(setting.help)}]"))
        else:
            options += [
                _zsh_option(name, setting.help, values_of(setting), setting.kind.several)
                for name in (setting.short, setting.option)
                if name
            ]
        if setting.negative_option:
            options.append(_quoted(f"{setting.negative_option}[{_zsh_text(setting.help)}]"))
    switches = {
        command: [
            _zsh_option(name, text, OF_METAVARS[name])
            if name in OF_METAVARS
            else _quoted(f"{name}[{_zsh_text(text)}]")
            for name, text in own.items()
        ]
        for command, own in SWITCHES.items()
    }
    return _ZSH.format(
        commands="\n".join(
            " " * 8 + _quoted(f"{name}:{purpose}") for name, (_, purpose) in COMMANDS.items()
        ),
        options="\n".join(indent + option for option in options),
        check="\n".join(indent + option for option in switches["check"]),
        stats=" ".join(switches["stats"]),
        top=" ".join(switches["top"]),
        settings=" ".join(setting.name for setting in SETTINGS),
        settings_switches=" ".join(switches["settings"]),
        version_switches=" ".join(switches["version"]),
        shells=" ".join(SHELLS),
        names=" ".join(COMMANDS),
    )


def _zsh_option(name: str, text: str, values: str | tuple[str, ...], several: bool = False) -> str:
    if isinstance(values, tuple):
        action = f"({' '.join(values)})"
    else:
        action = {FILE: "_files", DIRECTORY: "_files -/", ANYTHING: " "}[values]
    # "=" after a long option: the value may be joined to it or follow it; "+" for a short one.
    joined = "=" if name.startswith("--") else "+"
    return _quoted(f"{'*' if several else ''}{name}{joined}[{_zsh_text(text)}]:value:{action}")


def _zsh_text(text: str) -> str:
    """Return a description without what ends one."""
    return text.replace("[", "(").replace("]", ")").replace("\\", "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
