"""The kinds of values: each a function that makes the `Kind` for a row of the table.

Owns reading a value from text or from Python, and its way back to text. Must not know which setting
it reads. Pure functions: any thread may call them. Without `re`, whose import would cost the arbiter
a megabyte.
"""

from __future__ import annotations

from granite.settings.address import Address
from granite.settings.base import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.base import Value

__all__ = [
    "addresses",
    "boolean",
    "choice",
    "flag_choice",
    "header_value",
    "integer",
    "items",
    "log_config",
    "mebibytes",
    "milliseconds",
    "mode",
    "path",
    "paths",
    "seconds",
    "size",
    "text",
    "url_prefix",
]

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}
_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off"))


def text(*, optional: bool = False) -> Kind:
    """Any line of text, the empty one included; with `optional`, None and the empty one are None."""

    def read(value: object) -> str | None:
        if optional and (value is None or value == ""):
            return None
        return _line(value)

    return Kind("one line of text", "TEXT", read, show=_shown_text)


def header_value() -> Kind:
    """The value of an HTTP field: visible ASCII and inner spaces (RFC 9110, section 5.5), or
    empty.
    """

    def read(value: object) -> str:
        if (
            not isinstance(value, str)
            or not value.isascii()
            or not value.isprintable()
            or value != value.strip()
        ):
            raise ValueError
        return value

    return Kind("printable ASCII", "TEXT", read)


def url_prefix() -> Kind:
    """The path of a URL without its last slash, such as `/api`; empty or None: none."""

    def read(value: object) -> str:
        if value is None:
            return ""
        if not isinstance(value, str) or (value and not value.startswith("/")):
            raise ValueError
        if value.endswith("/") or not value.isprintable():
            raise ValueError
        return value

    return Kind("a path that starts and does not end with a slash, such as /api", "PATH", read)


def path() -> Kind:
    """A path of the file system as text; None and the empty text: none."""

    def read(value: object) -> str | None:
        return None if value is None or value == "" else _path(value)

    return Kind("a path", "PATH", read, show=_shown_text)


def paths() -> Kind:
    """Several paths of the file system; as text with commas between."""
    return _several("a list of paths", "PATH", _path, ",")


def items(expected: str, metavar: str, separator: str = ",") -> Kind:
    """Several words; as text with `separator` between."""
    return _several(expected, metavar, _line, separator)


def addresses() -> Kind:
    """Several addresses to listen on, see `granite.settings.address`; as text with commas between."""

    def read(value: object) -> str:
        return str(Address.parse(_line(value)))

    return _several(
        "an address, HOST:PORT, [IPV6]:PORT, unix:PATH, unix:@NAME or fd://NUMBER",
        "ADDRESS",
        read,
        ",",
    )


def choice(*choices: str, synonyms: dict[str, str] | None = None) -> Kind:
    """One of `choices`, in any case. `synonyms` are further spellings."""

    def read(value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # `http = 2`
        # An enumeration of another server, such as Loops.uvloop, has its word as its value.
        value = getattr(value, "value", value)
        if not isinstance(value, str):
            raise ValueError
        word = value.lower()
        word = (synonyms or {}).get(word, word)
        if word not in choices:
            raise ValueError
        return word

    return Kind("one of " + ", ".join(choices), "|".join(choices), read, choices=choices)


def boolean() -> Kind:
    """True or false; as text also 1, yes, on and 0, no, off."""

    def read(value: object) -> bool:
        found = _truth(value)
        if found is None:
            raise ValueError
        return found

    return Kind("true or false", "", read, show=_shown_boolean, flags=(True, False))


def flag_choice(*choices: str, on: str, off: str) -> Kind:
    """One of `choices`; true and the bare option mean `on`, false and `--no-…` mean `off`."""

    def read(value: object) -> str:
        if isinstance(value, str) and value.lower() in choices:
            return value.lower()
        found = _truth(value)
        if found is None:
            raise ValueError
        return on if found else off

    expected = "one of " + ", ".join(choices)
    return Kind(expected, "|".join(choices), read, choices=choices, flags=(on, off))


def integer(minimum: int, maximum: int, *, optional: bool = False) -> Kind:
    """A decimal integer within a range; with `optional`, None and the empty text are None."""

    def read(value: object) -> int | None:
        if optional and (value is None or value == ""):
            return None
        return _bounded(_integer(value), minimum, maximum)

    return Kind(f"an integer from {minimum} to {maximum}", "INTEGER", read, show=_shown_text)


def mode() -> Kind:
    """The permission bits of a file; as text octal, such as `660`; None and the empty text: none."""

    def read(value: object) -> int | None:
        if value is None or value == "":
            return None
        if isinstance(value, str):
            digits = value[2:] if value[:2] in ("0o", "0O") else value
            if not digits.isascii() or not digits.isdigit():
                raise ValueError
            value = int(digits, 8)
        return _bounded(_integer(value), 0, 0o7777)

    def show(value: Value) -> str:
        return f"{value:04o}" if isinstance(value, int) else ""

    return Kind("permission bits in octal, such as 0660", "MODE", read, show=show)


def size(minimum: int, maximum: int) -> Kind:
    """A number of bytes: `4096`, `64k`, `1m`, `1g` (binary multiples)."""

    def read(value: object) -> int:
        return _bounded(_bytes(value, 1), minimum, maximum)

    expected = f"a size from {_shown_size(minimum)} to {_shown_size(maximum)}, such as 65536 or 64k"
    return Kind(expected, "BYTES", read, show=_shown_size)


def mebibytes(minimum: int, maximum: int) -> Kind:
    """A number of MiB as plain number, or a size with its unit: `512`, `512m`, `2g`; None: none."""

    def read(value: object) -> int | None:
        if value is None or value == "":
            return None
        return _bounded(_bytes(value, 1024**2) // 1024**2, minimum, maximum)

    expected = f"MiB from {minimum} to {maximum}, such as 512, 512m or 2g"
    return Kind(expected, "MIB", read, show=_shown_text)


def seconds(maximum: float, minimum: float = 0.0, *, optional: bool = False) -> Kind:
    """A duration in seconds: `30`, `0.5`, `30s`, `500ms`, `5m`, `1h30m`; with `optional`, None and
    the empty text are None.
    """

    def read(value: object) -> float | None:
        if optional and (value is None or value == ""):
            return None
        return _within(_duration(value), minimum, maximum)

    expected = f"seconds from {minimum:g} to {maximum:g}, such as 30, 500ms or 5m"
    return Kind(expected, "SECONDS", read, show=_shown_number)


def milliseconds(maximum: float) -> Kind:
    """A duration that is given in milliseconds, or with a unit; the final value is in seconds. None
    means none: 0.
    """

    def read(value: object) -> float:
        if value is None or value == "":
            return 0.0
        if isinstance(value, str) and value[-1:].isalpha():
            return _within(_duration(value), 0.0, maximum / 1000)
        return _within(_duration(value), 0.0, maximum) / 1000

    return Kind(f"milliseconds from 0 to {maximum:g}", "MILLISECONDS", read, show=_shown_number)


def log_config() -> Kind:
    """A dictionary of `logging.config.dictConfig`, as text the path of a JSON, TOML or INI file that
    holds one, or JSON; None and the empty text: none.
    """

    def read(value: object) -> str | dict[str, object] | None:
        if value is None or value == "" or value == {}:
            return None
        if isinstance(value, str) and value.lstrip().startswith("{"):
            import json

            value = json.loads(value)
        if isinstance(value, dict):
            return value
        return _path(value)

    def show(value: Value) -> str:
        if isinstance(value, dict):
            import json

            return json.dumps(value, default=str)
        return _shown_text(value)

    return Kind("the path of a JSON, TOML or INI file, or a dictionary", "PATH", read, show=show)


def _several(expected: str, metavar: str, read_one: object, separator: str) -> Kind:
    def read(value: object) -> tuple[str, ...]:
        assert callable(read_one)
        if value is None:
            return ()
        if isinstance(value, str):
            value = [word.strip() for word in value.split(separator) if word.strip()]
        elif hasattr(value, "__fspath__"):
            value = [value]
        if not isinstance(value, (list, tuple, set, frozenset)):
            raise ValueError
        return tuple(read_one(item) for item in value)

    def show(value: Value) -> str:
        assert isinstance(value, tuple)
        return separator.join(value)

    return Kind(expected, metavar, read, show=show, several=True)


def _line(value: object) -> str:
    if not isinstance(value, str) or "\n" in value or "\r" in value or "\0" in value:
        raise ValueError
    return value


def _path(value: object) -> str:
    if hasattr(value, "__fspath__"):
        value = value.__fspath__()
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError
    return value


def _truth(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        lowered = value.lower()
        if lowered in _TRUE:
            return True
        if lowered in _FALSE:
            return False
    return None


def _integer(value: object) -> int:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int):
        return value
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise ValueError
    return int(value)


def _bytes(value: object, unit: int) -> int:
    if isinstance(value, str) and value[-1:].lower() in _SIZE_UNITS:
        value, unit = value[:-1], _SIZE_UNITS[value[-1].lower()]
    return _integer(value) * unit


def _duration(value: object) -> float:
    """Read a number of seconds, or numbers with units such as `1h30m`."""
    if isinstance(value, str):
        return _units(value) if value[-1:].isalpha() else _number(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    return float(value)


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


def _bounded(value: int, minimum: int, maximum: int) -> int:
    if not minimum <= value <= maximum:
        raise ValueError
    return value


def _within(value: float, minimum: float, maximum: float) -> float:
    if not minimum <= value <= maximum:  # also refuses NaN
        raise ValueError
    return value


def _shown_text(value: Value) -> str:
    return "" if value is None else str(value)


def _shown_number(value: Value) -> str:
    return "" if value is None else str(value).removesuffix(".0")


def _shown_boolean(value: Value) -> str:
    return "true" if value else "false"


def _shown_size(value: Value) -> str:
    assert isinstance(value, int)
    for suffix in ("g", "m", "k"):
        unit = _SIZE_UNITS[suffix]
        if value >= unit and value % unit == 0:
            return f"{value // unit}{suffix}"
    return str(value)
