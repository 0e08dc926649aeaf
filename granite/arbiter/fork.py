"""The fork of a child of the arbiter.

Owns what has to be done around it. Must not know what the child becomes. Main thread of the
arbiter.
"""

from __future__ import annotations

import gc
import os
import sys

from granite.arbiter import signals
from granite.errors import BootError, reason

__all__ = ["flush_streams", "fork", "refused"]


def fork() -> int:
    """Fork, and return the child's process id; 0 in the child, with the arbiter's signals blocked.
    Raises BootError if the system refuses.
    """
    flush_streams()
    # The child's garbage collector would write to every inherited object, and so copy its page.
    if gc.get_freeze_count():
        gc.collect()  # of what came since the last fork: frozen garbage stays for ever
    gc.freeze()
    signals.block()
    try:
        pid = os.fork()
    except OSError as exc:
        signals.unblock()
        raise refused(exc) from None
    if pid:
        signals.unblock()
    return pid


def refused(exc: OSError) -> BootError:
    """Return what is said of an error of the system that stands in the way of a fork."""
    return BootError(f"cannot fork a worker: {reason(exc)}")


def flush_streams() -> None:
    """Write what the standard streams hold, which both processes would write otherwise."""
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 (contextlib costs the arbiter memory)
            stream.flush()
        except (OSError, ValueError, AttributeError):  # noqa: PERF203
            pass  # nobody reads it, or it is closed, or was from the start and is None
