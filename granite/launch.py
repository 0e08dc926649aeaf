"""From the settings to a server: what the command line and the library have in common.

Owns the step into a worker, whose modules (asyncio, the C core, the application) are loaded in the
forked child alone. Must not know where the settings came from. Main thread of the arbiter and of
each worker.
"""

from __future__ import annotations

import gc

from granite.arbiter.start import TEMPLATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from granite.arbiter.start import WorkerStart
    from granite.settings.load import Loaded

__all__ = ["serve"]

# New objects between two garbage collections while a worker imports.
_IMPORTING = 100_000


def serve(loaded: Loaded, load_target: Callable[[], Any] | None = None) -> int:
    """Serve what the settings say until a signal ends it; return the exit status of this process,
    which is the arbiter or, after the fork, a worker.

    Workers call `load_target`, where it is given, for the application, instead of loading the
    target. Raises UsageError and BootError for what stands in the way of a start.
    """
    from granite.arbiter.arbiter import run

    return run(loaded, _child_main, load_target)


def _child_main(start: WorkerStart) -> int:
    # Importing makes many objects and little garbage: looking for it meanwhile is a good part of
    # the start. The process goes back to what was before once the application is loaded.
    usual = gc.get_threshold()
    gc.set_threshold(_IMPORTING, *usual[1:])
    if start.index == TEMPLATE:
        from granite.template import main
    else:
        from granite.worker import main
    return main(start, usual)
