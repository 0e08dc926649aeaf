"""The priority with which the arbiter gets a CPU when somebody asks how the server does.

Owns this process's nice value while metrics are served. Must not know what is answered. Main thread
of the arbiter.

The arbiter needs next to no CPU, but where busy workers share all of them, an answer that takes
50 µs would wait some milliseconds for its turn. So the arbiter asks for the best priority, which
root may. The kernel gives whatever it forks or starts the usual one back.
"""

from __future__ import annotations

import os

__all__ = ["lower", "raise_"]

_BEST = -20
_USUAL = 0


def raise_() -> bool:
    """Take the best priority; return False where that cannot be had, or where somebody has chosen
    another one for this process.
    """
    if not hasattr(os, "SCHED_RESET_ON_FORK"):
        return False
    try:
        usual = os.getpriority(os.PRIO_PROCESS, 0) == _USUAL
        if not usual or os.sched_getscheduler(0) != os.SCHED_OTHER:
            return False
        os.setpriority(os.PRIO_PROCESS, 0, _BEST)
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    except OSError:
        return False
    return True


def lower() -> None:
    """End `raise_()`: the process may go on with something else."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, _USUAL)
