"""The command line: `granite run TARGET [options]`, `granite version`.

Owns the commands and the reading of arguments, which follows from the table of settings. The reader
is granite's own: argparse would cost every process of the tree 1.5 MiB and the start 10 ms, and
says less about a mistake. Must not know what a setting is for. Runs on the main thread; in a worker
process it is what calls the worker.
"""

from __future__ import annotations

import gc
import os
import sys

from granite import __version__
from granite.errors import EXIT_OK, GraniteError, UsageError
from granite.log import write_error
from granite.settings import SECTIONS, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from granite.arbiter.arbiter import WorkerStart
    from granite.settings.base import Setting, Value

__all__ = ["main", "parse_run"]

_WIDTH = 80
# New objects between two garbage collections while a worker imports.
_IMPORTING = 100_000
_HELP_OPTIONS = ("-h", "--help")

_HELP = f"""\
granite {__version__}, an application server for Python

usage: granite run TARGET [options]    serve an application
       granite version                 show the versions of granite's parts
       granite COMMAND --help          show the options of a command

TARGET is "module:attribute", such as package.main:app; the attribute is "app"
where it is left out. Every option can also be set by a variable: --log-level
by GRANITE_LOG_LEVEL. The command line wins over the environment.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status. `arguments` are those of the process where not
    given.
    """
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except GraniteError as exc:
        write_error(f"granite: {exc}")
        return exc.exit_code


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        raise UsageError("expected a command: run or version; see granite --help")
    command, *rest = arguments
    if command in _HELP_OPTIONS or command == "help":
        sys.stdout.write(_HELP + _options_help())
        return EXIT_OK
    if command == "run":
        return _run(rest)
    if command in ("version", "--version", "-V"):
        return _version(rest)
    hint = f"; did you mean granite run {command}?" if ":" in command else ""
    raise UsageError(f"expected a command, run or version, got {command!r}{hint}")


def _run(arguments: list[str]) -> int:
    if any(option in arguments for option in _HELP_OPTIONS):
        sys.stdout.write("usage: granite run TARGET [options]\n" + _options_help())
        return EXIT_OK
    target, values = parse_run(arguments)

    from granite.arbiter.arbiter import run
    from granite.settings.load import load

    config = load(values, os.environ, lambda text: write_error(f"granite: {text}"))
    return run(target, config, _worker_main)


def _worker_main(start: WorkerStart) -> int:
    # Importing makes many objects and little garbage: looking for it meanwhile is a good part of
    # the start. The worker goes back to what was before once the application is loaded.
    usual = gc.get_threshold()
    gc.set_threshold(_IMPORTING, *usual[1:])
    # In the child only: asyncio, the C core and the application come with it.
    from granite.worker import main as worker_main

    return worker_main(start, usual)


def _version(arguments: list[str]) -> int:
    if arguments:
        raise UsageError(f"version: expected no argument, got {arguments[0]!r}")
    from granite._core import http1, http2, net, tls

    sys.stdout.write(
        f"granite {__version__}\n"
        f"Python  {sys.version.split()[0]}\n"
        f"libuv   {net.UV_VERSION}\n"
        f"llhttp  {http1.LLHTTP_VERSION}\n"
        f"nghttp2 {http2.NGHTTP2_VERSION}\n"
        f"OpenSSL {tls.OPENSSL_VERSION.removeprefix('OpenSSL ')}\n"
    )
    return EXIT_OK


def parse_run(arguments: Sequence[str]) -> tuple[str, dict[str, Value]]:
    """Read the arguments of `run`; return the target and the final values by setting name.

    Options are `--name VALUE`, `--name=VALUE`, `--flag` and `--no-flag`, before or after the
    target; the last one of a kind wins. Raises UsageError, in one line, for anything else.
    """
    options = _options()
    values: dict[str, Value] = {}
    targets: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            targets.extend(rest)
        elif not argument.startswith("-") or argument == "-":
            targets.append(argument)
        else:
            option, equals, text = argument.partition("=")
            setting, flag = _find(option, options)
            if flag is not None:
                if equals:
                    raise UsageError(f"{option}: expected no value, got {text!r}")
                values[setting.name] = flag
                continue
            if not equals:
                following = next(rest, None)
                if following is None:
                    raise UsageError(f"{option}: expected {setting.kind.expected}, got nothing")
                text = following
            values[setting.name] = setting.parse(text, option)
    if len(targets) != 1:
        got = "nothing" if not targets else " ".join(map(repr, targets))
        raise UsageError(
            f'expected one target, "module:attribute" such as package.main:app, got {got}'
        )
    return targets[0], values


def _options() -> dict[str, tuple[Setting, bool | None]]:
    """Return each option with its setting, and with the value that it sets if it takes none
    itself.
    """
    options: dict[str, tuple[Setting, bool | None]] = {}
    for setting in SETTINGS:
        options[setting.option] = setting, True if setting.kind.is_flag else None
        if setting.negative_option is not None:
            options[setting.negative_option] = setting, False
    return options


def _find(
    option: str, options: dict[str, tuple[Setting, bool | None]]
) -> tuple[Setting, bool | None]:
    found = options.get(option)
    if found is None:
        from granite.settings.config import suggestion

        raise UsageError(f"unknown option {option!r}{suggestion(option, options)}")
    return found


def _options_help() -> str:
    from textwrap import wrap

    lines = []
    for section in SECTIONS:
        lines += ["", f"{section.title}:"]
        for setting in section.settings:
            kind = setting.kind
            name = (
                f"{setting.option}, {setting.negative_option}"
                if kind.is_flag
                else f"{setting.option} {kind.metavar}"
            )
            lines.append(f"  {name}")
            text = f"{setting.help} [{_shown(setting.default)}]"
            lines += wrap(text, _WIDTH - 1, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines) + "\n"


def _shown(default: Value) -> str:
    if default is None or default == "":
        return "default: none"
    if isinstance(default, bool):
        return f"default: {'on' if default else 'off'}"
    return f"default: {default:g}" if isinstance(default, float) else f"default: {default}"
