"""What a server has to make of a stream of bytes: the grammar of RFC 9112 and 9110 as patterns, and
granite's documented answers where they leave a choice.

Owns a second opinion, made in another way than the server's: whole messages, no state between
reads. Knows no limits of size. Must not know servers. Pure functions: any thread may call them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from tests.wire.corpus import Seen

__all__ = ["Reading", "coding_status", "is_continue", "is_host", "read", "target_parts"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_VISIBLE = re.compile(rb"[ -~]*")
_LINE = re.compile(rb"([^ ]+) ([^ ]+) HTTP/([0-9])\.([0-9])")
_FIELD = re.compile(rb"(%b):[ \t]*([\t -~\x80-\xff]*)\r\n(?![ \t])" % _TOKEN)
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)((?:;%b(?:=(?:%b|%b))?)*)\r\n" % (_TOKEN, _TOKEN, _QUOTED))
_NAME = re.compile(rb"((?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?")
_LITERAL = re.compile(rb"\[([^\]]*)\](?::[0-9]*)?")
_FUTURE = re.compile(rb"[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]*)(.*)")
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass
class Reading:
    """The requests that an application sees, and the status of what ends them, or 0."""

    requests: list[Seen] = field(default_factory=list)
    status: int = 0


class _RefusedError(Exception):
    def __init__(self, status: int = 400) -> None:
        self.status = status


@dataclass
class _Head:
    seen: Seen
    absolute: bytes = b""
    host_at: int = -1
    length: bytes | None = None
    chunked: bool = False
    options: set[bytes] = field(default_factory=set)


def read(data: bytes) -> Reading:
    """Read a stream that ends behind `data`."""
    reading = Reading()
    at = 0
    try:
        while True:
            while data.startswith(b"\r\n", at):
                at += 2
            if at == len(data):
                return reading
            head, at = _head(data, at)
            head.seen.body, at = _body(head, data, at)
            reading.requests.append(head.seen)
            stays = head.seen.version == "1.1" or b"keep-alive" in head.options
            if b"close" in head.options or not stays:
                return reading
    except _RefusedError as refused:
        reading.status = refused.status
        return reading


def _head(data: bytes, at: int) -> tuple[_Head, int]:
    end = _VISIBLE.match(data, at).end()  # type: ignore[union-attr]
    if data[end : end + 2] != b"\r\n":
        raise _RefusedError
    head = _request_line(data[at:end])
    at = end + 2
    while data[at : at + 2] != b"\r\n":
        name, value, at = _field_line(data, at)
        _note(head, name, value)
    http11 = head.seen.version == "1.1"
    if (head.host_at < 0 and http11) or (head.chunked and not http11):
        raise _RefusedError
    if int(head.length or b"0") >= 2**63:  # a number that is one, but none of bytes to wait for
        raise _RefusedError
    if head.absolute:
        _replace_host(head)
    return head, at + 2


def _request_line(line: bytes) -> _Head:
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise _RefusedError
    method, target, major, minor = parts.groups()
    if major != b"1" or minor > b"1":
        raise _RefusedError(505)
    if not re.fullmatch(_TOKEN, method):
        raise _RefusedError
    if len(method) > 32 or method in (b"CONNECT", b"TRACE") or method != method.upper():
        raise _RefusedError(501)
    found = target_parts(method, target)
    if found is None:
        raise _RefusedError
    authority, path, query = found
    text = unquote_to_bytes(path).decode("utf-8", "replace")
    version = f"1.{minor.decode()}"
    return _Head(Seen(method.decode(), path, text, query, version, headers=[]), authority)


def target_parts(method: bytes, target: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Authority, path and query of a target in origin-, absolute- or asterisk-form."""
    authority = b""
    if target == b"*" and method == b"OPTIONS":
        return b"", b"*", b""
    rest = target
    if not target.startswith(b"/"):
        found = _ABSOLUTE.fullmatch(target)
        if found is None:
            return None
        authority, rest = found.groups()
        if not authority or authority.startswith(b":") or not is_host(authority):
            return None
        if not rest:
            rest = b"*" if method == b"OPTIONS" else b"/"
    path, _, query = rest.partition(b"?")
    if b"#" in target or _BROKEN.search(path):
        return None
    return authority, path or b"/", query


def is_host(value: bytes) -> bool:
    """`uri-host [":" port]`, without commas."""
    if not value.startswith(b"["):
        return _NAME.fullmatch(value) is not None
    found = _LITERAL.fullmatch(value)
    if found is None:
        return False
    try:
        return _FUTURE.fullmatch(found[1]) is not None or bool(
            b"%" not in found[1] and ipaddress.IPv6Address(found[1].decode("latin-1"))
        )
    except ValueError:
        return False


def _field_line(data: bytes, at: int) -> tuple[bytes, bytes, int]:
    found = _FIELD.match(data, at)
    if found is None or found.end() == len(data):
        raise _RefusedError
    return found[1].lower(), found[2], found.end()


def _note(head: _Head, name: bytes, raw: bytes) -> None:
    value = raw.rstrip(b" \t")
    headers = head.seen.headers
    assert headers is not None
    if name == b"content-length":
        if head.length is not None or head.chunked or not re.fullmatch(rb"[0-9]+", value):
            raise _RefusedError
        if int(value) >= 2**64:
            raise _RefusedError
        head.length = value
    elif name == b"transfer-encoding":
        if head.length is not None or head.chunked or b"\t" in raw[len(value) :]:
            raise _RefusedError
        status = coding_status(value)
        if status:
            raise _RefusedError(status)
        head.chunked = True
    elif name == b"host":
        if head.host_at >= 0 or not is_host(value):
            raise _RefusedError
        head.host_at = len(headers)
    elif name == b"expect" and not is_continue(value):
        raise _RefusedError(417)
    elif name == b"connection":
        head.options.update(element.lower() for element in _elements(value))
    if b"_" not in name:
        headers.append((name, value))


def _elements(value: bytes) -> list[bytes]:
    return [element for one in value.split(b",") if (element := one.strip(b" \t"))]


def coding_status(value: bytes) -> int:
    """The status for a value of Transfer-Encoding, 0 for chunked."""
    if value.lower() == b"chunked":
        return 0
    *first, last = [element.lower() for element in _elements(value)] or [b""]
    return 501 if first and last == b"chunked" and b"chunked" not in first else 400


def is_continue(value: bytes) -> bool:
    """Whether nothing but 100-continue is expected."""
    return all(element.lower() == b"100-continue" for element in _elements(value))


def _replace_host(head: _Head) -> None:
    headers = head.seen.headers
    assert headers is not None
    if head.host_at < 0:
        headers.insert(0, (b"host", head.absolute))
    else:
        headers[head.host_at] = b"host", head.absolute


def _body(head: _Head, data: bytes, at: int) -> tuple[bytes, int]:
    if head.chunked:
        return _chunks(data, at)
    size = int(head.length or b"0")
    if len(data) - at < size:
        raise _RefusedError
    return data[at : at + size], at + size


def _chunks(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        found = _CHUNK.match(data, at)
        if found is None:
            raise _RefusedError
        size, at = int(found[1], 16), found.end()
        if size == 0:
            break
        if data[at + size : at + size + 2] != b"\r\n":
            raise _RefusedError
        body += data[at : at + size]
        at += size + 2
    while data[at : at + 2] != b"\r\n":
        name, _, at = _field_line(data, at)
        if name in (b"content-length", b"transfer-encoding"):
            raise _RefusedError
    return body, at + 2
