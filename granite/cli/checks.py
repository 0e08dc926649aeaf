"""What `granite check` looks at, beyond the settings themselves.

Owns the checks of what settings name (users, files, directories) and the trial import of the
application. Must not know how the outcome is printed. Runs on the main thread of a process of its
own; nothing is listened on, written or left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from granite.errors import BootError, GraniteError
from granite.settings.address import UNIX, Address
from granite.settings.config import Config
from granite.settings.destination import FILE, Destination
from granite.settings.rules import Note

__all__ = ["load_application", "look_at_surroundings"]

_LOGS = ("log_file", "access_log_file")


def look_at_surroundings(config: Config, notes: list[Note]) -> list[GraniteError]:
    """Check what the settings name on this machine; return what is wrong, and add to `notes` what
    is odd. Relative paths are those of the current directory.
    """
    checks = (_identity, _title, _tls, _directories, _log_config, _reload)
    return [error for check in checks if (error := _error_of(check, config, notes)) is not None]


def _error_of(
    check: Callable[[Config, list[Note]], None], config: Config, notes: list[Note]
) -> GraniteError | None:
    try:
        check(config, notes)
    except GraniteError as exc:
        return exc
    return None


def load_application(config: Config, notes: list[Note]) -> str:
    """Import the application as a worker does, or a template; return the name of its interface, and
    add to `notes` what workers could not share of what the import makes.

    Raises LoadError if that fails or what comes of it cannot be served, BootError if the event loop
    is not installed.
    """
    from granite.event_loops import EarlyLoop
    from granite.interfaces import loading
    from granite.interfaces.choice import choose

    assert config.target is not None
    early = EarlyLoop(config.interface, config.loop)
    try:
        if config.preload:
            from granite.sharing import Census

            census = Census()
            app = loading.load(config.target, config.factory)
            notes += [Note("warning", remark) for remark in census.remarks()]
        else:
            with early:
                app = loading.load(config.target, config.factory)
        application = choose(app, config.interface)
        if application.is_async:
            early.get()
    finally:
        early.close()
    return application.title


def _identity(config: Config, notes: list[Note]) -> None:
    from granite.process import Identity

    Identity.look_up(config)
    try:
        Identity.find(config)
    except BootError as exc:  # who checks need not be who serves
        notes.append(Note("warning", str(exc)))


def _title(config: Config, notes: list[Note]) -> None:
    from granite.process import Titles

    Titles(config)


def _tls(config: Config, notes: list[Note]) -> None:
    from granite.secure import read_material

    material = read_material(config)
    if material is not None:
        material.context(lambda text: notes.append(Note("warning", text)))


def _directories(config: Config, notes: list[Note]) -> None:
    notes += [
        Note("warning", f"pythonpath: there is no {path!r}")
        for path in config.pythonpath
        if not Path(path).exists()
    ]
    for path in config.static_path_mount:
        if not Path(path).is_dir():
            raise BootError(f"static_path_mount: there is no directory {path!r}")
    for name, path in _files_to_be(config):
        directory = Path(path).parent
        if not directory.is_dir():
            raise BootError(f"{name}: there is no directory {str(directory)!r} for {path!r}")


def _files_to_be(config: Config) -> list[tuple[str, str]]:
    """Return the files that a server would make, each with its setting."""
    found = [("pid_file", config.pid_file)]
    if config.bind:
        addresses = map(Address.parse, config.bind)
        found += [("bind", address.name) for address in addresses if address.kind == UNIX]
    else:
        found.append(("uds", config.uds))
    for name in _LOGS:
        destination = Destination.parse(getattr(config, name))
        if destination.kind == FILE and config.log and not config.log_config:
            found.append((name, destination.path))
    return [(name, path) for name, path in found if path]


def _reload(config: Config, notes: list[Note]) -> None:
    if config.reload:
        from granite.arbiter.watch import require

        require(config)


def _log_config(config: Config, notes: list[Note]) -> None:
    if config.log_config is not None:
        from granite.log import configuration

        configuration.read(config.log_config)
