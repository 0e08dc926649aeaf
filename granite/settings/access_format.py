"""The notation of the lines of the access log.

Owns the atoms, the names that other servers have for them, the formats that have a name, and the
reading of a format. Must not know how a value is found nor written. Pure functions: any thread may
call them. Without `re`, whose import would cost the arbiter a megabyte.
"""

from __future__ import annotations

from granite.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # A literal, or an atom: its name, the field's or variable's, the conversion, and how it is
    # aligned: to the left, with zeros, to which width, with which precision (-1: none).
    Operation = str | tuple[str, str, str, bool, bool, int, int]

__all__ = ["ATOMS", "NAMED", "Atom", "compile_format"]

TEXT = "text"
NUMBER = "number"
DURATION = "duration"


class Atom:
    """Something that is known of a request: `aliases` are its names in other servers' formats."""

    __slots__ = ("aliases", "help", "kind", "name")

    def __init__(self, name: str, kind: str, aliases: tuple[str, ...], help: str) -> None:  # noqa: A002
        self.name = name
        self.kind = kind
        self.aliases = aliases
        self.help = help


ATOMS = (
    Atom("client", TEXT, ("client_addr",), "client, `ADDRESS:PORT`; `unix` at a Unix socket"),
    Atom("addr", TEXT, ("h",), "client's address"),
    Atom("client_port", NUMBER, (), "client's port"),
    Atom("server", TEXT, (), "server's end of the connection, `ADDRESS:PORT` or a path"),
    Atom("scheme", TEXT, (), "`http` or `https`"),
    Atom("tls", TEXT, (), "whether the connection has TLS: `yes` or `no`"),
    Atom("method", TEXT, ("m",), "method"),
    Atom("target", TEXT, ("full_path",), "path and query, as they came"),
    Atom("path", TEXT, ("U",), "path, as it came"),
    Atom("query_string", TEXT, ("q",), "query, without its question mark"),
    Atom("protocol", TEXT, ("H",), "protocol, `HTTP/1.1`"),
    Atom("http_version", TEXT, (), "version of HTTP, `1.1`"),
    Atom("request_line", TEXT, ("r",), "request line, `GET /path?query HTTP/1.1`"),
    Atom("status", NUMBER, ("s", "status_code"), "status; none if the client left without one"),
    Atom("referer", TEXT, ("f",), "field Referer"),
    Atom("user_agent", TEXT, ("a",), "field User-Agent"),
    Atom("user", TEXT, ("u",), "user name of a Basic authorization, which nobody has checked"),
    Atom("logname", TEXT, ("l",), "always `-`"),
    Atom("stamp", TEXT, (), "local time, `2026-11-21 12:00:00`"),
    Atom("time", TEXT, (), "local time, `2026-11-21 12:00:00 +0000`"),
    Atom("clf_time", TEXT, ("t",), "local time, `[21/Nov/2026:12:00:00 +0000]`"),
    Atom("iso_time", TEXT, (), "local time, `2026-11-21T12:00:00.250+00:00`"),
    Atom("total_us", NUMBER, ("D",), "µs from the request's head to the end of its response"),
    Atom("total_ms", NUMBER, ("M",), "the same in whole milliseconds"),
    Atom("total_s", NUMBER, ("T",), "the same in whole seconds"),
    Atom("dt_ms", DURATION, (), "the same in milliseconds, `0.250`"),
    Atom("dt_s", DURATION, ("L",), "the same in seconds, `0.000250`"),
    Atom("first_byte_us", NUMBER, (), "µs from the request's head to that of its response"),
    Atom("bytes_in", NUMBER, (), "bytes of the request, head and body, as they were read"),
    Atom("bytes_out", NUMBER, (), "bytes of the response, head and body, as they were written"),
    Atom("body_bytes", NUMBER, ("B", "rbl"), "bytes of the response's body"),
    Atom("clf_bytes", NUMBER, ("b",), "the same, `-` for none"),
    Atom("request_id", TEXT, ("rid",), "request's id, where `request_id_header` is set"),
    Atom("pid", NUMBER, (), "id of the worker's process"),
    Atom("clf_pid", TEXT, ("p",), "the same, `<4711>`"),
    Atom("worker", NUMBER, (), "number of the worker's slot, from 1"),
    Atom("aborted", TEXT, (), "`aborted` where the client has not got all of a response"),
    Atom("mark", TEXT, (), "the same behind a blank, or nothing"),
)
# With the name of a field or variable in them.
_FIELD_OF_REQUEST = "request_field"
_FIELD_OF_RESPONSE = "response_field"

_KNOWN = {name: atom for atom in ATOMS for name in (atom.name, *atom.aliases)}

_DEFAULT = '%(client)s - "%(request_line)s" %(status)s%(mark)s'
_COMMON = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s'
NAMED = {
    "default": _DEFAULT,
    "common": _COMMON,
    "combined": _COMMON + ' "%(f)s" "%(a)s"',
}
_JSON = (
    *("client", "method", "target", "protocol", "status", "scheme", "server", "referer"),
    *("user_agent", "bytes_in", "bytes_out", "first_byte_us", "total_us", "request_id", "worker"),
    "aborted",
)
# What WSGI and CGI call it.
_VARIABLES = {
    "REQUEST_METHOD": "method",
    "PATH_INFO": "path",
    "RAW_URI": "target",
    "REQUEST_URI": "target",
    "QUERY_STRING": "query_string",
    "SERVER_PROTOCOL": "protocol",
    "REMOTE_ADDR": "addr",
    "REMOTE_PORT": "client_port",
    "REMOTE_USER": "user",
    "WSGI.URL_SCHEME": "scheme",
}


def compile_format(
    text: str | None,
    *,
    json: bool = False,
    stamped: bool = True,
    variable: Callable[[str], str | None] = lambda name: None,
) -> list[Operation]:
    """Return the operations that write a line of the format `text`, which is a name or has atoms;
    None is the default one.

    With `json` a line is a JSON object: of what is known by default, else of the format's atoms.
    `stamped` puts the time before the default format. `variable` finds a variable of the process.
    Raises UsageError, in one line, for a mistake.
    """
    if text == "json" or (json and text in (None, "default")):
        return _json([(name, (name, "", "j", False, False, 0, -1)) for name in _JSON])
    _check_name(text)
    prefix = "%(stamp)s " if stamped and text in (None, "default") else ""
    parsed = list(_parse(prefix + NAMED.get(text or "default", text or ""), variable))
    if json:
        return _json(
            [(name, (*op[:2], "j", False, False, 0, -1)) for name, op in parsed if name and op[0]]
        )
    return [op for _, op in parsed]


def _check_name(text: str | None) -> None:
    if text is None or text in NAMED or "%" in text:
        return
    from granite.settings import suggestion

    raise UsageError(
        f"expected {', '.join(NAMED)}, json, or a format with atoms such as %(status)s, "
        f"got {text!r}{suggestion(text, (*NAMED, 'json'))}"
    )


def _json(chosen: Iterable[tuple[str, Operation]]) -> list[Operation]:
    """Operations that write an object with the head that every line of our logs has."""
    plain = (False, False, 0, -1)
    operations: list[Operation] = [
        '{"time": ',
        ("iso_time", "", "j", *plain),
        ', "level": "info", "pid": ',
        ("pid", "", "j", *plain),
        ', "logger": "granite.access"',
    ]
    seen = {"time", "level", "pid", "logger"}
    for name, operation in chosen:
        if name not in seen:
            seen.add(name)
            quoted = name.replace("\\", "\\\\").replace('"', '\\"')
            operations += [f', "{quoted}": ', operation]
    return [*operations, "}"]


def _parse(text: str, variable: Callable[[str], str | None]) -> Iterable[tuple[str, Operation]]:
    """Yield the name that each atom has in `text`, empty for a literal, and its operation."""
    literal = ""
    at = 0
    while at < len(text):
        if text[at] != "%":
            literal += text[at]
            at += 1
        elif text.startswith("%%", at):
            literal += "%"
            at += 2
        else:
            name, spec, at = _atom(text, at)
            operation = _operation(name, spec, variable)
            if isinstance(operation, str):
                literal += operation
                continue
            if literal:
                yield "", literal
            literal = ""
            yield name, operation
    if literal:
        yield "", literal


def _atom(text: str, at: int) -> tuple[str, str, int]:
    """Return the name and the conversion of the atom at `at`, and where it ends."""
    close = text.find(")", at)
    if not text.startswith("%(", at) or close < 0:
        raise UsageError(f"expected %(atom)s, or %% for a percent sign, got {text[at : at + 20]!r}")
    end = close + 1
    while end < len(text) and text[end] in "-+ #0123456789.":
        end += 1
    return text[at + 2 : close], text[close + 1 : end + 1], end + 1


def _operation(name: str, spec: str, variable: Callable[[str], str | None]) -> Operation:
    atom, argument, kind = _look_up(name, variable)
    if atom == "":
        return argument
    conversion = spec[-1:]
    if conversion not in tuple("sdiufF"):
        raise UsageError(f"expected a conversion, s, d or f, after %({name}), got {spec!r}")
    conversion = {"i": "d", "u": "d", "F": "f"}.get(conversion, conversion)
    if kind == TEXT and conversion != "s":
        raise UsageError(f"expected %({name})s, as it is text, got %({name}){spec}")
    flags = spec[: len(spec) - len(spec.lstrip("-+ #0"))]
    width, _, precision = spec[len(flags) : -1].partition(".")
    if not all(
        digits.isdigit() and len(digits) <= 4 for digits in (width or "0", precision or "0")
    ):
        raise UsageError(f"expected a width and a precision such as 8.3, got %({name}){spec}")
    shown = int(precision or "0") if "." in spec else -1
    return (atom, argument, conversion, "-" in flags, "0" in flags, int(width or "0"), shown)


def _look_up(name: str, variable: Callable[[str], str | None]) -> tuple[str, str, str]:
    """Return the atom's own name, the field's that it names, and its kind; no name, but a text, for
    what is the same in all lines.
    """
    if name.startswith("header{") and name.endswith("}"):
        return _FIELD_OF_REQUEST, _field(name, name[7:-1]), TEXT
    if name.startswith("{") and name.endswith("}i"):
        return _FIELD_OF_REQUEST, _field(name, name[1:-2]), TEXT
    if name.startswith("{") and name.endswith("}o"):
        return _FIELD_OF_RESPONSE, _field(name, name[1:-2]), TEXT
    if name.startswith("{") and name.endswith("}e"):
        return _variable(name[1:-2], variable)
    if name not in _KNOWN:
        from granite.settings import suggestion

        names = (*_KNOWN, "header{name}", "{name}i", "{name}o", "{name}e")
        raise UsageError(f"unknown atom {name!r}{suggestion(name, names)}")
    return _KNOWN[name].name, "", _KNOWN[name].kind


def _variable(name: str, variable: Callable[[str], str | None]) -> tuple[str, str, str]:
    """A variable of WSGI's environment, else one of the process."""
    upper = name.upper()
    if upper in _VARIABLES:
        found = _KNOWN[_VARIABLES[upper]]
        return found.name, "", found.kind
    if upper.startswith("HTTP_") or upper in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        field = upper.removeprefix("HTTP_").replace("_", "-")
        return _FIELD_OF_REQUEST, _field(name, field), TEXT
    return "", variable(name) or "-", TEXT


def _field(atom: str, name: str) -> str:
    name = name.strip().lower()
    if (
        not name
        or not name.isascii()
        or not name.isprintable()
        or set(name) & set(' "(),/:;<=>?@[\\]{}')
    ):
        raise UsageError(f"expected the name of a field in {atom!r}, got {name!r}")
    return name
