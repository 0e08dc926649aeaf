"""The completion script for bash.

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
    names_of,
    offered,
    values_of,
)
from granite.cli.help import SWITCHES
from granite.settings import SETTINGS

__all__ = ["script"]

_BASH = """\
# bash completion for granite; made by `granite completion bash`

_granite() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} words=""
    # --option=value reaches us as three words
    if [[ $current == "=" ]]; then
        current=""
    elif [[ $previous == "=" ]]; then
        previous=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        words="{commands}"
        COMPREPLY=( $(compgen -W "$words" -- "$current") )
        return
    fi
    case ${{COMP_WORDS[1]}} in
        run|check)
            case $previous in
{cases}
            esac
            words="{options}"
            [[ ${{COMP_WORDS[1]}} == check ]] && words+=" {check}"
            [[ $current == -* ]] || return
            ;;
        stats|top)
            case $previous in
{own_cases}
            esac
            words="{stats}"
            [[ ${{COMP_WORDS[1]}} == top ]] && words="{top}"
            ;;
        settings) words="{settings}" ;;
        version) words="{version}" ;;
        completion) words="{shells}" ;;
        help) words="{commands}" ;;
    esac
    COMPREPLY=( $(compgen -W "$words" -- "$current") )
}}

complete -F _granite granite
"""


def script() -> str:
    """Return the script for bash."""
    cases = [
        _case(list(CONFIG_OPTIONS), FILE),
        *(
            _case(names_of(setting), values_of(setting))
            for setting in SETTINGS
            if not setting.kind.flags
        ),
    ]
    return _BASH.format(
        commands=" ".join(COMMANDS),
        cases="\n".join(cases),
        options=" ".join(_run_options()),
        check=" ".join(SWITCHES["check"]),
        own_cases="\n".join(_case([name], values) for name, values in OF_METAVARS.items()),
        stats=" ".join(SWITCHES["stats"]),
        top=" ".join(SWITCHES["top"]),
        settings=" ".join([*SWITCHES["settings"], *(setting.name for setting in SETTINGS)]),
        version=" ".join(SWITCHES["version"]),
        shells=" ".join(SHELLS),
    )


def _run_options() -> list[str]:
    options = [*CONFIG_OPTIONS, *HELP_OPTIONS]
    for setting in offered():
        options += filter(None, (setting.short, setting.option, setting.negative_option))
    return options


def _case(names: list[str], values: str | tuple[str, ...]) -> str:
    pattern = " " * 16 + "|".join(names)
    if values == ANYTHING:
        return f"{pattern}) return ;;"
    if isinstance(values, tuple):
        found = f'compgen -W "{" ".join(values)}"'
        return f'{pattern}) COMPREPLY=( $({found} -- "$current") ); return ;;'
    flag = "-d" if values == DIRECTORY else "-f"
    return (
        f"{pattern})\n"
        f"{' ' * 20}compopt -o filenames 2>/dev/null\n"
        f"{' ' * 20}local IFS=$'\\n'\n"
        f'{" " * 20}COMPREPLY=( $(compgen {flag} -- "$current") )\n'
        f"{' ' * 20}return ;;"
    )
