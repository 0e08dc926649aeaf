"""What a setting is: one row with its name, kind, default, range and help, and the parsers behind
the kinds.

Owns reading a value from text or from Python and saying in one line what is wrong with it. Must not
know where the value came from (that prefix is the caller's) nor what it is used for. Pure
functions: any thread may call them.
"""

from __future__ import annotations

from granite.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Value: TypeAlias = "str | int | float | bool | None"

__all__ = [
    "Kind",
    "Section",
    "Setting",
    "boolean",
    "choice",
    "header_value",
    "integer",
    "path",
    "seconds",
    "size",
    "text",
    "url_prefix",
]

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3}
_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off"))


class Kind:
    """How the values of a setting are read: what is expected (for messages and help) and the
    function that reads.

    `read` gets text (environment, command line) or a Python value (config file, keyword argument),
    and returns the final value or raises ValueError; the message of that error is not shown.
    """

    __slots__ = ("choices", "expected", "is_flag", "metavar", "read")

    def __init__(
        self,
        expected: str,
        metavar: str,
        read: Callable[[object], Value],
        *,
        choices: tuple[str, ...] = (),
        is_flag: bool = False,
    ) -> None:
        self.expected = expected
        self.metavar = metavar
        self.read = read
        self.choices = choices
        self.is_flag = is_flag


class Setting:
    """One row of the table.

    `name` is the attribute of `Config`; the option is `--name-with-dashes` (and `--no-…` for a
    boolean), the variable is `GRANITE_NAME`. `default` is a final value and is not parsed.
    """

    __slots__ = ("default", "help", "kind", "name")

    def __init__(self, name: str, kind: Kind, default: Value, help: str) -> None:  # noqa: A002
        self.name = name
        self.kind = kind
        self.default = default
        self.help = help

    @property
    def option(self) -> str:
        """The long option on the command line, such as `--log-level`."""
        return "--" + self.name.replace("_", "-")

    @property
    def negative_option(self) -> str | None:
        """The option that turns a boolean off, such as `--no-access-log`; None for every other
        kind.
        """
        return "--no-" + self.name.replace("_", "-") if self.kind.is_flag else None

    @property
    def variable(self) -> str:
        """The environment variable, such as `GRANITE_LOG_LEVEL`."""
        return "GRANITE_" + self.name.upper()

    def parse(self, value: object, origin: str) -> Value:
        """Return the final value of `value`; raise UsageError, in one line that names `origin`, if
        it is wrong.
        """
        try:
            return self.kind.read(value)
        except ValueError:
            raise UsageError(f"{origin}: expected {self.kind.expected}, got {value!r}") from None


class Section:
    """A titled group of settings, in the order in which help shows them."""

    __slots__ = ("settings", "title")

    def __init__(self, title: str, *settings: Setting) -> None:
        self.title = title
        self.settings = settings


def text() -> Kind:
    """Any string, the empty one included."""

    def read(value: object) -> str:
        if not isinstance(value, str) or "\n" in value or "\r" in value or "\0" in value:
            raise ValueError
        return value

    return Kind("one line of text", "TEXT", read)


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
    """The path of a URL without its last slash, such as `/api`, or empty."""

    def read(value: object) -> str:
        if not isinstance(value, str) or (value and not value.startswith("/")):
            raise ValueError
        if value.endswith("/") or not value.isprintable():
            raise ValueError
        return value

    return Kind("a path that starts and does not end with a slash, such as /api", "PATH", read)


def path() -> Kind:
    """A path of the file system as text; None where nothing is set."""

    def read(value: object) -> str | None:
        if value is None:
            return None
        if hasattr(value, "__fspath__"):
            value = value.__fspath__()
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError
        return value

    return Kind("a path", "PATH", read)


def choice(*choices: str) -> Kind:
    """One of `choices`, in any case."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value.lower() not in choices:
            raise ValueError
        return value.lower()

    return Kind("one of " + ", ".join(choices), "|".join(choices), read, choices=choices)


def boolean() -> Kind:
    """True or false; as text also 1, yes, on and 0, no, off."""

    def read(value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            lowered = value.lower()
            if lowered in _TRUE:
                return True
            if lowered in _FALSE:
                return False
        raise ValueError

    return Kind("true or false", "", read, is_flag=True)


def integer(minimum: int, maximum: int) -> Kind:
    """A decimal integer within a range."""

    def read(value: object) -> int:
        return _bounded(_integer(value), minimum, maximum)

    return Kind(f"an integer from {minimum} to {maximum}", "INTEGER", read)


def size(minimum: int, maximum: int) -> Kind:
    """A number of bytes: `4096`, `64k`, `1m`, `1g` (binary multiples)."""

    def read(value: object) -> int:
        unit = 1
        if isinstance(value, str) and value[-1:].lower() in _SIZE_UNITS:
            value, unit = value[:-1], _SIZE_UNITS[value[-1].lower()]
        return _bounded(_integer(value) * unit, minimum, maximum)

    return Kind(f"a size from {minimum} to {maximum} bytes, such as 65536 or 64k", "BYTES", read)


def seconds(maximum: float) -> Kind:
    """A duration in seconds from 0 to `maximum`: `30`, `0.5`, `30s`, `500ms`, `5m`, `1h`."""

    def read(value: object) -> float:
        unit = 1.0
        if isinstance(value, str):
            digits = value.rstrip("abcdefghijklmnopqrstuvwxyz")
            suffix = value[len(digits) :]
            if suffix:
                if suffix not in _DURATION_UNITS:
                    raise ValueError
                value, unit = digits, _DURATION_UNITS[suffix]
            if not _is_plain_number(value):
                raise ValueError
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError
        result = float(value) * unit
        if not 0 <= result <= maximum:  # also refuses NaN
            raise ValueError
        return result

    return Kind(f"seconds from 0 to {maximum:g}, such as 30, 500ms or 5m", "SECONDS", read)


def _integer(value: object) -> int:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int):
        return value
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise ValueError
    return int(value)


def _is_plain_number(value: str) -> bool:
    whole, _, fraction = value.partition(".")
    return value.isascii() and (whole + fraction).isdigit()


def _bounded(value: int, minimum: int, maximum: int) -> int:
    if not minimum <= value <= maximum:
        raise ValueError
    return value
