"""`granite check`: whether this configuration would serve this application.

Owns the order of the checks, what is printed, and the exit status. Must not know how a single check
is made. Runs on the main thread of a process of its own.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import redirect_stdout
from typing import Any

from granite import __version__
from granite.cli.arguments import Arguments, read
from granite.cli.help import SWITCHES, of_command
from granite.cli.output import write
from granite.errors import EXIT_OK, GraniteError, LoadError
from granite.log import write_error
from granite.settings import SETTINGS
from granite.settings.load import Loaded, load
from granite.settings.rules import require_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from granite.settings.base import Setting

__all__ = ["main"]


class Outcome:
    """What was found: the settings (None where they could not be read), what is wrong, and the
    interface of the application (None where it could not be loaded).
    """

    def __init__(self) -> None:
        self.loaded: Loaded | None = None
        self.errors: list[GraniteError] = []
        self.interface: str | None = None

    @property
    def exit_code(self) -> int:
        """The highest status of the errors, which is that of an application that does not load; 0
        without one.
        """
        return max((exc.exit_code for exc in self.errors), default=EXIT_OK)


def main(arguments: Sequence[str]) -> int:
    """Run `granite check` with `arguments`; return the exit status."""
    outcome = Outcome()
    earlier = threading.enumerate()
    everything = as_json = False
    try:
        found = read(arguments, tuple(SWITCHES["check"]))
        if found.help:
            write(of_command("check"))
            return EXIT_OK
        everything, as_json = "--all" in found.switches, "--json" in found.switches
        # What the application prints while it is imported is not part of the answer.
        with redirect_stdout(sys.stderr):
            _check(found, outcome)
    except GraniteError as exc:
        as_json = as_json or "--json" in arguments
        outcome.errors.append(exc)
    if as_json:
        _write_json(outcome, everything)
    else:
        _write_text(outcome, everything)
    _end_threads(earlier, outcome.exit_code)
    return outcome.exit_code


def _check(found: Arguments, outcome: Outcome) -> None:
    """Fill `outcome`; raises GraniteError for settings that are wrong or not served."""
    loaded = load(found.values, os.environ, found.config_file)
    outcome.loaded = loaded
    config = loaded.config
    require_target(config)

    from granite import environment
    from granite.cli import checks

    try:
        environment.prepare(config)
        outcome.errors += checks.look_at_surroundings(config, loaded.notes)
        outcome.interface = checks.load_application(config, loaded.notes)
    except GraniteError as exc:
        outcome.errors.append(exc)
    except KeyboardInterrupt:  # of the terminal, or the application's own
        outcome.errors.append(LoadError(f"cannot load {config.target!r}: it was interrupted"))


def _shown(loaded: Loaded, everything: bool) -> list[Setting]:
    """Return the settings to show: those given, and those not at their defaults."""
    return [
        setting
        for setting in SETTINGS
        if everything
        or setting.name in loaded.origins
        or getattr(loaded.config, setting.name) != setting.default
    ]


def _origin(loaded: Loaded, setting: Setting) -> str:
    found = loaded.origins.get(setting.name)
    if found is not None:
        return found
    at_default = getattr(loaded.config, setting.name) == setting.default
    return "default" if at_default else "other settings"


def _write_text(outcome: Outcome, everything: bool) -> None:
    lines: list[str] = []
    if outcome.loaded is not None:
        lines += _table(outcome.loaded, everything)
        lines += [f"{note.level}: {note.text}" for note in outcome.loaded.notes]
        if not outcome.errors:
            lines.append(f"ok: {outcome.loaded.config.target} loads ({outcome.interface})")
    if lines:
        write("\n".join(lines) + "\n")
    for exc in outcome.errors:
        write_error(f"granite: {exc.report}")


def _table(loaded: Loaded, everything: bool) -> list[str]:
    rows = []
    for setting in _shown(loaded, everything):
        value = setting.masked(getattr(loaded.config, setting.name))
        text = "none" if value in (None, ()) else setting.show(value) or '""'
        rows.append((setting.name, text, _origin(loaded, setting)))
    if loaded.hooks.names():
        rows.append(("hooks", ", ".join(loaded.hooks.names()), "config file"))
    names = max((len(name) for name, _, _ in rows), default=0)
    # A value that is longer than most does not push the others' origins to the right.
    texts = max((len(text) for _, text, _ in rows if len(text) <= 40), default=0)
    return [f"{name:<{names}}  {text:<{texts}}  ({origin})" for name, text, origin in rows]


def _write_json(outcome: Outcome, everything: bool) -> None:
    import json

    loaded = outcome.loaded
    settings: dict[str, Any] = {}
    if loaded is not None:
        for setting in _shown(loaded, everything):
            value = setting.masked(getattr(loaded.config, setting.name))
            settings[setting.name] = {"value": value, "origin": _origin(loaded, setting)}
    document = {
        "granite": __version__,
        "ok": not outcome.errors,
        "exit_code": outcome.exit_code,
        "target": loaded.config.target if loaded is not None else None,
        "interface": outcome.interface,
        "settings": settings,
        "hooks": loaded.hooks.names() if loaded is not None else [],
        "notes": [
            {"level": note.level, "text": note.text}
            for note in (loaded.notes if loaded is not None else ())
        ],
        "errors": [
            {
                "exit_code": exc.exit_code,
                "text": str(exc),
                "details": exc.details,
            }
            for exc in outcome.errors
        ],
    }
    write(json.dumps(document, indent=2, default=str) + "\n")


def _end_threads(earlier: list[threading.Thread], status: int) -> None:
    """End the process here if the application has started a thread that would keep it alive."""
    if any(not thread.daemon for thread in threading.enumerate() if thread not in earlier):
        sys.stderr.flush()
        os._exit(status)
