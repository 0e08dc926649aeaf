"""As much of HTTP/1.1 as it takes to be scraped and probed: heads in, whole responses out.

Owns what a request is and what a response looks like. Must not know sockets, nor what is answered.
Pure functions on the arbiter's thread.

The arbiter has no use for the core's parser, which would bring the core. A request is refused
rather than guessed at, and whatever has a body is the last one of its connection.
"""

from __future__ import annotations

__all__ = ["LARGEST_HEAD", "BadRequest", "Request", "head_length", "parse", "response"]

# Bytes; a scraper's head has some hundred.
LARGEST_HEAD = 8192

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
# RFC 9110, section 5.6.2.
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class BadRequest(Exception):  # noqa: N818 (it is answered, and no failure of granite's)
    """What arrives is answered with `status`, and the connection ends."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Request:
    """A request's head; `path` is without the query, `last` says that its connection ends."""

    __slots__ = ("last", "method", "path")

    def __init__(self, method: str, path: str, last: bool) -> None:
        self.method = method
        self.path = path
        self.last = last


def head_length(data: bytes) -> int:
    """Return how many bytes at the start of `data` are a request's head, 0 if it is not complete;
    raise BadRequest if it never will be.
    """
    if data[:1] and data[0] not in _TOKEN and data[:1] not in (b"\r", b"\n"):
        raise BadRequest(400, "expected an HTTP request")  # such as the hello of TLS
    end = data.find(b"\r\n\r\n")
    if end >= LARGEST_HEAD or (end < 0 and len(data) >= LARGEST_HEAD):
        raise BadRequest(431, f"expected a head of at most {LARGEST_HEAD} bytes")
    return end + 4 if end >= 0 else 0


def parse(head: bytes) -> Request:
    """Read a complete head; raise BadRequest if it is none of HTTP/1.x."""
    first, *fields = head[:-4].lstrip(b"\r\n").split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[0] or not _TOKEN.issuperset(words[0]):
        raise BadRequest(400, "expected a request line")
    method, target, version = words
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        known = version[:5] == b"HTTP/" and version[5:].replace(b".", b"").isdigit()
        raise BadRequest(505 if known else 400, "expected HTTP/1.1")
    modern, hosts, last = version == b"HTTP/1.1", 0, False
    keep = modern
    for field in fields:
        name, colon, value = field.partition(b":")
        if not colon or not name or not _TOKEN.issuperset(name):
            raise BadRequest(400, "expected header fields")
        name, value = name.lower(), value.strip(b" \t").lower()
        if name == b"host":
            hosts += 1
        elif name == b"connection":
            keep = (keep or b"keep-alive" in value) and b"close" not in value
        elif name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            last = True  # nobody wants the body, so nobody has to find its end
    if hosts > 1 or (modern and not hosts):
        raise BadRequest(400, "expected one Host field")
    return Request(method.decode("ascii"), _path(target), last or not keep)


def response(
    status: int,
    content_type: str,
    body: bytes,
    *,
    last: bool,
    head_only: bool = False,
    fields: tuple[str, ...] = (),
) -> bytes:
    """Return a whole response; `last` ends its connection, `fields` are further lines of its head,
    `head_only` leaves out the body.
    """
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        *fields,
        f"Connection: {'close' if last else 'keep-alive'}",
        "\r\n",
    )
    return "\r\n".join(head).encode("ascii") + (b"" if head_only else body)


def _path(target: bytes) -> str:
    """Return the path of a request target in origin form or absolute form."""
    text = target.decode("latin-1")
    if not text.startswith("/"):
        scheme, separator, rest = text.partition("://")
        if not separator or scheme.lower() != "http":
            raise BadRequest(400, "expected a path")
        text = "/" + rest.partition("/")[2]
    return text.partition("?")[0]
