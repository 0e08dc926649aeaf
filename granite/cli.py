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
from granite.settings import BY_NAME, SECTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from granite.arbiter.arbiter import WorkerStart
    from granite.settings.base import Kind, Setting, Value

__all__ = ["main", "parse_run"]

_WIDTH = 80
# New objects between two garbage collections while a worker imports.
_IMPORTING = 100_000
_CONFIG_OPTIONS = ("-c", "--config")
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
    values, config_file = parse_run(arguments)

    from granite.arbiter.arbiter import run
    from granite.settings.load import load

    loaded = load(values, os.environ, config_file)
    return run(loaded, _worker_main)


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


def parse_run(arguments: Sequence[str]) -> tuple[dict[str, Value], str | None]:
    """Read the arguments of `run`; return the final values by setting name, the target among them,
    and the config file that `--config` names.

    Options are `--name VALUE`, `--name=VALUE`, `--flag` and `--no-flag`, before or after the
    target; the last one of a kind wins, and those of several values add up. Raises UsageError, in
    one line, for anything else.
    """
    options = _options()
    values: dict[str, Value] = {}
    targets: list[str] = []
    config_file = None
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            targets.extend(rest)
        elif not argument.startswith("-") or argument == "-":
            targets.append(argument)
        else:
            option, equals, text = argument.partition("=")
            if option in _CONFIG_OPTIONS:
                config_file = text if equals else _following(rest, option, "a path")
                continue
            setting, kind, flag = _find(option, options)
            if flag is not None and not (equals and setting.kind.choices):
                if equals:
                    raise UsageError(f"{option}: expected no value, got {text!r}")
                values[setting.name] = flag[0]
                continue
            if not equals:
                text = _following(rest, option, kind.expected)
            value = setting.parse(text, option, kind)
            earlier = values.get(setting.name) if kind.several else None
            if isinstance(earlier, tuple) and isinstance(value, tuple):
                value = earlier + value
            values[setting.name] = value
    if len(targets) > 1:
        raise UsageError(
            'expected one target, "module:attribute" such as package.main:app, got '
            + " ".join(map(repr, targets))
        )
    if targets:
        values["target"] = targets[0]
    return values, config_file


def _following(rest: Iterator[str], option: str, expected: str) -> str:
    text = next(rest, None)
    if text is None:
        raise UsageError(f"{option}: expected {expected}, got nothing")
    return text


def _options() -> dict[str, tuple[Setting, Kind, tuple[Value] | None]]:
    """Return each option with its setting, the kind that reads its value, and what it sets if it
    takes no value.
    """
    options: dict[str, tuple[Setting, Kind, tuple[Value] | None]] = {}
    for name, (setting, kind) in BY_NAME.items():
        flags = kind.flags
        dashed = name.replace("_", "-")
        options[f"--{dashed}"] = setting, kind, (flags[0],) if flags else None
        if flags:
            options[f"--no-{dashed}"] = setting, kind, (flags[1],)
        if setting.short is not None:
            options[setting.short] = options[setting.option]
    return options


def _find(
    option: str, options: dict[str, tuple[Setting, Kind, tuple[Value] | None]]
) -> tuple[Setting, Kind, tuple[Value] | None]:
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
                if kind.flags
                else f"{setting.option} {kind.metavar}"
            )
            lines.append(f"  {name}")
            text = f"{setting.help} [{_shown(setting)}]"
            lines += wrap(text, _WIDTH - 1, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines) + "\n"


def _shown(setting: Setting) -> str:
    return f"default: {setting.show(setting.default) or 'none'}"
