"""An application of WSGI that notes what it has seen, and what that is of a request.

Owns the notes, by the port of the client. Runs on the threads of the server; a test reads the notes
when the server has answered.
"""

from __future__ import annotations

import dataclasses
import random
from urllib.parse import unquote_to_bytes

from tests.wire import corpus

__all__ = ["WsgiRecorder", "as_wsgi"]

# What is read by turns: read(), readline(), and lines.
_READS = (
    lambda stream: stream.read(),
    lambda stream: b"".join(stream),
    lambda stream: b"".join(iter(lambda: stream.read(7), b"")),
    lambda stream: b"".join(iter(lambda: stream.readline(5), b"")),
    lambda stream: stream.read(3) + b"".join(stream.readlines()),
)


class WsgiRecorder:
    """Notes each request that it has read to its end; reads and answers in the ways of `rng`."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = random.Random(rng.random())
        self.seen: dict[int, list[corpus.Seen]] = {}

    def __call__(self, environ, start_response):
        body = self._rng.choice(_READS)(environ["wsgi.input"])
        self.seen.setdefault(int(environ["REMOTE_PORT"]), []).append(_seen(environ, body))
        fields = [("content-length", "2"), ("x-method", environ["REQUEST_METHOD"])]
        write = start_response("200 OK", fields)
        way = self._rng.randrange(4)
        if way == 0:
            write(b"o")
            return [b"k"]
        return iter([b"o", b"", b"k"]) if way == 1 else [b"ok"]


def _seen(environ, body: bytes) -> corpus.Seen:
    return corpus.Seen(
        environ["REQUEST_METHOD"],
        environ["RAW_URI"].encode("latin-1"),
        environ["PATH_INFO"],
        environ["QUERY_STRING"].encode("latin-1"),
        environ["SERVER_PROTOCOL"].removeprefix("HTTP/"),
        sorted(
            (key.encode("latin-1"), value.encode("latin-1"))
            for key, value in environ.items()
            if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
        ),
        body,
    )


def as_wsgi(seen: corpus.Seen) -> corpus.Seen:
    """What an application of WSGI sees of a request of which one of ASGI sees this."""
    fields: dict[bytes, bytes] = {}
    for name, value in seen.headers or ():
        key = name.upper().replace(b"-", b"_")
        if key not in (b"CONTENT_TYPE", b"CONTENT_LENGTH"):
            key = b"HTTP_" + key
        between = b"; " if name == b"cookie" else b","
        fields[key] = fields[key] + between + value if key in fields else value
    fields.pop(b"HTTP_PROXY", None)
    return dataclasses.replace(
        seen,
        raw_path=seen.raw_path + (b"?" + seen.query if seen.query else b""),
        path=unquote_to_bytes(seen.raw_path).decode("latin-1"),
        headers=sorted(fields.items()),
    )
