"""The raw WSGI applications of the scenarios: little Python, so that the server is measured.

Served by every WSGI server of the table, so it must not know any of them.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Environ: TypeAlias = dict[str, Any]
    StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], object]

HELLO = b"Hello, World!"
HELLO_HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "13")]
SLEEP_SECONDS = 0.01


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer with 13 bytes."""
    start_response("200 OK", HELLO_HEADERS)
    return [HELLO]


def echo(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Read the body to its end, then answer with the same bytes."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


def sleep(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer with 13 bytes after 10 ms, in which the thread waits as for a database."""
    time.sleep(SLEEP_SECONDS)
    return hello(environ, start_response)
