"""What is the same in all workers: surroundings, key material, privileges, the application.

Owns the order of these steps, which a worker takes after its fork, or a template before it forks
any. Must not know which of the two it is, nor how an application is served. Main thread.
"""

from __future__ import annotations

import gc
import os
import stat

from granite import environment
from granite.event_loops import find_event_loop
from granite.interfaces import loading
from granite.secure import read_material

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from granite.arbiter.start import WorkerStart
    from granite.secure import KeyMaterial

__all__ = ["keep", "load", "load_interface", "settle"]


def settle(start: WorkerStart) -> KeyMaterial | None:
    """Become the process that the settings ask for, and return what its connections will be secured
    with; raises GraniteError.
    """
    config = start.config
    environment.load_files(config.env_files)
    # Files are read as whoever started the server.
    material = read_material(config, start.key_files)
    if start.identity is not None:
        if not _can_all_read():
            load_interface(config.interface, config.loop)
        start.identity.assume()
    environment.extend_path(config.pythonpath)
    return material


def load(start: WorkerStart) -> Any:
    """Return the application; raises LoadError."""
    if start.load_target is not None:
        return loading.call(start.load_target)
    assert start.config.target is not None
    return loading.load(start.config.target, start.config.factory)


def load_interface(interface: str, loop: str) -> None:
    """Import what serves an application of `interface`, or for "auto" of any; `loop` is the setting
    of that name. Raises BootError if the event loop is not installed.
    """
    if interface in ("auto", "wsgi"):
        import granite._core.wsgi
        import granite.worker_wsgi
    if interface in ("auto", "rsgi"):
        import granite._core.rsgi
    if interface in ("auto", "asgi", "asginl"):
        import granite._core.asgi
    if interface != "wsgi":
        import granite.worker_async  # noqa: F401

        find_event_loop(loop)


def _can_all_read() -> bool:
    """Say whether the interpreter's library and granite itself are in the reach of any user."""
    for path in (os.__file__, __file__):
        while path != os.sep:
            path = os.path.dirname(path)  # noqa: PTH120
            if not os.stat(path).st_mode & stat.S_IXOTH:  # noqa: PTH116
                return False
    return True


def keep(importing: tuple[int, int, int], thresholds: tuple[int, int, int]) -> None:
    """Tell the garbage collector that what is loaded stays: no collection need look at it again.

    `importing` are the thresholds that were set for the import. Others than these are the
    application's own choice; else they become `thresholds`.
    """
    gc.freeze()
    if gc.get_threshold() == importing:
        gc.set_threshold(*thresholds)
