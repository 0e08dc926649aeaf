"""The kinds of values that are numbers: each a function that makes the `Kind` for a row.

Owns integers, durations, sizes and permission bits, and their way back to text. Must not know which
setting it reads. Pure functions: any thread may call them. Without `re`, as the module kinds.
"""

from __future__ import annotations

import sys

from granite.settings.base import Kind, decimal, is_absent, show_optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from granite.settings.base import Value

    Number = TypeVar("Number", int, float)

__all__ = ["integer", "mebibytes", "milliseconds", "mode", "rate", "seconds", "size"]

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}
# Decimal numbers whose digits are a usual mode or mask in octal, and which are none themselves.
_OCTAL_DIGITS = frozenset(
    (22, 26, 27, 37, 77, 137, 177, *(n for n in range(0o1000, 778) if set("89").isdisjoint(str(n))))
)


def integer(minimum: int, maximum: int, *, optional: bool = False) -> Kind:
    """A decimal integer within a range; with `optional`, None and the empty text are None."""

    def read(value: object) -> int | None:
        if optional and is_absent(value):
            return None
        return _within(_integer(value), minimum, maximum)

    return Kind(f"an integer from {minimum} to {maximum}", "INTEGER", read, show=show_optional)


def rate(maximum: int) -> Kind:
    """A number per second, or with its unit of time: `10`, `0.5`, `30/m`, `5/h`; 0, or at least one
    per hour. The final value is per second.
    """

    def read(value: object) -> float:
        per = 1.0
        if isinstance(value, str) and value[-2:-1] == "/":
            per = _DURATION_UNITS[value[-1]] if value[-1] in "smh" else 0.0
            value = value[:-2]
        found = _number(value) if isinstance(value, str) else _duration(value)
        if not per:
            raise ValueError
        return _within(found / per, 1 / 3600, maximum) if found else 0.0

    expected = f"a number from 0 to {maximum} per second, such as 10, 0.5 or 30/m"
    return Kind(expected, "RATE", read, show=_shown_number)


def mode() -> Kind:
    """The permission bits of a file; text is octal, such as `660`; None and empty text: none.

    A number such as 660 or 22 is refused: it was meant to be octal, and has other bits.
    """

    def read(value: object) -> int | None:
        if is_absent(value):
            return None
        if isinstance(value, str):
            digits = value[2:] if value[:2] in ("0o", "0O") else value
            if not digits.isascii() or not digits.isdigit():
                raise ValueError
            value = int(digits, 8)
        elif isinstance(value, int) and value in _OCTAL_DIGITS:
            raise ValueError
        return _within(_integer(value), 0, 0o7777)

    def show(value: Value) -> str:
        return f"{value:04o}" if isinstance(value, int) else ""

    return Kind('permission bits in octal, such as 0o660 or "0660"', "MODE", read, show=show)


def size(minimum: int, maximum: int) -> Kind:
    """A number of bytes: `4096`, `64k`, `1m`, `1g` (binary multiples)."""

    def read(value: object) -> int:
        return _within(_bytes(value, 1), minimum, maximum)

    expected = f"a size from {_shown_size(minimum)} to {_shown_size(maximum)}, such as 65536 or 64k"
    return Kind(expected, "BYTES", read, show=_shown_size)


def mebibytes(minimum: int, maximum: int, *, optional: bool = False) -> Kind:
    """A number of MiB as plain number, or a size with its unit: `512`, `512m`, `2g`; with
    `optional`, None and the empty text are None.
    """

    def read(value: object) -> int | None:
        if optional and is_absent(value):
            return None
        return _within(_bytes(value, 1024**2) // 1024**2, minimum, maximum)

    expected = f"MiB from {minimum} to {maximum}, such as 512, 512m or 2g"
    return Kind(expected, "MIB", read, show=show_optional)


def seconds(maximum: float, minimum: float = 0.0, *, optional: bool = False) -> Kind:
    """A duration in seconds: `30`, `0.5`, `30s`, `500ms`, `5m`, `1h30m`; with `optional`, None and
    the empty text are None.
    """

    def read(value: object) -> float | None:
        if optional and is_absent(value):
            return None
        return float(_within(_duration(value), minimum, maximum))

    examples = (
        "30, 500ms or 5m" if minimum < 1 else "30, 90s or 5m" if minimum < 30 else "90, 5m or 1h"
    )
    expected = f"seconds from {minimum:.15g} to {maximum:.15g}, such as {examples}"
    return Kind(expected, "SECONDS", read, show=_shown_number)


def milliseconds(maximum: float) -> Kind:
    """A duration that is given in milliseconds, or with a unit; the final value is in seconds. None
    means none: 0.
    """

    def read(value: object) -> float:
        if value is None:
            return 0.0
        if isinstance(value, str) and value[-1:].isalpha():
            return float(_within(_duration(value), 0.0, maximum / 1000))
        return _within(_duration(value), 0.0, maximum) / 1000

    def show(value: Value) -> str:
        assert isinstance(value, float)
        return f"{round(value * 1000, 6):.15g}"

    return Kind(f"milliseconds from 0 to {maximum:.15g}", "MILLISECONDS", read, show=show)


def _integer(value: object) -> int:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        raise ValueError
    return decimal(value, sys.maxsize)


def _bytes(value: object, unit: int) -> int:
    if isinstance(value, str) and value[-1:].lower() in _SIZE_UNITS:
        value, unit = value[:-1], _SIZE_UNITS[value[-1].lower()]
    return _integer(value) * unit


def _duration(value: object) -> float:
    """Read a number of seconds, or numbers with units such as `1h30m`. An integer stays one: it may
    be too large for a float.
    """
    if isinstance(value, str):
        return _units(value) if value[-1:].isalpha() else _number(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    return value


def _units(value: str) -> float:
    total = 0.0
    while value:
        digits = value[: len(value) - len(value.lstrip("0123456789."))]
        unit = value[len(digits) :]
        unit = unit[: len(unit) - len(unit.lstrip("dhms"))]
        if unit not in _DURATION_UNITS:
            raise ValueError
        total += _number(digits) * _DURATION_UNITS[unit]
        value = value[len(digits) + len(unit) :]
    return total


def _number(value: str) -> float:
    whole, _, fraction = value.partition(".")
    if not value.isascii() or not (whole + fraction).isdigit():
        raise ValueError
    return float(value)


def _within(value: Number, minimum: float, maximum: float) -> Number:
    if not minimum <= value <= maximum:  # also refuses NaN
        raise ValueError
    return value


def _shown_number(value: Value) -> str:
    return show_optional(value).removesuffix(".0")


def _shown_size(value: Value) -> str:
    assert isinstance(value, int)
    for suffix in ("g", "m", "k"):
        unit = _SIZE_UNITS[suffix]
        if value >= unit and value % unit == 0:
            return f"{value // unit}{suffix}"
    return str(value)
