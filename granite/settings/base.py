"""What a setting is: one row with its name, kind, default, range and help.

Owns the shape of a row and the message about a wrong value. Must not know where a value came from
(that prefix is the caller's) nor what it is used for. Plain data: any thread may read it.
"""

from __future__ import annotations

from granite.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Value: TypeAlias = "str | int | float | bool | tuple[str, ...] | dict[str, object] | None"

__all__ = [
    "Alias",
    "Kind",
    "Section",
    "Setting",
    "SlipError",
    "decimal",
    "is_absent",
    "show_optional",
]

# Characters of a wrong value that a message repeats.
_MOST_SHOWN = 200


class SlipError(ValueError):
    """A wrong value that is nearly a right one; the message says which."""


class Kind:
    """How the values of a setting are read and shown.

    `expected` says in messages and help what a value looks like. `read` gets text (environment,
    command line) or a Python value (config file, keyword argument), and returns the final value or
    raises ValueError, whose message is shown if it is a SlipError. `show` is its inverse: the text
    that reads as a value. `flags` are the values that `--name` and `--no-name` set, for a kind that
    needs no value on the command line. `several` is true for a kind whose option may be repeated:
    its final values are tuples.
    """

    __slots__ = ("choices", "expected", "flags", "metavar", "read", "several", "show")

    def __init__(
        self,
        expected: str,
        metavar: str,
        read: Callable[[object], Value],
        *,
        show: Callable[[Value], str] = str,
        choices: tuple[str, ...] = (),
        flags: tuple[Value, Value] | None = None,
        several: bool = False,
    ) -> None:
        self.expected = expected
        self.metavar = metavar
        self.read = read
        self.show = show
        self.choices = choices
        self.flags = flags
        self.several = several


class Alias:
    """Another name under which a setting is accepted from every source.

    `kind` reads what is given under this name where that differs from the setting's own, such as a
    number of milliseconds.
    """

    __slots__ = ("kind", "name")

    def __init__(self, name: str, kind: Kind | None = None) -> None:
        self.name = name
        self.kind = kind


class Setting:
    """One row of the table.

    `name` is the attribute of `Config` and the key in files; the option is `--name-with-dashes`
    (and `--no-…` where the kind has flags), the variable is `GRANITE_NAME`. `default` is a final
    value and is not parsed. `fallback` is a variable of other servers that stands in for the
    default, with a kind of its own where it needs one. A `reserved` setting is accepted and
    checked, and has no effect yet. A `secret` one is not shown: not in a message, not by `masked`.
    """

    __slots__ = (
        *("aliases", "default", "fallback", "help", "kind", "name", "reserved", "secret", "short"),
    )

    def __init__(
        self,
        name: str,
        kind: Kind,
        default: Value,
        help: str,  # noqa: A002
        *,
        aliases: tuple[str | Alias, ...] = (),
        short: str | None = None,
        fallback: str | Alias | None = None,
        reserved: bool = False,
        secret: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.help = help
        self.aliases = tuple(Alias(alias) if isinstance(alias, str) else alias for alias in aliases)
        self.short = short
        self.fallback = Alias(fallback) if isinstance(fallback, str) else fallback
        self.reserved = reserved
        self.secret = secret

    @property
    def option(self) -> str:
        """The long option on the command line, such as `--log-level`."""
        return "--" + self.name.replace("_", "-")

    @property
    def negative_option(self) -> str | None:
        """The option that turns a flag off, such as `--no-access-log`; None for every other
        kind.
        """
        return "--no-" + self.name.replace("_", "-") if self.kind.flags else None

    @property
    def variable(self) -> str:
        """The environment variable, such as `GRANITE_LOG_LEVEL`."""
        return "GRANITE_" + self.name.upper()

    def parse(self, value: object, origin: str, kind: Kind | None = None) -> Value:
        """Return the final value of `value`; raise UsageError, in one line that names `origin`, if
        it is wrong.

        Of a member of an enumeration, such as those of Granian, the value is read. `kind` stands in
        for the setting's own: an alias may have another.
        """
        kind = kind or self.kind
        try:
            return kind.read(getattr(value, "value", value))
        except (ValueError, RecursionError) as exc:  # the latter from JSON that is nested too deep
            meant = f" (did you mean {str(exc)!r}?)" if isinstance(exc, SlipError) else ""
            raise UsageError(
                f"{origin}: expected {kind.expected}{self._got(value)}{meant}"
            ) from None

    def _got(self, value: object) -> str:
        if not self.secret:
            return f", got {_shown(value)}"
        if not isinstance(value, str):
            return f", got a value of the type {type(value).__name__}"
        if not self.kind.several:
            return ""
        name, equals, _ = value.partition("=")
        return f", got {_shown(f'{name}=***' if equals else name)}"

    def show(self, value: Value) -> str:
        """Return the text of a final value, which `parse` reads as the same."""
        return self.kind.show(value)

    def masked(self, value: Value) -> Value:
        """Return a final value as it may be shown: *** for a secret, and for that of NAME=VALUE."""
        if not self.secret or not value:
            return value
        if isinstance(value, tuple):
            return tuple(item.partition("=")[0] + "=***" for item in value)
        return "***"


class Section:
    """A titled group of settings, in the order in which help shows them."""

    __slots__ = ("settings", "title")

    def __init__(self, title: str, *settings: Setting) -> None:
        self.title = title
        self.settings = settings


def decimal(text: str, maximum: int) -> int:
    """Read a number in the digits 0 to 9, without sign; raise ValueError if it is none or too
    large.
    """
    if not text.isascii() or not text.isdigit():
        raise ValueError
    number = int(text)
    if number > maximum:
        raise ValueError
    return number


def is_absent(value: object) -> bool:
    """Tell whether `value` says nothing, for a setting that need not be set."""
    return value is None or value == ""


def show_optional(value: Value) -> str:
    """Return a final value as text, None as the empty one."""
    return "" if value is None else str(value)


def _shown(value: object) -> str:
    """Return a wrong value for a message: in one line, and not all of a long one."""
    try:
        text = repr(value).replace("\n", " ")
    except Exception:  # a number of thousands of digits, or somebody's own class
        return f"a value of the type {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
