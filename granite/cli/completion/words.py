"""What completion offers, whichever the shell.

Owns which options are offered and what completes their values. Must not know a shell's language.
Runs on the main thread.
"""

from __future__ import annotations

from granite.cli.help import METAVARS
from granite.settings import BY_NAME, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.base import Setting

__all__ = [
    "ANYTHING",
    "DIRECTORIES",
    "DIRECTORY",
    "FILE",
    "FILES",
    "OF_METAVARS",
    "SHELLS",
    "URLS",
    "names_of",
    "offered",
    "values_of",
]

SHELLS = ("bash", "zsh", "fish")
# Settings whose values are no paths of the file system though their kind's word says so, those
# that are directories, and those that may be files though their kind is text.
URLS = frozenset(("url_path_prefix", "static_path_route"))
DIRECTORIES = frozenset(("working_dir", "pythonpath", "static_path_mount"))
FILES = frozenset(("log_file", "access_log_file"))

# What a value is completed with: its words, or one of these.
FILE, DIRECTORY, ANYTHING = "file", "directory", ""

# The same for the options that are a command's own.
OF_METAVARS = {name: FILE if word == "FILE" else ANYTHING for name, word in METAVARS.items()}


def values_of(setting: Setting) -> str | tuple[str, ...]:
    """Return what completes the value of a setting: words, or FILE, DIRECTORY or ANYTHING."""
    if setting.kind.choices:
        return setting.kind.choices
    if setting.name in DIRECTORIES:
        return DIRECTORY
    if setting.name in FILES or (setting.kind.metavar == "PATH" and setting.name not in URLS):
        return FILE
    return ANYTHING


def names_of(setting: Setting) -> list[str]:
    """Return the options of a setting that take a value, also under its other names."""
    names = [name for name, (other, _) in BY_NAME.items() if other is setting]
    options = ["--" + name.replace("_", "-") for name in names]
    return [*options, setting.short] if setting.short else options


def offered() -> list[Setting]:
    """Return the settings whose options are offered: those that have an effect."""
    return [setting for setting in SETTINGS if not setting.reserved]
