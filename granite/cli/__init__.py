"""The command line: `granite run TARGET [options]` and the commands beside it.

Owns the list of commands and what becomes of an error. Must not know what a command does: each has
its module, which is imported when the command is given, so that a server's arbiter holds none of
the others. Runs on the main thread; in a worker process it is what calls the worker.
"""

from __future__ import annotations

import os
import sys

from granite.cli.arguments import HELP_OPTIONS, read
from granite.errors import EXIT_OK, GraniteError, UsageError
from granite.settings import suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "main"]

# command -> its arguments and what it does, for help and completion
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("[TARGET] [options]", "serve an application"),
    "check": ("[TARGET] [options]", "check the settings and load the application"),
    "stats": ("", "show what a running server has done"),
    "top": ("", "watch what the workers of a running server do"),
    "settings": ("[NAME]", "describe all settings, or one"),
    "certs": ("dev [NAME ...]", "make a certificate for this machine"),
    "version": ("", "show the versions of granite's parts"),
    "completion": ("bash|zsh|fish", "print a completion script for a shell"),
    "help": ("[COMMAND]", "show the options of a command"),
}
# The status of a process that Ctrl-C has ended, as shells have it.
_EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status. `arguments` are those of the process where not
    given.
    """
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except GraniteError as exc:
        from granite.log import write_error

        write_error(f"granite: {exc.report}")
        return exc.exit_code
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        raise UsageError(f"expected a command, {_names()}; see granite --help")
    command, *rest = arguments
    if command == "run":
        return _run(rest)
    if command in HELP_OPTIONS:
        command = "help"
    elif command in ("--version", "-V"):
        command = "version"
    elif command not in COMMANDS:
        raise UsageError(_unknown(command))
    if command == "help":
        return _help([argument for argument in rest if argument not in HELP_OPTIONS])
    if command != "check" and any(option in rest for option in HELP_OPTIONS):
        return _help([command])
    return _other(command, rest)


def _run(arguments: list[str]) -> int:
    found = read(arguments)
    if found.help:
        return _help(["run"])

    from granite.launch import serve
    from granite.settings.load import load

    return serve(load(found.values, os.environ, found.config_file))


def _help(arguments: list[str]) -> int:
    from granite.cli import help as page
    from granite.cli.output import write

    if not arguments:
        write(page.overview())
    elif len(arguments) > 1:
        raise UsageError(f"help: expected one command, got {' '.join(map(repr, arguments))}")
    elif arguments[0] not in COMMANDS:
        raise UsageError(_unknown(arguments[0]))
    else:
        write(page.of_command(arguments[0]))
    return EXIT_OK


def _other(command: str, arguments: list[str]) -> int:
    if command == "check":
        from granite.cli.check import main as run_command
    elif command == "stats":
        from granite.cli.stats import main as run_command
    elif command == "top":
        from granite.cli.top import main as run_command
    elif command == "settings":
        from granite.cli.reference import main as run_command
    elif command == "certs":
        from granite.cli.certs import main as run_command
    elif command == "version":
        from granite.cli.version import main as run_command
    else:
        from granite.cli.completion import main as run_command
    return run_command(arguments)


def _names() -> str:
    *most, last = COMMANDS
    return f"{', '.join(most)} or {last}"


def _unknown(command: str) -> str:
    hint = f"; did you mean granite run {command}?" if ":" in command else ""
    return f"expected a command, {_names()}, got {command!r}{hint or suggestion(command, COMMANDS)}"
