"""Facts about the machine that a figure means nothing without.

Owns reading them from ``/proc`` and ``/etc``; holds nothing that identifies a particular machine
(no host name, no path).
"""

from __future__ import annotations

import os
import platform
from pathlib import Path


def _field(path: str, name: str, separator: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return "?"
    for line in lines:
        key, _, value = line.partition(separator)
        if key.strip() == name:
            return value.strip().strip('"')
    return "?"


def describe() -> dict[str, str]:
    """Return name → value: processor, cores, memory, system, kernel, load at this moment."""
    kib = _field("/proc/meminfo", "MemTotal", ":").split()[0]
    memory = f"{int(kib) / (1 << 20):.0f} GiB" if kib.isdigit() else "?"
    return {
        "processor": _field("/proc/cpuinfo", "model name", ":"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": memory,
        "system": _field("/etc/os-release", "PRETTY_NAME", "="),
        "kernel": platform.release(),
        "load before the run": f"{os.getloadavg()[0]:.2f}",
    }
