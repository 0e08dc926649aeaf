"""The corpus of HTTP/1.1 messages: its file format and its reader.

Owns the format. Must not know how messages are sent. Runs wherever a test asks for it.

A file is a list of `key: value` lines, a line `---`, and the bytes that a client sends. Line breaks
and blanks at the start of a line of the latter mean nothing, so that long messages can be laid out:
what is sent is written with Python's escapes, and `{70000*x}` stands for 70000 times x. Keys:

    why       what the case is about, with the section of the RFC
    request   `METHOD raw-path`: a request that the application sees complete, in order
    path, query, version, header, body
              of the last `request`; `header` (`name value`) is repeated, and either lists all
              fields or is left out; `path` is only needed where it differs from the raw path, and
              only it may hold characters beyond latin-1
    status    the status of the refusal that ends the connection
    then      `open` or `close`: the connection after the last response (default `open`)
    eof       `yes`: the client ends its half of the connection after the bytes
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Case", "Seen", "load"]

ROOT = Path(__file__).parent / "http1"

_REPEAT = re.compile(r"\{(\d+)\*((?:[^}\\]|\\.)+)\}")


@dataclass
class Seen:
    """A request as an application sees it."""

    method: str
    raw_path: bytes
    path: str
    query: bytes = b""
    version: str = "1.1"
    headers: list[tuple[bytes, bytes]] | None = None
    body: bytes = b""


@dataclass
class Case:
    """One file."""

    name: str
    data: bytes
    requests: list[Seen] = field(default_factory=list)
    status: int = 0
    stays_open: bool = True
    ends: bool = False


def unescape(text: str) -> bytes:
    """Return the bytes that a text of the corpus stands for."""
    text = _REPEAT.sub(lambda found: int(found[1]) * found[2], text)
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def load(kind: str) -> list[Case]:
    """Read the folder `kind`, "valid" or "invalid"; ValueError names a file that is wrong."""
    return [_read(path) for path in sorted((ROOT / kind).glob("*.http"))]


def _read(path: Path) -> Case:
    head, separator, data = path.read_text("utf-8").partition("\n---\n")
    if not separator:
        raise ValueError(f"{path}: expected a line ---")
    case = Case(path.stem, unescape("".join(line.lstrip() for line in data.splitlines())))
    for line in head.splitlines():
        key, _, value = line.partition(": ")
        _apply(case, key, value, path)
    return case


def _apply(case: Case, key: str, value: str, path: Path) -> None:
    if key == "request":
        method, _, target = value.partition(" ")
        raw = unescape(target)
        case.requests.append(Seen(method, raw, raw.decode("latin-1")))
    elif key == "status":
        case.status = int(value)
    elif key == "then" and value in ("open", "close"):
        case.stays_open = value == "open"
    elif key == "eof" and value == "yes":
        case.ends = True
    elif key in ("path", "query", "version", "header", "body"):
        _describe(case.requests[-1], key, value)
    elif key != "why":
        raise ValueError(f"{path}: expected one of the format's keys, got {key!r}")


def _describe(seen: Seen, key: str, value: str) -> None:
    if key == "path":
        seen.path = value.encode("latin-1", "backslashreplace").decode("unicode_escape")
    elif key == "version":
        seen.version = value
    elif key == "query":
        seen.query = unescape(value)
    elif key == "body":
        seen.body = unescape(value)
    else:
        name, _, content = value.partition(" ")
        if seen.headers is None:
            seen.headers = []
        seen.headers.append((unescape(name), unescape(content)))
