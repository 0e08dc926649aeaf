"""The kinds of values: each a function that makes the `Kind` for a row of the table.

Owns reading a value from text or from Python, and its way back to text. Must not know which
setting it reads. Pure functions: any thread may call them. Without `re`, whose import would cost
the arbiter a megabyte.
"""

from __future__ import annotations

from granite.settings.address import Address
from granite.settings.base import Kind, is_absent, show_optional
from granite.settings.destination import EXPECTED, Destination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from granite.settings.base import Value

__all__ = [
    "account",
    "addresses",
    "assignments",
    "boolean",
    "choice",
    "destination",
    "field_name",
    "flag_choice",
    "header_value",
    "items",
    "log_config",
    "path",
    "paths",
    "text",
    "url_prefix",
]

_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off"))
# Fields of messages that servers read or write themselves.
_NO_NAMES = frozenset(
    (
        *("connection", "content-length", "content-type", "cookie", "date", "expect", "host"),
        *("keep-alive", "server", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade"),
        *("authorization", "forwarded", "x-forwarded-for", "x-forwarded-proto"),
    )
)


def text(*, optional: bool = False) -> Kind:
    """Any line of text, also an empty one; with `optional`, None and the empty one are None."""

    def read(value: object) -> str | None:
        if optional and is_absent(value):
            return None
        return _line(value)

    return Kind("one line of text", "TEXT", read, show=show_optional)


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


def field_name() -> Kind:
    """The name of an HTTP field, in letters, digits and hyphens; None and the empty text: none."""

    def read(value: object) -> str | None:
        if is_absent(value):
            return None
        if not isinstance(value, str) or not value.isascii():
            raise ValueError
        name = value.lower()
        if not name.replace("-", "").isalnum() or len(name) > 64 or name in _NO_NAMES:
            raise ValueError
        return name

    return Kind(
        "the name of a field that is nobody else's, such as x-request-id",
        "NAME",
        read,
        show=show_optional,
    )


def account() -> Kind:
    """A user or a group by name or number; None and the empty text: none."""

    def read(value: object) -> str | None:
        if is_absent(value):
            return None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return str(value)
        return _line(value)

    return Kind("a name or a number", "NAME", read, show=show_optional)


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
        return None if is_absent(value) else _path(value)

    return Kind("a path", "PATH", read, show=show_optional)


def paths() -> Kind:
    """Several paths of the file system; as text with commas between."""
    return _several("a list of paths", "PATH", _path, ",")


def destination() -> Kind:
    """Where a log goes, see `granite.settings.destination`."""

    def read(value: object) -> str:
        line = _path(value)
        Destination.parse(_line(line))
        return line

    return Kind(EXPECTED, "DESTINATION", read)


def items(expected: str, metavar: str, separator: str = ",") -> Kind:
    """Several words; as text with `separator` between."""
    return _several(expected, metavar, _line, separator)


def assignments() -> Kind:
    """Several variables, `NAME=VALUE`; as text with commas between, of which only those count that
    another `NAME=` follows.
    """

    def read(value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            words: list[str] = []
            for word in value.split(","):
                if words and not _is_assignment(word.lstrip()):
                    words[-1] += "," + word
                else:
                    words.append(word.strip())
            value = [word for word in words if word]
        value = several.read(value)
        assert isinstance(value, tuple)
        if not all(map(_is_assignment, value)):
            raise ValueError
        return value

    several = items("NAME=VALUE", "NAME=VALUE")
    return Kind("NAME=VALUE", "NAME=VALUE", read, show=several.show, several=True)


def addresses() -> Kind:
    """Several addresses to listen on (`granite.settings.address`); as text with commas between."""

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


def flag_choice(*choices: str, on: str, off: str, synonyms: dict[str, str] | None = None) -> Kind:
    """One of `choices`; true and the bare option mean `on`, false and `--no-…` mean `off`.
    `synonyms` are further spellings.
    """

    def read(value: object) -> str:
        if isinstance(value, str):
            value = (synonyms or {}).get(value.lower(), value.lower())
            if value in choices:
                return value
        found = _truth(value)
        if found is None:
            raise ValueError
        return on if found else off

    expected = "one of " + ", ".join(choices)
    return Kind(expected, "|".join(choices), read, choices=choices, flags=(on, off))


def log_config() -> Kind:
    """A dictionary of `logging.config.dictConfig`, as text the path of a JSON, TOML or INI file
    that holds one, or JSON; None and the empty text: none.
    """

    def read(value: object) -> str | dict[str, object] | None:
        if is_absent(value) or value == {}:
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
        return show_optional(value)

    return Kind("the path of a JSON, TOML or INI file, or a dictionary", "PATH", read, show=show)


def _several(
    expected: str, metavar: str, read_one: Callable[[object], str], separator: str
) -> Kind:
    def read(value: object) -> tuple[str, ...]:
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


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode("utf-8", "surrogateescape")  # refuses surrogates that no byte stands for
    return value


def _line(value: object) -> str:
    line = _text(value)
    if "\n" in line or "\r" in line:
        raise ValueError
    return line


def _path(value: object) -> str:
    if hasattr(value, "__fspath__"):
        value = value.__fspath__()
    if not value:
        raise ValueError
    return _text(value)


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


def _shown_boolean(value: Value) -> str:
    return "true" if value else "false"
