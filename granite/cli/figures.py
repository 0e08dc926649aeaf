"""Numbers as people read them in a table.

Owns their notation. Must not know what they measure. Pure functions on the main thread.
"""

from __future__ import annotations

__all__ = ["NOTHING", "duration", "latency", "number", "size"]

# Where there is no number.
NOTHING = "-"


def number(value: float | None) -> str:
    """Return a count or a rate: `0.5`, `12`, `1,234`."""
    if value is None:
        return NOTHING
    if 0 < value < 10 and value != int(value):
        return f"{value:.1f}"
    return f"{value:,.0f}"


def latency(seconds: float | None) -> str:
    """Return a short time: `85us`, `1.25ms`, `320ms`, `2.50s`."""
    if seconds is None:
        return NOTHING
    for scale, unit in ((1e6, "us"), (1e3, "ms")):
        if seconds * scale < 999.5:
            return f"{seconds * scale:.3g}{unit}"
    return f"{seconds:.3g}s"


def duration(seconds: float | None) -> str:
    """Return a long time in its two largest units: `12s`, `3m05s`, `2h10m`, `5d03h`."""
    if seconds is None:
        return NOTHING
    rest = int(seconds)
    if rest < 60:
        return f"{rest}s"
    for unit, length, below, part in (("m", 60, "s", 1), ("h", 3600, "m", 60)):
        if rest < length * (60 if unit == "m" else 24):
            return f"{rest // length}{unit}{rest % length // part:02}{below}"
    return f"{rest // 86400}d{rest % 86400 // 3600:02}h"


def size(octets: int | None) -> str:
    """Return a size: `512 B`, `34.5 MiB`."""
    if octets is None:
        return NOTHING
    value, unit = float(octets), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
