"""The help pages: `granite --help`, `granite COMMAND --help`.

Owns their text, which for options follows from the table of settings. Must not know how arguments
are read. Runs on the main thread.
"""

from __future__ import annotations

from granite import __version__
from granite.cli import COMMANDS
from granite.cli.output import bold, entry
from granite.settings import SECTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.base import Setting

__all__ = ["METAVARS", "SWITCHES", "default_of", "of_command", "overview", "value_of"]

_COLUMN = 30
# A list of words that is longer is moved to the right-hand column.
_LONGEST_METAVAR = 16

_ADDRESS = "Where its metrics are, such as http://127.0.0.1:9090."
_CONFIG = "Config file whose settings say where its metrics are."
# command -> the options that are its own
SWITCHES: dict[str, dict[str, str]] = {
    "run": {},
    "check": {
        "--all": "Show every setting, not only those that are not at their defaults.",
        "--json": "Print one JSON object instead of text.",
    },
    "stats": {
        "--address": _ADDRESS,
        "--config": _CONFIG,
        "--json": "Print all numbers as one JSON object.",
    },
    "top": {
        "--address": _ADDRESS,
        "--config": _CONFIG,
        "--interval": "Time between two looks. [default:\xa01]",
        "--once": "Print what happens in one interval, and end.",
    },
    "settings": {
        "--json": "Print JSON: a list of objects, or one with NAME.",
        "--markdown": "Print the reference page.",
    },
    "certs": {},
    "version": {"--json": "Print one JSON object instead of text."},
    "completion": {},
    "help": {},
}
# Those of them that take a value, with a word for it.
METAVARS = {"--address": "URL", "--config": "FILE", "--interval": "SECONDS"}

_ABOUT: dict[str, str] = {
    "run": """\
TARGET is "module:attribute", such as package.main:app; the attribute is "app"
where it is left out. It may also come from the config file or GRANITE_TARGET.

Every option is also a variable, --log-level is GRANITE_LOG_LEVEL, and a key of
the config file, log_level. The command line wins over variables, these win over
the file. --no-FLAG takes a flag back. Durations read 30, 500ms, 5m or 1h30m,
sizes 65536, 64k or 1m.
""",
    "check": """\
Reads the settings as run does, with the same options, then checks what can be
checked without serving (it opens no sockets), imports the application and calls
its factory. Prints the settings that are not at their defaults, and where each
value comes from.

The exit status is 0 if all is well, 2 if a setting is wrong, 3 if the
application cannot be loaded, and 1 if something that the settings name is not
there, such as a user or a file. granite run --help tells of TARGET and of how
values are written.
""",
    "stats": """\
Asks a running server, which has to serve metrics (--metrics), what it and its
workers have done since they were started, and prints a table. The percentiles
are those of all requests until now, estimated from buckets.

Without --address the server is asked where the settings say: those of the
config file, the variables and the defaults. The exit status is 1 if no server
answers there, and 2 if a setting or an option is wrong.
""",
    "top": """\
Shows, and renews as long as it runs, what each worker of a running server does:
requests per second and their latencies, requests in flight, connections, how
late the event loop's timers run, and memory. The server has to serve metrics
(--metrics). q or Ctrl-C quits. Where standard output is no terminal, it is as
with --once.

It needs the package rich: pip install 'granite[top]'. Server and exit status
are those of granite stats.
""",
    "settings": """\
NAME is a setting, one of its other names, its option or its variable:
log_level, loglevel, --log-level, GRANITE_LOG_LEVEL. Without it all settings are
listed by section, also those that have no effect in this release.
""",
    "certs": """\
Makes an authority and a certificate for localhost, or for the names and
addresses given behind dev, in the folder certs, and shows how to serve with it
and how to have it trusted.
""",
    "version": """\
Shows the versions of granite, Python and the libraries inside, the optional
packages that are installed, and what this build can do.
""",
    "completion": """\
Prints a script for the shell. Write it to where the shell looks for such:

  bash    ~/.local/share/bash-completion/completions/granite
  zsh     a directory of $fpath, as _granite
  fish    ~/.config/fish/completions/granite.fish
""",
    "help": """\
Shows what granite can do, or what COMMAND can do.
""",
}


def overview() -> str:
    """Return the page of `granite --help`."""
    lines = [f"granite {__version__}, an application server for Python", ""]
    lines += ["usage: granite COMMAND [arguments]", "", bold("Commands:")]
    for command, (arguments, purpose) in COMMANDS.items():
        lines += entry(f"{command} {arguments}".rstrip(), purpose, _COLUMN)
    text = "\n".join(lines) + "\n\n" + bold("Options of run and check:") + "\n\n" + _ABOUT["run"]
    return text + _options()


def of_command(command: str) -> str:
    """Return the page of `granite COMMAND --help`."""
    arguments, _ = COMMANDS[command]
    usage = f"usage: granite {command} {arguments}".rstrip()
    own = SWITCHES[command]
    if own and command != "check":
        usage += "".join(f" [{_with_value(switch)}]" for switch in own)
    text = f"{usage}\n\n{_ABOUT[command]}"
    if own:
        lines = ["", bold("Options:")]
        for switch, meaning in own.items():
            lines += entry("    " + _with_value(switch), meaning, _COLUMN)
        text += "\n".join(lines) + "\n"
    return text + _options() if command in ("run", "check") else text


def _with_value(switch: str) -> str:
    """Return an option of a command with the word for its value, if it takes one."""
    return f"{switch} {METAVARS.get(switch, '')}".rstrip()


def _option_of(setting: Setting) -> str:
    """Return a setting's options with a word for the value, such as `-w, --workers INTEGER`."""
    name = setting.option.removeprefix("--")
    if setting.kind.flags:
        name = f"[no-]{name}"
    short = f"{setting.short}, " if setting.short else "    "
    return f"{short}--{name}{value_of(setting)}"


def default_of(setting: Setting) -> str:
    """Return the remark on a setting's default, behind its help; empty where it says nothing."""
    if setting.default in (None, False, (), ""):
        return ""
    default = "on" if setting.default is True else setting.show(setting.default)
    return f" [default:\xa0{default}]"


def value_of(setting: Setting) -> str:
    """Return what stands behind a setting's option for its value; nothing for a flag."""
    kind = setting.kind
    if kind.flags:
        return f"[={kind.metavar}]" if kind.choices else ""
    is_long = kind.choices and len(kind.metavar) > _LONGEST_METAVAR
    return " WORD" if is_long else f" {kind.metavar}"


def _options() -> str:
    lines = ["", bold("Config file:")]
    text = "Python or TOML file with settings; without it GRANITE_CONFIG, or in the working "
    text += "directory granite.conf.py or pyproject.toml."
    lines += entry("-c, --config FILE", text, _COLUMN)
    for section in SECTIONS:
        shown = [setting for setting in section.settings if not setting.reserved]
        if shown:
            lines += ["", bold(f"{section.title}:")]
        for setting in shown:
            lines += entry(_option_of(setting), _meaning(setting), _COLUMN)
    lines += ["", "granite settings describes each, also those that have no effect yet."]
    return "\n".join(lines) + "\n"


def _meaning(setting: Setting) -> str:
    text = setting.help
    kind = setting.kind
    if value_of(setting) == " WORD":
        text += f" One of {', '.join(kind.choices)}."
    if kind.several:
        text += " May be repeated."
    return text + default_of(setting)
